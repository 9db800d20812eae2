//! PCT, probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi and Nagarakatte, 2010):
//! the thread with the highest random priority runs, and at `depth - 1` random points the priority
//! of the running thread drops below all others. A bug that needs `depth` events in one order is
//! found with a known probability.
//!
//! Points at which only one thread can go on don't count. How many others there are is measured: the
//! first schedule makes no change.

use crate::rt::run_log::Choices;
use crate::rt::thread_set::ThreadSet;
use crate::trace::Stream;

pub(crate) struct Pct {
    depth: u32,
    /// By thread. Those that dropped are below 0.
    priorities: Vec<i64>,
    /// The lowest priority so far.
    lowest: i64,
    /// The points at which a priority drops.
    changes: Vec<u64>,
    /// The points of the present run so far, and those of the longest one.
    points: u64,
    longest: u64,
}

impl Pct {
    pub(crate) fn new(depth: u32) -> Pct {
        let (priorities, changes) = (Vec::new(), Vec::new());
        Pct { depth, priorities, lowest: 0, changes, points: 0, longest: 0 }
    }

    /// Begins a schedule.
    pub(crate) fn begin(&mut self, stream: &mut Stream) {
        self.priorities.clear();
        (self.lowest, self.points) = (0, 0);
        let change = |_| 1 + stream.below(self.longest as usize) as u64;
        let changes = if self.longest == 0 { 1 } else { self.depth };
        self.changes = (1..changes).map(change).collect();
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

    /// The thread that goes on where `thread` has reached a point. With `early`, it may be one whose
    /// wait ends early.
    pub(crate) fn choose(
        &mut self,
        choices: &Choices,
        thread: u16,
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
        if choices.idle.contains(thread) || self.changes.contains(&self.points) {
            self.drop_below_all(thread);
        }
        candidates.iter().max_by_key(|candidate| self.priorities[usize::from(*candidate)])
    }
}
