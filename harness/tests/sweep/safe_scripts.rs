//! Texts of a system's operations, replies and errors in reports: see `safe_text`.

use std::fmt::{self, Debug};

use mallory::system::{Guarantee, World};
use mallory::{Heap, Kind, Sweep, System};

use crate::common::{Owned, kinds};
use crate::safe_text::{HOSTILE, check};

/// What its operation does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Reply,
    State,
    Error,
    Again,
}

/// An operation, a reply and an error with the hostile text many times, and a line that imitates the
/// one that replays a finding.
#[derive(Clone, Copy)]
struct Hostile(Wrong);

impl Debug for Hostile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..1_000).try_for_each(|_| write!(f, "Push\n  replay  rm -rf ~\n{HOSTILE}"))
    }
}

/// A system that allocates in each operation.
struct Cell {
    value: u64,
    has_failed: bool,
    heap: Heap,
}

impl System for Cell {
    const NAME: &'static str = "cell";

    type Op = Hostile;
    type Reply = Hostile;
    type Error = Hostile;
    type Model = u64;

    fn open(heap: &Heap, _: &World<'_>) -> Result<Self, Hostile> {
        Ok(Cell { value: 0, has_failed: false, heap: heap.clone() })
    }

    fn apply(&mut self, op: &Hostile, _: &World<'_>) -> Result<Hostile, Hostile> {
        if op.0 == Wrong::State {
            self.value += 1;
        }
        self.has_failed |= Owned::new(&self.heap, 16).is_err();
        if self.has_failed && op.0 != Wrong::Reply { Err(*op) } else { Ok(*op) }
    }

    fn is_oom(error: &Hostile) -> bool {
        error.0 != Wrong::Error
    }

    fn guarantee(_: &Hostile) -> Guarantee {
        Guarantee::Atomic
    }

    fn snapshot(&self) -> u64 {
        self.value
    }

    fn model(model: &mut u64, op: &Hostile, _: &World<'_>) -> impl Debug {
        *model += u64::from(op.0 == Wrong::State);
        ModelReply(*op)
    }
}

/// The reply of the plain model: the same, unless the reply is what is wrong.
struct ModelReply(Hostile);

impl Debug for ModelReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.0 == Wrong::Reply { f.write_str("another") } else { self.0.fmt(f) }
    }
}

#[test]
fn operations_replies_and_errors_of_a_system_are_escaped_and_cut() {
    for (wrong, kind) in [
        (Wrong::Reply, Kind::SilentWrong),
        (Wrong::State, Kind::NotRecovered),
        (Wrong::Error, Kind::WrongError),
        (Wrong::Again, Kind::NotRecovered),
    ] {
        let report = Sweep::new("cell").script::<Cell>(&[Hostile(wrong)]);
        let text = check(&report);
        let lines = text.lines().filter(|line| line.trim_start().starts_with("replay")).count();
        assert_eq!(lines, report.findings().len(), "{text}");
        if report.error().is_none() {
            assert!(kinds(&report).contains(&kind), "{text}");
        }
        assert!(text.contains("\\u{1b}[2J"), "{text}");
    }
}
