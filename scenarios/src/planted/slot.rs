//! The system `slot`: a place for one value that several threads fill, read and empty. There is a
//! sound one, and two with bugs that need two threads; one of these needs a failed request as well.

use std::fmt::Debug;

use allocator_api2::vec::Vec;
use arbitrary::Arbitrary;
use mallory::system::{ApplyShared, World};
use mallory::{Heap, Refused, System};
use serde::{Deserialize, Serialize};

use crate::memory::bytes::refused;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Puts this many bytes there, if the slot is empty.
    Fill(u8),
    /// Takes the value out.
    Take,
    /// Looks at the value.
    Look,
}

/// Nothing is wrong.
pub const SOUND: u8 = 0;
/// A thread that has no memory for its value empties the slot, although another thread may have
/// filled it since: needs two threads and one failed request.
pub const FORGETS: u8 = 1;
/// A thread that found the slot empty doesn't check again after making its value: needs two
/// threads.
pub const STALE: u8 = 2;

/// The system, with one of these bugs.
pub struct Slot<const BUG: u8> {
    value: Mutex<Option<Vec<u8, Heap>>>,
    heap: Heap,
}

impl<const BUG: u8> Slot<BUG> {
    fn value(&self) -> MutexGuard<'_, Option<Vec<u8, Heap>>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copy(&self, size: u8) -> Result<Vec<u8, Heap>, Refused> {
        let mut copy = Vec::new_in(self.heap.clone());
        copy.try_reserve_exact(usize::from(size)).map_err(refused)?;
        copy.resize(usize::from(size), 0);
        Ok(copy)
    }

    fn call(&self, op: &Op, _: &World<'_>) -> Result<Option<usize>, Refused> {
        match op {
            Op::Fill(size) => {
                if self.value().is_some() {
                    return Ok(None);
                }
                // The lock is not held while the value is made.
                let copy = self.copy(*size);
                let mut value = self.value();
                if copy.is_err() && BUG == FORGETS {
                    *value = None;
                }
                let copy = copy?;
                if value.is_some() && BUG != STALE {
                    return Ok(None);
                }
                *value = Some(copy);
                Ok(Some(usize::from(*size)))
            }
            Op::Take => Ok(self.value().take().map(|value| value.len())),
            Op::Look => Ok(self.value().as_ref().map(Vec::len)),
        }
    }
}

impl<const BUG: u8> System for Slot<BUG> {
    const NAME: &'static str = match BUG {
        FORGETS => "slot-forgets",
        STALE => "slot-stale",
        _ => "slot",
    };

    type Op = Op;
    /// The size of the value, if anything was done.
    type Reply = Option<usize>;
    type Error = Refused;
    type Model = Option<u8>;

    fn open(heap: &Heap, _: &World<'_>) -> Result<Self, Refused> {
        Ok(Slot { value: Mutex::new(None), heap: heap.clone() })
    }

    fn apply(&mut self, op: &Op, world: &World<'_>) -> Result<Option<usize>, Refused> {
        self.call(op, world)
    }

    fn shared() -> Option<ApplyShared<Self>> {
        Some(Self::call)
    }

    fn is_oom(_: &Refused) -> bool {
        true
    }

    fn snapshot(&self) -> Option<u8> {
        self.value().as_ref().map(|value| value.len() as u8)
    }

    fn model(model: &mut Option<u8>, op: &Op, _: &World<'_>) -> impl Debug {
        match op {
            Op::Fill(_) if model.is_some() => None,
            Op::Fill(size) => {
                *model = Some(*size);
                Some(usize::from(*size))
            }
            Op::Take => model.take().map(usize::from),
            Op::Look => model.map(usize::from),
        }
    }
}
