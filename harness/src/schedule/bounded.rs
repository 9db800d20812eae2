//! The queue of the bounded search: schedules by what their deviations cost, each as its deviations
//! from the default schedule.

use std::collections::{BTreeSet, VecDeque};

use crate::rt::own_choice::OwnChoice;
use crate::rt::run_log::RunLog;
use crate::schedule::Preemption;
use crate::schedule::default_order::{Bound, default_thread, is_possible, wakes_early};
use crate::schedule::options::SearchOptions;
use crate::schedule::races::suggestions;
use crate::schedule::reservoir::Reservoir;
use crate::trace::mix;

/// All schedules within a bound.
pub(crate) struct Bounded {
    bound: Bound,
    options: SearchOptions,
    /// Whether schedules are left out that differ from others only in the order of steps that
    /// commute.
    reduces: bool,
    /// By cost, the schedules that wait: for each one its number of deviations, followed by these,
    /// packed.
    queues: Vec<VecDeque<u64>>,
    /// By cost, how many schedules wait.
    waiting: Vec<u64>,
    /// For a random sample, the schedules wait here instead.
    sample: Option<Reservoir>,
    /// With the reduction: the schedules that wait or were run, each by a hash of its deviations.
    known: BTreeSet<(u64, u64)>,
    /// What the deviations of the present schedule cost.
    present: usize,
    /// Whether a schedule was left out since it exceeds the bound.
    exceeded: bool,
    /// Whether a schedule was left out since too many of its waits end early.
    exceeded_wakes: bool,
}

/// The hash of a schedule's first deviations.
#[derive(Clone, Copy, Default)]
struct ScheduleHash(u64, u64);

impl ScheduleHash {
    fn add(self, deviation: Preemption) -> ScheduleHash {
        let packed = deviation.pack();
        ScheduleHash(mix(self.0 ^ packed), mix(self.1.rotate_left(29) ^ mix(!packed)))
    }
}

impl Bounded {
    pub(crate) fn new(bound: Bound, options: SearchOptions) -> Bounded {
        let mut bounded = Bounded {
            bound,
            options,
            // Whether a delay-bounded schedule has an equal one within the bound depends on more
            // than its races.
            reduces: options.reduces && matches!(bound, Bound::Preemptions(_)),
            queues: Vec::new(),
            waiting: Vec::new(),
            sample: None,
            known: BTreeSet::new(),
            present: 0,
            exceeded: false,
            exceeded_wakes: false,
        };
        bounded.add_queues(0);
        bounded.queues[0].push_back(0);
        bounded.waiting[0] = 1;
        bounded
    }

    /// Makes the queues for up to this cost. They are made when needed, since the bound may be far
    /// above what any schedule reaches.
    fn add_queues(&mut self, cost: usize) {
        if self.queues.len() <= cost {
            self.queues.resize_with(cost + 1, VecDeque::new);
            self.waiting.resize(cost + 1, 0);
        }
    }

    /// The same schedules in random order.
    pub(crate) fn sampled(bound: Bound, options: SearchOptions, seed: u64) -> Bounded {
        let sample = Some(Reservoir::new(seed));
        Bounded { sample, reduces: false, ..Bounded::new(bound, options) }
    }

    /// Moves the next schedule into `plan`. Returns whether there was one.
    pub(crate) fn next(&mut self, plan: &mut Vec<Preemption>) -> bool {
        if let Some(sample) = &mut self.sample {
            return sample.next(plan).is_some();
        }
        let Some(cost) = self.waiting.iter().position(|waiting| *waiting > 0) else {
            return false;
        };
        self.waiting[cost] -= 1;
        self.present = cost;
        let queue = &mut self.queues[cost];
        let length = queue.pop_front().unwrap_or(0) as usize;
        plan.clear();
        plan.extend(queue.drain(..length).map(Preemption::unpack));
        true
    }

