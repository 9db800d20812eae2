//! The run of a schedule: which thread reaches which scheduling point, which threads may continue
//! there (a thread that yields has to wait for others), and which one does by default.

use crate::rt::thread_set::{THREADS_MAX, ThreadSet, bit, each};
use crate::schedule::Preemption;

/// A scheduling point that `thread` has reached, its `point`th one, and the threads that may
/// continue there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SchedulingPoint {
    pub(crate) thread: u16,
    pub(crate) point: u32,
    pub(crate) choices: ThreadSet,
    /// The thread that continues in the default schedule.
    pub(crate) default: u16,
    /// Whether `thread` itself could continue. If so, switching away from it is a preemption.
    pub(crate) can_continue: bool,
}

/// The present run: how far each thread is, and which thread has to wait for which after yields.
pub(crate) struct Fairness {
    points: [u32; THREADS_MAX],
    /// The threads that have yielded. The next three fields are about these only.
    pub(crate) yielders: ThreadSet,
    /// By yielder, the threads that could run all the time since its last yield.
    able: [ThreadSet; THREADS_MAX],
    /// By yielder, the threads that have run since its last yield.
    ran: [ThreadSet; THREADS_MAX],
    /// By yielder, the threads that have to run before it, as long as they can.
    behind: [ThreadSet; THREADS_MAX],
    /// The run's deviations from the default schedule.
    pub(crate) preemptions: Vec<Preemption>,
    /// The number of scheduling points that all threads together have reached.
    pub(crate) steps: u64,
}

impl Fairness {
    pub(crate) fn new() -> Fairness {
        Fairness {
            points: [0; THREADS_MAX],
            yielders: 0,
            able: [0; THREADS_MAX],
            ran: [0; THREADS_MAX],
            behind: [0; THREADS_MAX],
            preemptions: Vec::new(),
            steps: 0,
        }
    }

    /// Begins another run.
    pub(crate) fn begin(&mut self) {
        self.points = [0; THREADS_MAX];
        self.yielders = 0;
        self.preemptions.clear();
        self.steps = 0;
    }

    /// Notes that a thread reaches its `point`th point. It may have passed others without a call of
    /// this.
    pub(crate) fn reach(
        &mut self,
        runnable: ThreadSet,
        thread: u16,
        point: u32,
        yields: bool,
    ) -> SchedulingPoint {
        let index = usize::from(thread);
        self.steps += u64::from(point.saturating_sub(self.points[index]));
        self.points[index] = point;
        let mut choices = runnable;
        if yields || self.yielders != 0 {
            choices = self.fair_choices(runnable, thread, yields);
        }
        let can_continue = !yields && choices & bit(thread) != 0;
        let default = if can_continue {
            thread
        } else if yields {
            // The next higher-numbered thread, or else the lowest.
            let above = choices & (ThreadSet::MAX << thread << 1);
            if above != 0 { above.trailing_zeros() as u16 } else { choices.trailing_zeros() as u16 }
        } else {
            choices.trailing_zeros() as u16
        };
        SchedulingPoint { thread, point, choices, default, can_continue }
    }

    /// The threads that may run, where some have yielded. A thread that yields twice has to wait
    /// for those that could run all the time between the two yields and did not.
    #[cold]
    fn fair_choices(&mut self, runnable: ThreadSet, thread: u16, yields: bool) -> ThreadSet {
        for waiter in each(self.yielders) {
            self.able[usize::from(waiter)] &= runnable;
        }
        if yields {
            let index = usize::from(thread);
            if self.yielders & bit(thread) != 0 {
                self.behind[index] |= self.able[index] & !self.ran[index] & !bit(thread);
            } else {
                self.yielders |= bit(thread);
                self.behind[index] = 0;
            }
            self.able[index] = runnable;
            self.ran[index] = 0;
        }
        let waits = |other: &u16| {
            self.yielders & bit(*other) != 0 && self.behind[usize::from(*other)] & runnable != 0
        };
        let free =
            each(runnable).filter(|other| !waits(other)).map(bit).fold(0, |all, one| all | one);
        if free == 0 { runnable } else { free }
    }

    /// Lets thread `to` continue.
    pub(crate) fn resume(&mut self, at: &SchedulingPoint, to: u16) {
        if to != at.default {
            self.preemptions.push(Preemption { thread: at.thread, point: at.point, to });
        }
        if self.yielders != 0 {
            for waiter in each(self.yielders) {
                self.ran[usize::from(waiter)] |= bit(to);
                self.behind[usize::from(waiter)] &= !bit(to);
            }
        }
    }
}
