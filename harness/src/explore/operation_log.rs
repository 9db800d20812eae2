//! The operations of a run on shared state, in order: what one thread does while another one is
//! preempted.

use crate::schedule::{Preemption, ScheduledOp};

/// The operations of all threads of a run, in order.
pub(crate) struct OperationLog {
    operations: Vec<ScheduledOp>,
}

impl OperationLog {
    /// The log of a run; `None` if no operation was recorded.
    pub(crate) fn new(operations: Vec<ScheduledOp>) -> Option<OperationLog> {
        (!operations.is_empty()).then_some(OperationLog { operations })
    }

    /// The operation of a thread at a scheduling point.
    pub(crate) fn operation(&self, thread: u16, point: u32) -> Option<ScheduledOp> {
        let is_it = |op: &&ScheduledOp| (op.thread, op.point) == (thread, point);
        self.operations.iter().find(is_it).cloned()
    }

    /// Whether a thread reaches a scheduling point.
    pub(crate) fn reaches(&self, thread: u16, point: u32) -> bool {
        self.operations.iter().any(|op| op.thread == thread && op.point >= point)
    }

    /// Whether the thread could have continued at this point, so that the switch is a preemption: it
    /// performs an operation right there once it runs again.
    pub(crate) fn is_preemption(&self, switch: Preemption) -> bool {
        self.operation(switch.thread, switch.point).is_some()
    }

    /// The index of the first operation after the preempted thread's last one.
    fn preempted_at(&self, preemption: Preemption) -> usize {
        let Preemption { thread, point, .. } = preemption;
        let is_later = |op: &ScheduledOp| op.thread == thread && op.point >= point;
        let is_before = |op: &ScheduledOp| op.thread == thread && op.point < point;
        let later = self.operations.iter().position(is_later).unwrap_or(self.operations.len());
        self.operations[..later].iter().rposition(is_before).map_or(0, |last| last + 1)
    }

    /// The scheduling point of the other thread's first operation after the preemption.
    pub(crate) fn first_point_after(&self, preemption: Preemption) -> Option<u32> {
        let from = self.preempted_at(preemption);
        let mut after = self.operations[from..].iter();
        after.find(|op| op.thread == preemption.to).map(|op| op.point)
    }

    /// The scheduling point of the other thread's last operation before the preempted one continues.
    pub(crate) fn last_point_after(&self, preemption: Preemption) -> Option<u32> {
        let after = &self.operations[self.preempted_at(preemption)..];
        let continues = |op: &ScheduledOp| op.thread == preemption.thread;
        let end = after.iter().position(continues).unwrap_or(after.len());
        after[..end].iter().rev().find(|op| op.thread == preemption.to).map(|op| op.point)
    }
}
