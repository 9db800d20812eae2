//! A bounded queue whose newest text replaces the oldest one, with a bug when memory runs out.

use std::collections::VecDeque;
use std::fmt::Debug;

use allocator_api2::collections::TryReserveError;
use allocator_api2::vec::Vec;
use arbitrary::Arbitrary;
use mallory::system::World;
use mallory::{Heap, System};
use serde::{Deserialize, Serialize};

/// The number of texts that it holds.
const BOUND: usize = 2;

pub(crate) struct Queue {
    texts: Vec<Vec<u8, Heap>, Heap>,
    heap: Heap,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Arbitrary)]
pub(crate) enum Op {
    Push(String),
    Pop,
    Count,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl System for Queue {
    const NAME: &'static str = "queue";

    type Op = Op;
    type Reply = Option<String>;
    type Error = TryReserveError;
    type Model = VecDeque<String>;

    fn open(heap: &Heap, _: &World<'_>) -> Result<Self, TryReserveError> {
        let mut texts = Vec::new_in(heap.clone());
        texts.try_reserve_exact(BOUND)?;
        Ok(Queue { texts, heap: heap.clone() })
    }

    fn apply(&mut self, op: &Op, _: &World<'_>) -> Result<Option<String>, TryReserveError> {
        match op {
            Op::Push(added) => {
                // The bug: the oldest text is removed before there is memory for the newest.
                let oldest = (self.texts.len() == BOUND).then(|| self.texts.remove(0));
                let mut copy = Vec::new_in(self.heap.clone());
                copy.try_reserve_exact(added.len())?;
                copy.extend_from_slice(added.as_bytes());
                self.texts.push(copy);
                Ok(oldest.map(|bytes| text(&bytes)))
            }
            Op::Pop if self.texts.is_empty() => Ok(None),
            Op::Pop => Ok(Some(text(&self.texts.remove(0)))),
            Op::Count => Ok(Some(self.texts.len().to_string())),
        }
    }

    fn is_oom(_: &TryReserveError) -> bool {
        true
    }

    fn snapshot(&self) -> VecDeque<String> {
        self.texts.iter().map(|bytes| text(bytes)).collect()
    }

    fn model(model: &mut VecDeque<String>, op: &Op, _: &World<'_>) -> impl Debug {
        match op {
            Op::Push(added) => {
                model.push_back(added.clone());
                if model.len() > BOUND { model.pop_front() } else { None }
            }
            Op::Pop => model.pop_front(),
            Op::Count => Some(model.len().to_string()),
        }
    }
}
