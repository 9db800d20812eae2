//! The queue of the bounded search: schedules by their number of preemptions, each as its
//! deviations from the default schedule.

use std::collections::VecDeque;

use crate::rt::thread_set::{bit, each};
use crate::schedule::Preemption;
use crate::schedule::fairness::SchedulingPoint;
use crate::schedule::reservoir::Reservoir;

/// All schedules with at most `bound` preemptions.
pub(crate) struct Bounded {
    bound: usize,
    /// By number of preemptions, the schedules that wait: for each one its number of deviations,
    /// followed by these, packed.
    queues: Vec<VecDeque<u64>>,
    /// By number of preemptions, how many schedules wait.
    waiting: Vec<u64>,
    /// For a random sample, the schedules wait here instead.
    sample: Option<Reservoir>,
    /// The number of preemptions of the present schedule.
    used: usize,
    /// Whether enough schedules wait already, so that those with one more preemption than the
    /// present one won't be run. Then one of them is noted, to know that some were left out, and no
    /// more.
    is_full: bool,
    /// Whether a schedule with one more preemption than the present one was noted.
    noted_preemption: bool,
    /// Where the present schedule could have deviated once more, and which thread continued there.
    deviations: Vec<(SchedulingPoint, u16)>,
}

impl Bounded {
    pub(crate) fn new(bound: u32) -> Bounded {
        let mut bounded = Bounded {
            bound: bound as usize,
            queues: Vec::new(),
            waiting: Vec::new(),
            sample: None,
            used: 0,
            is_full: false,
            noted_preemption: false,
            deviations: Vec::new(),
        };
        bounded.add_queues(0);
        bounded.queues[0].push_back(0);
        bounded.waiting[0] = 1;
        bounded
    }

    /// Makes the queues for up to this number of preemptions. They are made when needed, since the
    /// bound may be far above what any schedule reaches.
    fn add_queues(&mut self, preemptions: usize) {
        if self.queues.len() <= preemptions {
            self.queues.resize_with(preemptions + 1, VecDeque::new);
            self.waiting.resize(preemptions + 1, 0);
        }
    }

    /// The same schedules in random order.
    pub(crate) fn sampled(bound: u32, seed: u64) -> Bounded {
        Bounded { sample: Some(Reservoir::new(seed)), ..Bounded::new(bound) }
    }

    /// Whether schedules with one more preemption than the present one have to be noted.
    #[inline]
    pub(crate) fn notes_preemptions(&self) -> bool {
        self.used < self.bound && !(self.is_full && self.noted_preemption)
    }

    /// Moves the next schedule into `plan`; after it at most `left` more will be run. Returns
    /// whether there was one.
    pub(crate) fn next(&mut self, plan: &mut Vec<Preemption>, left: u64) -> bool {
        self.deviations.clear();
        self.noted_preemption = false;
        if let Some(sample) = &mut self.sample {
            let Some(used) = sample.next(plan) else { return false };
            self.used = used;
            return true;
        }
        let Some(preemptions) = self.waiting.iter().position(|waiting| *waiting > 0) else {
            return false;
        };
        self.waiting[preemptions] -= 1;
        self.used = preemptions;
        let most = (preemptions + 1).min(self.waiting.len() - 1);
        self.is_full = self.waiting[..=most].iter().sum::<u64>() >= left;
        let queue = &mut self.queues[preemptions];
        let length = queue.pop_front().unwrap_or(0) as usize;
        plan.clear();
        plan.extend(queue.drain(..length).map(Preemption::unpack));
        true
    }

    /// Adds the schedules that deviate once more than `schedule`, which has just ended; at most
    /// `left` of them will be run. Returns whether all were added.
    pub(crate) fn expand(&mut self, schedule: &[Preemption], left: u64) -> bool {
        let mut all = true;
        let deviations = std::mem::take(&mut self.deviations);
        for (at, to) in &deviations {
            let preemptions = self.used + usize::from(at.can_continue);
            self.add_queues(preemptions);
            for other in each(at.choices & !bit(*to)) {
                let last = Preemption { thread: at.thread, point: at.point, to: other };
                if let Some(sample) = &mut self.sample {
                    all &= sample.add(preemptions, schedule, last);
                    continue;
                }
                let before: u64 = self.waiting[..=preemptions].iter().sum();
                if before >= left {
                    all = false;
                    break;
                }
                let queue = &mut self.queues[preemptions];
                queue.push_back(schedule.len() as u64 + 1);
                queue.extend(schedule.iter().chain([&last]).map(|preemption| preemption.pack()));
                self.waiting[preemptions] += 1;
            }
        }
        self.deviations = deviations;
        all
    }

    /// Notes that the present schedule, in which `to` continues, could deviate here once more.
    #[inline]
    pub(crate) fn note(&mut self, at: SchedulingPoint, to: u16) {
        if (!at.can_continue || self.notes_preemptions()) && at.choices & !bit(to) != 0 {
            self.noted_preemption |= at.can_continue;
            self.deviations.push((at, to));
        }
    }

    /// Whether no schedule waits.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.sample {
            Some(sample) => sample.is_empty(),
            None => self.waiting.iter().all(|waiting| *waiting == 0),
        }
    }
}