    /// Adds the schedules that deviate from this run once more, at most `left` of which will be run.
    /// `planned` is the number of deviations that were planned, and `is_cut` says that schedules were
    /// left out before. Returns whether all were added.
    pub(crate) fn expand(&mut self, log: &RunLog, planned: usize, left: u64, is_cut: bool) -> bool {
        if is_cut && !self.has_room(self.present, left) {
            // None of them would be run, and it is known already that some are left out.
            return false;
        }
        let reduces = self.reduces && !log.is_partial;
        let suggested = if reduces {
            suggestions(log, self.bound, last_planned(log, planned))
        } else {
            every_deviation(log, planned)
        };
        let mut all = true;
        let mut suggested = suggested.into_iter().peekable();
        let mut made: Vec<Preemption> = Vec::new();
        let mut hash = ScheduleHash::default();
        let (mut used, mut wakes, mut cancelled) = (0_u32, 0_u32, 0_u32);
        for (index, step) in log.steps.iter().enumerate().skip(1) {
            if suggested.peek().is_none() {
                break;
            }
            let Some((thread, point)) = log.arrival(index) else { continue };
            let choices = &log.choices[step.choices as usize];
            let default = default_thread(choices, thread);
            let went_on = step.own.by(step.thread);
            while let Some((_, to)) = suggested.next_if(|(step, _)| *step == index) {
                // With the default thread it is the schedule that this one deviates from.
                if to == went_on || Some(to) == default || !is_possible(choices, to) {
                    continue;
                }
                if OwnChoice::split(to).1.is_drop() && cancelled >= self.options.cancels {
                    // Without any cancellation, schedules that have one are none of this search's.
                    self.exceeded_wakes |= self.options.cancels > 0;
                    continue;
                }
                let cost = used.saturating_add(self.bound.cost(choices, thread, to));
                if cost > self.bound.limit() {
                    self.exceeded = true;
                    continue;
                }
                if wakes_early(choices, to) && wakes >= self.options.wakes {
                    self.exceeded_wakes = true;
                    continue;
                }
                let last = Preemption { thread, point, to };
                let ScheduleHash(first, second) = hash.add(last);
                if reduces && self.known.contains(&(first, second)) {
                    continue;
                }
                if !self.has_room(cost as usize, left) {
                    all = false;
                    continue;
                }
                if reduces {
                    self.known.insert((first, second));
                }
                all &= self.add(cost as usize, &made, last);
            }
            used = used.saturating_add(self.bound.cost(choices, thread, went_on));
            wakes += u32::from(wakes_early(choices, went_on));
            cancelled += u32::from(step.own.is_drop());
            if default != Some(went_on) {
                let deviation = Preemption { thread, point, to: went_on };
                made.push(deviation);
                hash = hash.add(deviation);
            }
        }
        all
    }

    /// Whether another schedule of this cost will be run, if at most `left` are.
    fn has_room(&mut self, cost: usize, left: u64) -> bool {
        self.add_queues(cost);
        self.sample.is_some() || self.waiting[..=cost].iter().sum::<u64>() < left
    }

    /// Adds the schedule of these deviations and a last one. Returns whether it will be run.
    fn add(&mut self, cost: usize, made: &[Preemption], last: Preemption) -> bool {
        if let Some(sample) = &mut self.sample {
            return sample.add(cost, made, last);
        }
        let queue = &mut self.queues[cost];
        queue.push_back(made.len() as u64 + 1);
        queue.extend(made.iter().chain([&last]).map(|deviation| deviation.pack()));
        self.waiting[cost] += 1;
        true
    }

    /// Whether no schedule waits.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.sample {
            Some(sample) => sample.is_empty(),
            None => self.waiting.iter().all(|waiting| *waiting == 0),
        }
    }

    /// Whether a schedule was left out since it exceeds the bound.
    pub(crate) fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// Whether a schedule was left out since too many of its waits end early.
    pub(crate) fn exceeded_wakes(&self) -> bool {
        self.exceeded_wakes
    }
}

/// The step at which the last of the planned deviations is made; 0 if there is none.
fn last_planned(log: &RunLog, planned: usize) -> usize {
    let mut made = 0;
    for (index, step) in log.steps.iter().enumerate().skip(1) {
        if made == planned {
            break;
        }
        let Some((thread, _)) = log.arrival(index) else { continue };
        let choices = &log.choices[step.choices as usize];
        made += usize::from(default_thread(choices, thread) != Some(step.own.by(step.thread)));
        if made == planned {
            return index;
        }
    }
    0
}

/// Each step after the planned deviations, with each other thread that could have gone on there.
fn every_deviation(log: &RunLog, planned: usize) -> Vec<(usize, u16)> {
    let mut made = 0;
    let mut all = Vec::new();
    for (index, step) in log.steps.iter().enumerate().skip(1) {
        let Some((thread, _)) = log.arrival(index) else { continue };
        let choices = &log.choices[step.choices as usize];
        let deviates = default_thread(choices, thread) != Some(step.own.by(step.thread));
        if made >= planned && !deviates {
            all.extend(choices.all().iter().map(|to| (index, to)));
            all.extend(choices.offers.all().map(|own| (index, own.by(thread))));
        }
        made += usize::from(deviates);
    }
    all
}
