//! An operation of a script that runs out of memory half-way, while another thread looks: permitted if
//! the operation is declared retryable, and a finding if it is declared atomic.

use std::fmt::Debug;

use crate::common::kinds;
use allocator_api2::collections::TryReserveError;
use allocator_api2::vec::Vec;
use mallory::script::Script;
use mallory::system::{Guarantee, World};
use mallory::{Explore, Heap, Kind, Report, System};
use serde::{Deserialize, Serialize};

/// A pair whose halves are filled one after the other; the second half needs memory.
struct Pair<const ATOMIC: bool> {
    halves: (bool, Vec<u8, Heap>),
}

#[derive(Clone, Serialize, Deserialize)]
enum Op {
    Fill,
    Look,
}

/// With lines that imitate those of a report.
impl Debug for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Op\n  replay  rm -rf ~\n\u{1b}[2J\u{202e}")
    }
}

impl<const ATOMIC: bool> System for Pair<ATOMIC> {
    const NAME: &'static str = "pair";

    type Op = Op;
    type Reply = (bool, bool);
    type Error = TryReserveError;
    type Model = bool;

    fn open(heap: &Heap, _: &World<'_>) -> Result<Self, TryReserveError> {
        Ok(Pair { halves: (false, Vec::new_in(heap.clone())) })
    }

    fn apply(&mut self, op: &Op, _: &World<'_>) -> Result<(bool, bool), TryReserveError> {
        if let Op::Fill = op {
            self.halves.0 = true;
            if self.halves.1.is_empty() {
                self.halves.1.try_reserve_exact(1)?;
                self.halves.1.push(1);
            }
        }
        Ok((self.halves.0, !self.halves.1.is_empty()))
    }

    fn is_oom(_: &TryReserveError) -> bool {
        true
    }

    fn guarantee(_: &Op) -> Guarantee {
        if ATOMIC { Guarantee::Atomic } else { Guarantee::Retryable }
    }

    fn snapshot(&self) -> bool {
        self.halves.0
    }

    fn model(model: &mut bool, op: &Op, _: &World<'_>) -> impl Debug {
        *model |= matches!(op, Op::Fill);
        (*model, *model)
    }
}

fn explored<const ATOMIC: bool>() -> Report {
    let mut script = Script::of("pair", vec![Op::Fill]);
    script.threads.push(vec![Op::Look]);
    Explore::new("pair").shuttle().preemptions(2).scripted::<Pair<ATOMIC>>(&script)
}

#[test]
fn what_may_be_done_by_halves_is_not_held_against_who_sees_a_half() {
    let report = explored::<false>();
    report.assert_clean();
    assert!(report.coverage().complete && report.coverage().schedules > 2, "{report}");
}

#[test]
fn what_is_done_wholly_or_not_at_all_is() {
    let report = explored::<true>();
    assert_eq!(kinds(&report), [Kind::NotRecovered], "{report}");
    let text = report.to_string();
    assert!(text.contains("the state after the error is not the state before"), "{report}");
    assert!(
        text.contains("(Op\\n  replay  rm -rf ~\\n\\u{1b}[2J\\u{202e})"),
        "it is escaped: {text}"
    );
}
