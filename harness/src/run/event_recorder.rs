//! Records what the threads of a run do to the objects that they share, and takes the backtraces of
//! chosen operations. Also describes a deadlock.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::process::backtrace::{self, Stack};
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::kind::Kind;
use crate::rt::{self, BlockedThread, SharedOp, SharedOpKind, ThreadListener, WaitsFor};
use crate::schedule::ScheduledOp;

/// What was recorded of a run.
#[derive(Debug, Default)]
pub(crate) struct RecordedEvents {
    pub(crate) operations: Vec<ScheduledOp>,
    /// What threads wait for that have not gone on since.
    pub(crate) waiting: Vec<ScheduledOp>,
    pub(crate) taken: BTreeMap<Moment, Stack>,
}

/// Records a run.
pub(crate) struct EventRecorder {
    recorded: Rc<RefCell<RecordedEvents>>,
    /// The steps whose backtraces are wanted.
    steps: BTreeSet<u64>,
    /// Whether to record every operation.
    all: bool,
}

impl EventRecorder {
    /// Records from here on: takes the backtraces of these moments, and with `all` records every
    /// operation. Returns where the record will be; `None` if nothing is wanted.
    pub(crate) fn open(
        moments: &BTreeSet<Moment>,
        all: bool,
    ) -> Option<Rc<RefCell<RecordedEvents>>> {
        let step = |moment: &Moment| match moment {
            Moment::Step(step) => Some(*step),
            _ => None,
        };
        let steps: BTreeSet<u64> = moments.iter().filter_map(step).collect();
        if steps.is_empty() && !all {
            return None;
        }
        let recorded = Rc::new(RefCell::new(RecordedEvents::default()));
        let recorder = EventRecorder { recorded: Rc::clone(&recorded), steps, all };
        rt::listen(Some(Box::new(recorder)));
        Some(recorded)
    }
}

impl ThreadListener for EventRecorder {
    fn on_operation(&mut self, step: u64, thread: u16, point: u32, touch: SharedOp) {
        let mut recorded = self.recorded.borrow_mut();
        if self.all {
            recorded.waiting.retain(|op| op.thread != thread);
            recorded.operations.push(ScheduledOp { step, thread, point, what: text(touch) });
        }
        if self.steps.contains(&step) {
            recorded.taken.entry(Moment::Step(step)).or_insert_with(backtrace::stack);
        }
    }

    fn on_wait(&mut self, step: u64, thread: u16, point: u32, touch: SharedOp) {
        let mut recorded = self.recorded.borrow_mut();
        if self.all {
            recorded.waiting.retain(|op| op.thread != thread);
            recorded.waiting.push(ScheduledOp { step, thread, point, what: text(touch) });
        }
        if self.steps.contains(&step) {
            recorded.taken.entry(Moment::Step(step)).or_insert_with(backtrace::stack);
        }
    }

    fn on_deadlock(&mut self, _: &[BlockedThread]) {}
}

/// An operation as reports print it. Shared objects are `o0`, `o1`, … in the order of their first
/// use.
fn text(SharedOp { what, object }: SharedOp) -> String {
    match what {
        SharedOpKind::Lock => format!("locks o{object}"),
        SharedOpKind::Unlock => format!("unlocks o{object}"),
        SharedOpKind::Load => format!("loads o{object}"),
        SharedOpKind::Store => format!("stores o{object}"),
        SharedOpKind::Rmw => format!("updates o{object}"),
        SharedOpKind::Wait => format!("waits for o{object}"),
        SharedOpKind::Notify => format!("notifies o{object}"),
        SharedOpKind::Send => format!("sends to o{object}"),
        SharedOpKind::Receive => format!("receives from o{object}"),
        SharedOpKind::Hangup => format!("drops an end of o{object}"),
        SharedOpKind::Arrive => format!("arrives at o{object}"),
        SharedOpKind::Await => format!("awaits o{object}"),
        SharedOpKind::Choose => "chooses how it goes on".to_owned(),
        SharedOpKind::Park => "parks".to_owned(),
        SharedOpKind::Unpark => format!("unparks o{object}"),
        SharedOpKind::CellRead => format!("reads o{object}"),
        SharedOpKind::CellWrite => format!("writes o{object}"),
        SharedOpKind::Request => "requests".to_owned(),
        SharedOpKind::Free => "frees".to_owned(),
        SharedOpKind::Spawn => format!("starts T{object}"),
        SharedOpKind::Join => format!("joins T{object}"),
        SharedOpKind::Yield => "yields".to_owned(),
        SharedOpKind::Sleep => "sleeps".to_owned(),
        SharedOpKind::Clock => "reads the time".to_owned(),
        SharedOpKind::End => "ends".to_owned(),
    }
}

/// A deadlock: which thread waits for which, where each began to wait, and where it took the lock
/// that another one wants.
pub(crate) fn deadlock(blocked: &[BlockedThread]) -> Evidence {
    let mut evidence = Evidence::new(Kind::Deadlock);
    for BlockedThread { thread, want, since, holders } in blocked {
        let wanted = match want {
            WaitsFor::Lock(lock, _) => format!("o{lock}"),
            WaitsFor::Notification { condvar, .. } => format!("a notification of o{condvar}"),
            WaitsFor::End(other) => format!("the end of T{other}"),
            WaitsFor::Permit(object) => format!("what o{object} gives"),
            WaitsFor::Phase(object, _) => format!("others to arrive at o{object}"),
            WaitsFor::Time => "a time".to_owned(),
            WaitsFor::Turn => "its turn".to_owned(),
        };
        let names: Vec<String> = holders.iter().map(|(holder, _)| format!("T{holder}")).collect();
        let held_by = match names.as_slice() {
            [] => String::new(),
            [one] if *one == format!("T{thread}") => ", which it holds itself".to_owned(),
            [one] => format!(", which {one} holds"),
            names => format!(", which {} hold", names.join(" and ")),
        };
        evidence = evidence.note(format!("T{thread} waits for {wanted}{held_by}"));
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
