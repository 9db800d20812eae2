//! Schedules that wait to be run in random order, for searches that run only a sample. Every
//! schedule of the bound can be chosen, and none is chosen twice. Above [`WAITING_MAX`] this is
//! reservoir sampling: each schedule that was offered is as likely to wait.

use crate::schedule::Preemption;
use crate::trace::Stream;

/// The number of schedules that can wait for each number of preemptions. Above it, those that wait
/// are a random sample of those that were offered.
const WAITING_MAX: usize = 1 << 14;

/// Schedules that wait.
pub(crate) struct Reservoir {
    /// By number of preemptions, the schedules that wait.
    waiting: Vec<Vec<Box<[Preemption]>>>,
    /// By number of preemptions, how many schedules were added, those that were left out included.
    offered: Vec<u64>,
    stream: Stream,
}

impl Reservoir {
    pub(crate) fn new(seed: u64) -> Reservoir {
        Reservoir {
            waiting: vec![vec![Box::default()]],
            offered: vec![0],
            stream: Stream::new(seed, 0),
        }
    }

    /// Moves a random schedule into `plan`, and returns its number of preemptions. Each such number
    /// is equally likely, since otherwise nearly all would have the highest one.
    pub(crate) fn next(&mut self, plan: &mut Vec<Preemption>) -> Option<usize> {
        let nonempty = self.waiting.iter().filter(|waiting| !waiting.is_empty()).count();
        if nonempty == 0 {
            return None;
        }
        let nth = self.stream.below(nonempty);
        let mut queues = self.waiting.iter_mut().enumerate().filter(|(_, w)| !w.is_empty());
        let (preemptions, waiting) = queues.nth(nth)?;
        let schedule = waiting.swap_remove(self.stream.below(waiting.len()));
        plan.clear();
        plan.extend(&schedule);
        Some(preemptions)
    }

    /// Adds the schedule that deviates once more than `base`, by `last`, and has this number of
    /// preemptions. Returns whether none was left out for it.
    pub(crate) fn add(
        &mut self,
        preemptions: usize,
        base: &[Preemption],
        last: Preemption,
    ) -> bool {
        if self.waiting.len() <= preemptions {
            self.waiting.resize_with(preemptions + 1, Vec::new);
            self.offered.resize(preemptions + 1, 0);
        }
        self.offered[preemptions] += 1;
        let waiting = &mut self.waiting[preemptions];
        let schedule = || base.iter().copied().chain([last]).collect();
        if waiting.len() < WAITING_MAX {
            waiting.push(schedule());
            return true;
        }
        let offered = usize::try_from(self.offered[preemptions]).unwrap_or(usize::MAX);
        if let Some(slot) = waiting.get_mut(self.stream.below(offered)) {
            *slot = schedule();
        }
        false
    }

    /// Whether no schedule waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.iter().all(Vec::is_empty)
    }
}
