//! Schedules that wait for chance to take them, where there are more than can be run: all that a
//! bound permits stay possible, and none is run twice.

use crate::schedule::Preemption;
use crate::trace::Stream;

/// So many wait with as many preemptions at the most. Beyond these, which ones is chance's as well.
const WAITING_MAX: usize = 1 << 14;

/// Schedules that wait, by preemptions.
pub(crate) struct Reservoir {
    waiting: Vec<Vec<Box<[Preemption]>>>,
    /// How many there were of each, those that were left out included.
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

    /// Takes one: each number of preemptions is as likely, since those with the most of them are
    /// nearly all. Answers that number.
    pub(crate) fn next(&mut self, plan: &mut Vec<Preemption>) -> Option<usize> {
        let there = self.waiting.iter().filter(|waiting| !waiting.is_empty()).count();
        if there == 0 {
            return None;
        }
        let nth = self.stream.below(there);
        let mut buckets = self.waiting.iter_mut().enumerate().filter(|(_, w)| !w.is_empty());
        let (bucket, waiting) = buckets.nth(nth)?;
        let turns = waiting.swap_remove(self.stream.below(waiting.len()));
        plan.clear();
        plan.extend(&turns);
        Some(bucket)
    }

    /// Adds the one that deviates from these turns once more. False: one was left out.
    pub(crate) fn add(&mut self, bucket: usize, turns: &[Preemption], last: Preemption) -> bool {
        if self.waiting.len() <= bucket {
            self.waiting.resize_with(bucket + 1, Vec::new);
            self.offered.resize(bucket + 1, 0);
        }
        self.offered[bucket] += 1;
        let waiting = &mut self.waiting[bucket];
        let schedule = || turns.iter().copied().chain([last]).collect();
        if waiting.len() < WAITING_MAX {
            waiting.push(schedule());
            return true;
        }
        let offered = usize::try_from(self.offered[bucket]).unwrap_or(usize::MAX);
        if let Some(place) = waiting.get_mut(self.stream.below(offered)) {
            *place = schedule();
        }
        false
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.iter().all(Vec::is_empty)
    }
}
