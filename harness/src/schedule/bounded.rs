//! The bounded search's queue: schedules by preemptions, each as its deviations.

use std::collections::VecDeque;

use crate::rt::thread_set::{bit, each};
use crate::schedule::Preemption;
use crate::schedule::fairness::SchedulingPoint;
use crate::schedule::reservoir::Reservoir;

/// All schedules with at most so many preemptions.
pub(crate) struct Bounded {
    preemptions: usize,
    /// By preemptions: of each schedule that waits the number of its deviations, and these.
    queues: Vec<VecDeque<u64>>,
    waiting: Vec<u64>,
    /// Where chance takes the next one, those that wait are here instead.
    drawn: Option<Reservoir>,
    /// Preemptions of the present schedule, and whether schedules with one more will hardly be run:
    /// enough others wait. Then the first is all that has to be known.
    used: usize,
    is_full: bool,
    noted: bool,
    /// Where the present schedule could have deviated once more.
    places: Vec<(SchedulingPoint, u16)>,
}

impl Bounded {
    pub(crate) fn new(preemptions: u32) -> Bounded {
        let mut bounded = Bounded {
            preemptions: preemptions as usize,
            queues: Vec::new(),
            waiting: Vec::new(),
            drawn: None,
            used: 0,
            is_full: false,
            noted: false,
            places: Vec::new(),
        };
        bounded.reach(0);
        bounded.queues[0].push_back(0);
        bounded.waiting[0] = 1;
        bounded
    }

    /// Makes a queue for so many preemptions: there may be a great many that nothing ever has.
    fn reach(&mut self, bucket: usize) {
        if self.queues.len() <= bucket {
            self.queues.resize_with(bucket + 1, VecDeque::new);
            self.waiting.resize(bucket + 1, 0);
        }
    }

    /// The same, of which chance takes one after the other.
    pub(crate) fn drawn(preemptions: u32, seed: u64) -> Bounded {
        Bounded { drawn: Some(Reservoir::new(seed)), ..Bounded::new(preemptions) }
    }

    /// Whether a schedule that preempts a thread once more than this one is worth to be noted.
    #[inline]
    pub(crate) fn wants_more(&self) -> bool {
        self.used < self.preemptions && !(self.is_full && self.noted)
    }

    /// Takes the next one, `left` of which will be run at most.
    pub(crate) fn next(&mut self, plan: &mut Vec<Preemption>, left: u64) -> bool {
        self.places.clear();
        self.noted = false;
        if let Some(drawn) = &mut self.drawn {
            let Some(used) = drawn.next(plan) else { return false };
            self.used = used;
            return true;
        }
        let Some(bucket) = self.waiting.iter().position(|waiting| *waiting > 0) else {
            return false;
        };
        self.waiting[bucket] -= 1;
        self.used = bucket;
        let most = (bucket + 1).min(self.waiting.len() - 1);
        self.is_full = self.waiting[..=most].iter().sum::<u64>() >= left;
        let queue = &mut self.queues[bucket];
        let turns = queue.pop_front().unwrap_or(0) as usize;
        plan.clear();
        plan.extend(queue.drain(..turns).map(Preemption::unpack));
        true
    }

    /// Adds the schedules that deviate once more than the one that has just ended, `left` of which
    /// will be run at most. False: some were left out.
    pub(crate) fn expand(&mut self, turns: &[Preemption], left: u64) -> bool {
        let mut all = true;
        let places = std::mem::take(&mut self.places);
        for (place, to) in &places {
            let bucket = self.used + usize::from(place.goes_on);
            self.reach(bucket);
            for other in each(place.choices & !bit(*to)) {
                let last = Preemption { thread: place.thread, point: place.point, to: other };
                if let Some(drawn) = &mut self.drawn {
                    all &= drawn.add(bucket, turns, last);
                    continue;
                }
                let before: u64 = self.waiting[..=bucket].iter().sum();
                if before >= left {
                    all = false;
                    break;
                }
                let queue = &mut self.queues[bucket];
                queue.push_back(turns.len() as u64 + 1);
                queue.extend(turns.iter().chain([&last]).map(|turn| turn.pack()));
                self.waiting[bucket] += 1;
            }
        }
        self.places = places;
        all
    }

    /// Notes that the present schedule could deviate here once more.
    #[inline]
    pub(crate) fn note(&mut self, place: SchedulingPoint, to: u16) {
        if (!place.goes_on || self.wants_more()) && place.choices & !bit(to) != 0 {
            self.noted |= place.goes_on;
            self.places.push((place, to));
        }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.drawn {
            Some(drawn) => drawn.is_empty(),
            None => self.waiting.iter().all(|waiting| *waiting == 0),
        }
    }
}
