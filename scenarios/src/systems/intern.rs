//! The system `intern`: an intern table, modelled by a map from strings to their reference counts.

use std::collections::BTreeMap;
use std::fmt::Debug;

use allocator_api2::vec::Vec;
use arbitrary::{Arbitrary, Unstructured};
use mallory::system::{ApplyShared, World};
use mallory::{Heap, Refused, System};
use serde::{Deserialize, Serialize};

use crate::memory::bytes::refused;
use crate::memory::{Handle, InternTable};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// One operation. A held reference is named by its number, the oldest first, modulo their count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Takes a reference on a string.
    Acquire(#[arbitrary(with = word)] String),
    /// Takes a reference and releases it at once.
    Hold(#[arbitrary(with = word)] String),
    /// Takes another reference on a string that is held.
    Retain(u8),
    /// Releases a reference.
    Release(u8),
    /// Reads a string.
    Resolve(u8),
}

/// Usually one of few words, so that they are repeated; sometimes any string.
fn word(u: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    match u.arbitrary::<u8>()? {
        240.. => u.arbitrary(),
        how => Ok(format!("{}", how % 24)),
    }
}

/// The system: a table, and the references that it holds.
pub struct Interns {
    table: InternTable,
    held: Mutex<Vec<Handle, Heap>>,
}

/// The strings that are held, the oldest reference first; and how often each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// Each reference's string.
    pub held: std::vec::Vec<String>,
    /// Each string's references.
    pub references: BTreeMap<String, u32>,
}

impl Interns {
    fn held(&self) -> MutexGuard<'_, Vec<Handle, Heap>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a reference: from here on it is the table's newest.
    fn keep(&self, handle: Handle) -> Result<(), Refused> {
        let mut held = self.held();
        if let Err(error) = held.try_reserve(1) {
            self.table.release(handle);
            return Err(refused(error));
        }
        held.push(handle);
        Ok(())
    }

    fn text(&self, handle: Handle) -> Option<String> {
        self.table.resolve(handle, |bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn call(&self, op: &Op, _: &World<'_>) -> Result<Option<String>, Refused> {
        match op {
            Op::Acquire(text) => {
                let handle = self.table.acquire(text)?;
                let text = self.text(handle);
                self.keep(handle).map(|()| text)
            }
            Op::Hold(text) => {
                let held = self.table.hold(text)?;
                Ok(self.text(held.handle()))
            }
            Op::Retain(at) => {
                let mut held = self.held();
                let Some(at) = nth(&held, *at) else { return Ok(None) };
                held.try_reserve(1).map_err(refused)?;
                let handle = held[at];
                if !self.table.retain(handle) {
                    return Ok(None);
                }
                held.push(handle);
                Ok(self.text(handle))
            }
            Op::Release(at) => {
                let mut held = self.held();
                let Some(at) = nth(&held, *at) else { return Ok(None) };
                let handle = held.remove(at);
                let text = self.text(handle);
                Ok(text.filter(|_| self.table.release(handle)))
            }
            Op::Resolve(at) => {
                let held = self.held();
                Ok(nth(&held, *at).and_then(|at| self.text(held[at])))
            }
        }
    }
}

/// The place of the reference that is meant.
fn nth(held: &[Handle], nth: u8) -> Option<usize> {
    (!held.is_empty()).then(|| usize::from(nth) % held.len())
}

impl Drop for Interns {
    fn drop(&mut self) {
        for handle in self.held().iter() {
            self.table.release(*handle);
        }
    }
}

impl System for Interns {
    const NAME: &'static str = "intern";

    type Op = Op;
    /// The string that it was about, if there was one.
    type Reply = Option<String>;
    type Error = Refused;
    type Model = Model;

    fn open(heap: &Heap, _: &World<'_>) -> Result<Self, Refused> {
        Ok(Interns { table: InternTable::new(heap), held: Mutex::new(Vec::new_in(heap.clone())) })
    }

    fn apply(&mut self, op: &Op, world: &World<'_>) -> Result<Option<String>, Refused> {
        self.call(op, world)
    }

    fn shared() -> Option<ApplyShared<Self>> {
        Some(Self::call)
    }

    fn is_oom(_: &Refused) -> bool {
        true
    }

    fn snapshot(&self) -> Model {
        let texts = self.held();
        let held = texts.iter().map(|handle| self.text(*handle).unwrap_or_default());
        let mut references = BTreeMap::new();
        // Under the kill switch a string may be there several times.
        self.table.for_each(|text, count| {
            *references.entry(String::from_utf8_lossy(text).into_owned()).or_default() += count;
        });
        Model { held: held.collect(), references }
    }

    fn model(model: &mut Model, op: &Op, _: &World<'_>) -> impl Debug {
        let at = |nth: &u8, model: &Model| {
            (!model.held.is_empty()).then(|| usize::from(*nth) % model.held.len())
        };
        let take = |model: &mut Model, text: String| {
            *model.references.entry(text.clone()).or_default() += 1;
            model.held.push(text.clone());
            Some(text)
        };
        match op {
            Op::Acquire(text) => take(model, text.clone()),
            Op::Hold(text) => Some(text.clone()),
            Op::Retain(nth) => {
                let text = at(nth, model).map(|nth| model.held[nth].clone());
                text.and_then(|text| take(model, text))
            }
            Op::Release(nth) => at(nth, model).map(|nth| {
                let text = model.held.remove(nth);
                if let Some(count) = model.references.get_mut(&text) {
                    *count -= 1;
                }
                model.references.retain(|_, count| *count != 0);
                text
            }),
            Op::Resolve(nth) => at(nth, model).map(|nth| model.held[nth].clone()),
        }
    }
}
