//! PCT, probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi and Nagarakatte, 2010):
//! the thread with the highest random priority runs, and at `depth - 1` random points the priority
//! of the running thread drops below all others. A bug that needs `depth` events in one order is
//! found with a known probability.
//!
//! Points at which only one thread can go on don't count. How many others there are is measured: the
//! first schedule makes no change.
//!
//! Where it is known what a fault changes, half of the changes are at points near to that.

use crate::rt::run_log::Choices;
use crate::rt::thread_set::ThreadSet;
use crate::schedule::fault_focus::FaultFocus;
use crate::trace::Stream;

pub(crate) struct Pct {
    depth: u32,
    /// By thread. Those that dropped are below 0.
    priorities: Vec<i64>,
    /// The lowest priority so far.
    lowest: i64,
    /// The points at which a priority drops.
    changes: Vec<u64>,
    /// Points near to what a fault changes, and those of them at which a priority drops.
    near: Vec<(u16, u32)>,
    near_changes: Vec<(u16, u32)>,
    /// The points of the present run so far, and those of the longest one.
    points: u64,
    longest: u64,
}

impl Pct {
    pub(crate) fn new(depth: u32) -> Pct {
        let (priorities, changes) = (Vec::new(), Vec::new());
        let (near, near_changes) = (Vec::new(), Vec::new());
        Pct { depth, priorities, lowest: 0, changes, near, near_changes, points: 0, longest: 0 }
    }

    /// Lets half of the changes be at points near to what a fault changes.
    pub(crate) fn set_focus(&mut self, focus: &FaultFocus) {
        self.near = focus.points().collect();
    }

    /// Begins a schedule.
    pub(crate) fn begin(&mut self, stream: &mut Stream) {
        self.priorities.clear();
        (self.lowest, self.points) = (0, 0);
        self.changes.clear();
        self.near_changes.clear();
        let changes = if self.longest == 0 { 1 } else { self.depth };
        for _ in 1..changes {
            if !self.near.is_empty() && stream.once_in(2) {
                self.near_changes.push(self.near[stream.below(self.near.len())]);
            } else {
                self.changes.push(1 + stream.below(self.longest as usize) as u64);
            }
        }
    }

    /// Ends a schedule.
    pub(crate) fn end(&mut self) {
        self.longest = self.longest.max(self.points);
    }

    fn drop_below_all(&mut self, thread: u16) {
        self.lowest -= 1;
        if let Some(priority) = self.priorities.get_mut(usize::from(thread)) {
            *priority = self.lowest;
        }
    }

    /// The thread that goes on where `thread` has reached its `point`th point. With `early`, it may be one whose
    /// wait ends early.
    pub(crate) fn choose(
        &mut self,
        choices: &Choices,
        (thread, point): (u16, u32),
        early: bool,
        stream: &mut Stream,
    ) -> Option<u16> {
        let mut candidates = choices.ready | choices.idle | choices.next.into_iter().collect();
        if early {
            candidates |= choices.waking;
        }
        for candidate in candidates.iter() {
            while self.priorities.len() <= usize::from(candidate) {
                self.priorities.push((stream.next() >> 1) as i64);
            }
        }
        if (candidates - ThreadSet::of(thread)).is_empty() {
            return candidates.first();
        }
        self.points += 1;
        if choices.idle.contains(thread)
            || self.changes.contains(&self.points)
            || self.near_changes.contains(&(thread, point))
        {
            self.drop_below_all(thread);
        }
        candidates.iter().max_by_key(|candidate| self.priorities[usize::from(*candidate)])
    }
}
