//! The queue of the bounded search: schedules by what their deviations cost, those of equal cost by how
//! near they are to what a fault changes, each as its deviations from the default schedule.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use crate::rt::own_choice::OwnChoice;
use crate::rt::run_log::RunLog;
use crate::schedule::Preemption;
use crate::schedule::default_order::{Bound, default_thread, is_possible, wakes_early};
use crate::schedule::fault_focus::{FaultFocus, ScheduleRank};
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
    /// By cost and rank, the schedules that wait: for each one its number of deviations, followed by
    /// these, packed.
    queues: Vec<VecDeque<u64>>,
    /// By cost and rank, how many schedules wait.
    waiting: Vec<u64>,
    /// For a random sample, the schedules wait here instead.
    sample: Option<Reservoir>,
    /// With the reduction: the schedules that wait or were run, each by a hash of its deviations.
    known: BTreeSet<(u64, u64)>,
    /// The queue of the present schedule.
    present: usize,
    /// What a fault changes, if that is known.
    focus: Option<Rc<FaultFocus>>,
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
            focus: None,
            exceeded: false,
            exceeded_wakes: false,
        };
        bounded.add_queues(0);
        bounded.queues[0].push_back(0);
        bounded.waiting[0] = 1;
        bounded
    }

    /// Lets schedules near to what a fault changes come before others that cost as much.
    pub(crate) fn set_focus(&mut self, focus: Rc<FaultFocus>) {
        self.focus = Some(focus);
    }

    /// Makes the queues up to this one. They are made when needed, since the bound may be far above
    /// what any schedule reaches.
    fn add_queues(&mut self, queue: usize) {
        if self.queues.len() <= queue {
            self.queues.resize_with(queue + 1, VecDeque::new);
            self.waiting.resize(queue + 1, 0);
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
        let Some(first) = self.waiting.iter().position(|waiting| *waiting > 0) else {
            return false;
        };
        self.waiting[first] -= 1;
        self.present = first;
        let queue = &mut self.queues[first];
        let length = queue.pop_front().unwrap_or(0) as usize;
        plan.clear();
        plan.extend(queue.drain(..length).map(Preemption::unpack));
        true
    }

    /// Adds the schedules that deviate from this run once more, at most `left` of which will be run.
    /// `planned` is the number of deviations that were planned, and `is_cut` says that schedules were
    /// left out before. Returns whether all were added.
    pub(crate) fn expand(&mut self, log: &RunLog, planned: usize, left: u64, is_cut: bool) -> bool {
        if is_cut && !self.has_room(self.present - self.present % ScheduleRank::COUNT, left) {
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
        let mut rank = ScheduleRank::NONE;
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
                let own_cost = self.bound.cost(choices, thread, to);
                let cost = used.saturating_add(own_cost);
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
                let rank = self.rank(rank, (thread, point), own_cost).number();
                let queue = cost as usize * ScheduleRank::COUNT + rank;
                if !self.has_room(queue, left) {
                    all = false;
                    continue;
                }
                if reduces {
                    self.known.insert((first, second));
                }
                all &= self.add(queue, &made, last);
            }
            let own_cost = self.bound.cost(choices, thread, went_on);
            used = used.saturating_add(own_cost);
            rank = self.rank(rank, (thread, point), own_cost);
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

    /// The rank of a schedule that has this rank up to a point, and deviates there at this cost.
    fn rank(&self, before: ScheduleRank, (thread, point): (u16, u32), cost: u32) -> ScheduleRank {
        match &self.focus {
            Some(focus) if cost > 0 => before.add(focus.nearness(thread, point)),
            _ => before,
        }
    }

    /// Whether another schedule of this queue will be run, if at most `left` are.
    fn has_room(&mut self, queue: usize, left: u64) -> bool {
        self.add_queues(queue);
        self.sample.is_some() || self.waiting[..=queue].iter().sum::<u64>() < left
    }

    /// Adds the schedule of these deviations and a last one. Returns whether it will be run.
    fn add(&mut self, index: usize, made: &[Preemption], last: Preemption) -> bool {
        if let Some(sample) = &mut self.sample {
            return sample.add(index / ScheduleRank::COUNT, made, last);
        }
        let queue = &mut self.queues[index];
        queue.push_back(made.len() as u64 + 1);
        queue.extend(made.iter().chain([&last]).map(|deviation| deviation.pack()));
        self.waiting[index] += 1;
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
