//! The breakers: a circuit for each backend.

use allocator_api2::vec::Vec;
use hashbrown::HashTable;
use mallory::{Heap, Refused};

use super::circuit::{Circuit, Policy, State};
use super::operation::{BACKENDS_MAX, CHANGES_KEPT, NAME_MAX, Refusal};
use crate::memory::bytes::{refused, try_copy};
use crate::memory::hash::hash;

/// What a step returns that may not be done: the inner error is a reply, not a failure.
type Done<T> = Result<Result<T, Refusal>, Refused>;

/// Why a call's work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble<E> {
    /// The backend has failed.
    Backend(E),
    /// We have no memory, which says nothing of the backend.
    Memory(Refused),
}

impl<E> From<Refused> for Trouble<E> {
    fn from(refused: Refused) -> Self {
        Trouble::Memory(refused)
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<T, E> {
    /// The work has returned this.
    Passed(T),
    /// The work has failed with this, and the circuit is in this state now.
    Failed(E, State),
    /// The work was not begun: the circuit is open for this many milliseconds.
    Rejected(u64),
}

/// How many calls ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) rejected: u64,
}

pub(super) struct Breaker {
    pub(super) name: Vec<u8, Heap>,
    hash: u64,
    pub(super) policy: Policy,
    pub(super) circuit: Circuit,
    pub(super) counts: Counts,
}

/// A circuit that changed its state. The backend is named by its place: its name is not copied.
#[derive(Clone, Copy)]
pub(super) struct Change {
    pub(super) at: u64,
    pub(super) backend: usize,
    pub(super) to: State,
}

/// The latest changes, in a ring.
#[derive(Clone, Copy)]
pub(super) struct Changes {
    kept: [Option<Change>; CHANGES_KEPT],
    /// Where the next one goes, instead of the oldest.
    next: usize,
}

impl Changes {
    fn record(&mut self, change: Change) {
        self.kept[self.next] = Some(change);
        self.next = (self.next + 1) % CHANGES_KEPT;
    }

    /// The changes, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Change> {
        let (newer, older) = self.kept.split_at(self.next);
        older.iter().chain(newer).flatten().copied()
    }
}

/// Circuit breakers for backends, which are found by their names.
pub struct CircuitBreakers {
    heap: Heap,
    /// Places by the hash of the backends' names.
    index: HashTable<usize, Heap>,
    pub(super) breakers: Vec<Breaker, Heap>,
    pub(super) changes: Changes,
    /// The milliseconds that have passed since they were made.
    pub(super) now: u64,
    short: u64,
}

impl CircuitBreakers {
    /// No backends yet; takes no memory of the heap.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        CircuitBreakers {
            heap: heap.clone(),
            index: HashTable::new_in(heap.clone()),
            breakers: Vec::new_in(heap.clone()),
            changes: Changes { kept: [None; CHANGES_KEPT], next: 0 },
            now: 0,
            short: 0,
        }
    }

    /// Makes a backend known; returns how many there are.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; the backend is not known then.
    pub fn register(&mut self, name: &str, policy: Policy) -> Done<usize> {
        if name.is_empty() || name.len() > NAME_MAX {
            return Ok(Err(Refusal::Length));
        }
        if policy.failures == 0 || policy.trials == 0 {
            return Ok(Err(Refusal::Policy));
        }
        if self.find(name).is_some() {
            return Ok(Err(Refusal::Exists));
        }
        if self.breakers.len() == BACKENDS_MAX {
            return Ok(Err(Refusal::Full));
        }
        self.breakers.try_reserve(1).map_err(refused)?;
        let breakers = &self.breakers;
        self.index.try_reserve(1, |place| breakers[*place].hash).map_err(refused)?;
        let name = try_copy(name.as_bytes(), self.heap.clone())?;
        let (hash, place) = (hash(&name), breakers.len());
        let (circuit, counts) = (Circuit::NEW, Counts::default());
        self.breakers.push(Breaker { name, hash, policy, circuit, counts });
        let breakers = &self.breakers;
        self.index.insert_unique(hash, place, |place| breakers[*place].hash);
        Ok(Ok(place + 1))
    }

    fn find(&self, name: &str) -> Option<usize> {
        let is_it = |place: &usize| *self.breakers[*place].name == *name.as_bytes();
        self.index.find(hash(name.as_bytes()), is_it).copied()
    }

    /// Does the work if the backend's circuit lets it through; `None` if there is no such backend.
    /// The breaker allocates nothing for a call.
    ///
    /// # Errors
    /// [`Refused`] if the work has run out of memory. Nothing has changed then: a circuit neither
    /// counts that as a failure nor as a trial.
    pub fn call<T, E>(
        &mut self,
        backend: &str,
        work: impl FnOnce() -> Result<T, Trouble<E>>,
    ) -> Result<Option<Outcome<T, E>>, Refused> {
        let Some(place) = self.find(backend) else { return Ok(None) };
        let now = self.now;
        let breaker = &mut self.breakers[place];
        let admitted = match breaker.circuit.admit(now) {
            Ok(admitted) => admitted,
            Err(left) => {
                breaker.counts.rejected += 1;
                return Ok(Some(Outcome::Rejected(left)));
            }
        };
        let result = work();
        let breaker = &mut self.breakers[place];
        let (next, outcome) = match result {
            Ok(value) => {
                breaker.counts.passed += 1;
                (admitted.after_success(breaker.policy), Outcome::Passed(value))
            }
            Err(Trouble::Backend(failure)) => {
                breaker.counts.failed += 1;
                let next = admitted.after_failure(breaker.policy, now);
                (next, Outcome::Failed(failure, next.state()))
            }
            Err(Trouble::Memory(refused)) => {
                self.short += 1;
                return Err(refused);
            }
        };
        self.change(place, admitted);
        self.change(place, next);
        Ok(Some(outcome))
    }

    /// Closes a circuit by hand; returns the state that it was in, `None` if there is no such backend.
    pub fn close(&mut self, backend: &str) -> Option<State> {
        let place = self.find(backend)?;
        let before = self.breakers[place].circuit.state();
        self.change(place, Circuit::NEW);
        Some(before)
    }

    /// The circuit of a backend.
    #[must_use]
    pub fn circuit(&self, backend: &str) -> Option<Circuit> {
        self.find(backend).map(|place| self.breakers[place].circuit)
    }

    /// Lets time pass; returns the milliseconds that have passed in all.
    pub fn advance(&mut self, milliseconds: u32) -> u64 {
        self.now = self.now.saturating_add(milliseconds.into());
        self.now
    }

    /// How many calls ran out of memory. A diagnostic, not part of the state.
    #[must_use]
    pub fn short_of_memory(&self) -> u64 {
        self.short
    }

    fn change(&mut self, backend: usize, circuit: Circuit) {
        let old = std::mem::replace(&mut self.breakers[backend].circuit, circuit);
        if old.state() != circuit.state() {
            self.changes.record(Change { at: self.now, backend, to: circuit.state() });
        }
    }
}
