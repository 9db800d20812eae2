//! What the threads of a run did to what they share: where one was left, and what the other did then.

use crate::schedule::{Preemption, ScheduledOp};

/// What the threads of a run did, in order.
pub(crate) struct OperationLog {
    acts: Vec<ScheduledOp>,
}

impl OperationLog {
    /// What was heard of a run, if anything was.
    pub(crate) fn of(heard: Vec<ScheduledOp>) -> Option<OperationLog> {
        (!heard.is_empty()).then_some(OperationLog { acts: heard })
    }

    pub(crate) fn act(&self, thread: u16, point: u32) -> Option<ScheduledOp> {
        self.acts.iter().find(|act| (act.thread, act.point) == (thread, point)).cloned()
    }

    pub(crate) fn has(&self, thread: u16, point: u32) -> bool {
        self.acts.iter().any(|act| act.thread == thread && act.point >= point)
    }

    /// Whether the thread did something at this very point, once it was let go on again: so it could
    /// have gone on.
    pub(crate) fn preempts(&self, turn: Preemption) -> bool {
        self.act(turn.thread, turn.point).is_some()
    }

    /// Where in the run a thread was left.
    fn left_at(&self, turn: Preemption) -> usize {
        let comes_later = |act: &ScheduledOp| act.thread == turn.thread && act.point >= turn.point;
        let later = self.acts.iter().position(comes_later).unwrap_or(self.acts.len());
        let before = |act: &ScheduledOp| act.thread == turn.thread && act.point < turn.point;
        self.acts[..later].iter().rposition(before).map_or(0, |last| last + 1)
    }

    /// The point at which the thread that went on did its first operation then.
    pub(crate) fn next_point(&self, turn: Preemption) -> Option<u32> {
        let from = self.left_at(turn);
        self.acts[from..].iter().find(|act| act.thread == turn.to).map(|act| act.point)
    }

    /// The point of its last operation before the other one went on.
    pub(crate) fn last_point(&self, turn: Preemption) -> Option<u32> {
        let from = self.left_at(turn);
        let goes_on = |act: &ScheduledOp| act.thread == turn.thread;
        let end =
            self.acts[from..].iter().position(goes_on).map_or(self.acts.len(), |at| from + at);
        self.acts[from..end].iter().rev().find(|act| act.thread == turn.to).map(|act| act.point)
    }
}
