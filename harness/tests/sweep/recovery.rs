//! Recovery: after a failed operation, the same object is used again with memory, and has to reach
//! the state that it has without the fault.

use crate::common::{Oom, kinds, mistake, only, outcomes};
use allocator_api2::vec::Vec;
use mallory::system::{Guarantee, World};
use mallory::{Heap, Kind, Outcome, Report, Sweep, System};

/// Two lists of equal length.
#[derive(Debug)]
struct Pair {
    keys: Vec<u8, Heap>,
    values: Vec<u8, Heap>,
}

impl Pair {
    fn open(heap: &Heap) -> Result<Pair, Oom> {
        Ok(Pair { keys: Vec::new_in(heap.clone()), values: Vec::new_in(heap.clone()) })
    }

    /// Adds to both lists or to none.
    fn add(&mut self, key: u8) -> Result<(), Oom> {
        self.keys.try_reserve(1)?;
        self.values.try_reserve(1)?;
        self.keys.push(key);
        self.values.push(key + 1);
        Ok(())
    }

    /// May add to the first list only, and adds to it again when it is retried.
    fn add_by_halves(&mut self, key: u8) -> Result<(), Oom> {
        self.keys.try_reserve(1)?;
        self.keys.push(key);
        self.values.try_reserve(1)?;
        self.values.push(key + 1);
        Ok(())
    }

    /// May add to the first list only, and completes the operation when it is retried.
    fn complete(&mut self, key: u8) -> Result<(), Oom> {
        if self.keys.len() == self.values.len() {
            self.keys.try_reserve(1)?;
            self.keys.push(key);
        }
        self.values.try_reserve(1)?;
        self.values.push(key + 1);
        Ok(())
    }

    fn state(&self) -> (std::vec::Vec<u8>, std::vec::Vec<u8>) {
        (self.keys.to_vec(), self.values.to_vec())
    }
}

/// Sweeps one operation of a pair.
fn operation(atomic: bool, operation: fn(&mut Pair, u8) -> Result<(), Oom>) -> Report {
    let setup = Sweep::new("pair").oom(|_: &Oom| true).observe(Pair::state).setup(Pair::open);
    let setup = if atomic { setup.atomic() } else { setup };
    setup.operation(move |pair| operation(pair, 7))
}

#[test]
fn an_atomic_operation_leaves_the_state_before_it() {
    let report = operation(true, Pair::add);
    assert_eq!(outcomes(&report), [(Outcome::Propagated, 4)]);
    assert!(!report.to_string().contains("recovery unverified"), "{report}");
    report.assert_clean();
    let half = operation(true, Pair::complete);
    assert_eq!(only(&half).kind(), Kind::NotRecovered);
    assert!(half.to_string().contains("is not the state before"), "{half}");
}

#[test]
fn a_retryable_operation_is_completed_by_the_same_again() {
    operation(false, Pair::complete).assert_clean();
    let twice = operation(false, Pair::add_by_halves);
    assert_eq!(only(&twice).kind(), Kind::NotRecovered);
    assert!(twice.to_string().contains("the end state differs from the fault-free one"), "{twice}");
}

#[test]
fn an_operation_that_stays_broken_has_not_recovered() {
    let report = Sweep::new("broken")
        .observe(|_: &(Pair, bool)| ())
        .setup(|heap| Ok((Pair::open(heap)?, false)))
        .operation(|(pair, broken)| {
            if *broken {
                return Err(Oom);
            }
            pair.add(1).inspect_err(|_| *broken = true)
        });
    assert_eq!(only(&report).kind(), Kind::NotRecovered);
    assert!(
        report.to_string().contains("it still fails when memory is available again: Oom"),
        "{report}"
    );
}

#[test]
fn a_set_up_that_fails_is_the_callers_mistake() {
    let report = Sweep::new("set-up")
        .observe(|_: &()| ())
        .setup(|_| Err(Oom))
        .operation(|_| Ok::<_, Oom>(()));
    assert!(mistake(&report).contains("the set-up failed: Oom"), "{report}");
}

#[test]
fn where_nothing_survives_the_report_says_that_recovery_is_unverified() {
    let report = Sweep::new("gone").run(|heap| Pair::open(heap)?.add(1));
    assert!(report.to_string().contains("recovery unverified"), "{report}");
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Add(u8),
    Count,
}

/// A system that is correct or has one of the bugs.
struct Shelf<const BUG: u8>(Pair);

const NONE: u8 = 0;
const HALF_DONE: u8 = 1;
const WRONG_REPLY: u8 = 2;
const FORGETS: u8 = 3;

impl<const BUG: u8> System for Shelf<BUG> {
    const NAME: &str = "shelf";
    type Op = Op;
    type Reply = usize;
    type Error = Oom;
    type Model = std::vec::Vec<(u8, u8)>;

    fn open(heap: &Heap, _: &World<'_>) -> Result<Self, Oom> {
        let mut pair = Pair::open(heap)?;
        pair.keys.try_reserve(1)?;
        Ok(Shelf(pair))
    }

    fn apply(&mut self, op: &Op, _: &World<'_>) -> Result<usize, Oom> {
        match (op, BUG) {
            (Op::Add(key), HALF_DONE) => self.0.add_by_halves(*key)?,
            (Op::Add(key), FORGETS) => _ = self.0.add(*key),
            (Op::Add(key), _) => self.0.add(*key)?,
            (Op::Count, WRONG_REPLY) => return Ok(self.0.keys.len() + 1),
            (Op::Count, _) => {}
        }
        Ok(self.0.keys.len())
    }

    fn is_oom(_: &Oom) -> bool {
        true
    }

    fn guarantee(_: &Op) -> Guarantee {
        Guarantee::Atomic
    }

    fn snapshot(&self) -> Self::Model {
        let pad = self.0.values.iter().copied().chain(std::iter::repeat(0));
        self.0.keys.iter().copied().zip(pad).collect()
    }

    fn model(model: &mut Self::Model, op: &Op, _: &World<'_>) -> impl std::fmt::Debug {
        if let Op::Add(key) = op {
            model.push((*key, key + 1));
        }
        model.len()
    }
}

const SCRIPT: [Op; 4] = [Op::Add(1), Op::Count, Op::Add(5), Op::Count];

#[test]
fn a_script_is_swept_against_the_plain_model() {
    let report = Sweep::new("shelf").script::<Shelf<NONE>>(&SCRIPT);
    assert_eq!(report.coverage().requests, 2, "one to open, one for the values");
    assert_eq!(outcomes(&report), [(Outcome::Propagated, 4)]);
    report.assert_clean();
}

#[test]
fn a_system_that_does_half_of_an_operation_has_not_recovered() {
    let report = Sweep::new("shelf").script::<Shelf<HALF_DONE>>(&SCRIPT);
    assert_eq!(kinds(&report), [Kind::NotRecovered]);
    assert!(report.to_string().contains("operation 1 (Add(1))"), "{report}");
}

#[test]
fn a_system_that_hides_a_failure_is_silent_wrong() {
    let report = Sweep::new("shelf").script::<Shelf<FORGETS>>(&SCRIPT);
    assert_eq!(kinds(&report), [Kind::SilentWrong], "{report}");
}

#[test]
fn a_system_that_is_wrong_without_a_fault_is_the_callers_mistake() {
    let report = Sweep::new("shelf").script::<Shelf<WRONG_REPLY>>(&SCRIPT);
    assert!(mistake(&report).contains("the reply differs from the model's"), "{report}");
}
