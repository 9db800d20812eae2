//! What the threads of a run do to what they share, heard by whoever asks for it: written down, with
//! the call sites of single operations.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::process::backtrace;
use crate::process::backtrace::Stack;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::kind::Kind;
use crate::rt;
use crate::rt::{BlockedThread, SharedOp, SharedOpKind, ThreadListener, WaitsFor};
use crate::schedule::ScheduledOp;

/// What was heard of a run.
#[derive(Debug, Default)]
pub(crate) struct RecordedEvents {
    pub(crate) acts: Vec<ScheduledOp>,
    pub(crate) taken: BTreeMap<Moment, Stack>,
}

/// Listens to a run.
pub(crate) struct EventRecorder {
    heard: Rc<RefCell<RecordedEvents>>,
    wanted: BTreeSet<u64>,
    writes: bool,
}

impl EventRecorder {
    /// Listens from here on: takes the call sites of these moments, and with `writes` notes every
    /// operation. What is heard stands in what is answered.
    pub(crate) fn open(
        moments: &BTreeSet<Moment>,
        writes: bool,
    ) -> Option<Rc<RefCell<RecordedEvents>>> {
        let step = |moment: &Moment| match moment {
            Moment::Step(step) => Some(*step),
            _ => None,
        };
        let wanted: BTreeSet<u64> = moments.iter().filter_map(step).collect();
        if wanted.is_empty() && !writes {
            return None;
        }
        let heard = Rc::new(RefCell::new(RecordedEvents::default()));
        let ear = EventRecorder { heard: Rc::clone(&heard), wanted, writes };
        rt::listen(Some(Box::new(ear)));
        Some(heard)
    }
}

impl ThreadListener for EventRecorder {
    fn on_operation(&mut self, step: u64, thread: u16, point: u32, operation: SharedOp) {
        let mut heard = self.heard.borrow_mut();
        if self.writes {
            heard.acts.push(ScheduledOp { step, thread, point, what: words(operation) });
        }
        if self.wanted.contains(&step) {
            heard.taken.entry(Moment::Step(step)).or_insert_with(backtrace::stack);
        }
    }

    fn on_deadlock(&mut self, _: &[BlockedThread]) {}
}

/// An operation as reports say it. What threads share is `o0`, `o1`, … in the order of its first use.
fn words(SharedOp { what, object }: SharedOp) -> String {
    match what {
        SharedOpKind::Lock => format!("locks o{object}"),
        SharedOpKind::Unlock => format!("unlocks o{object}"),
        SharedOpKind::Load => format!("loads o{object}"),
        SharedOpKind::Store => format!("stores o{object}"),
        SharedOpKind::Rmw => format!("updates o{object}"),
        SharedOpKind::Wait => format!("waits for o{object}"),
        SharedOpKind::Notify => format!("notifies o{object}"),
        SharedOpKind::Request => "requests".to_owned(),
        SharedOpKind::Free => "frees".to_owned(),
        SharedOpKind::Spawn => format!("starts T{object}"),
        SharedOpKind::Join => format!("joins T{object}"),
        SharedOpKind::Yield => "yields".to_owned(),
        SharedOpKind::End => "ends".to_owned(),
    }
}

/// Who waits for whom, where none can go on, and where each began to wait or took what another one
/// wants.
pub(crate) fn deadlock(blocked: &[BlockedThread]) -> Evidence {
    let mut evidence = Evidence::new(Kind::Deadlock);
    for BlockedThread { thread, want, since, holders } in blocked {
        let wanted = match want {
            WaitsFor::Lock(lock, _) => format!("o{lock}"),
            WaitsFor::Notification(condvar) => format!("a notice of o{condvar}"),
            WaitsFor::End(other) => format!("the end of T{other}"),
        };
        let names: Vec<String> = holders.iter().map(|(holder, _)| format!("T{holder}")).collect();
        let whose = match names.as_slice() {
            [] => String::new(),
            [one] if *one == format!("T{thread}") => ", which it has itself".to_owned(),
            names => format!(", which {} has", names.join(" and ")),
        };
        evidence = evidence.note(format!("T{thread} waits for {wanted}{whose}"));
        let role = if matches!(want, WaitsFor::End(_)) { Role::Joins } else { Role::Waits };
        let label = format!("T{thread} waits for {wanted}");
        evidence = evidence.labelled(label, role, Moment::Step(*since));
        for (holder, taken) in holders {
            let label = format!("T{holder} locked {wanted}");
            evidence = evidence.labelled(label, Role::Holds, Moment::Step(*taken));
        }
    }
    evidence
}
