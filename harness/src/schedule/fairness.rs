//! A run as its threads take turns: who comes to which point, who may go on, and who does unless
//! something is said.

use crate::rt::thread_set::{THREADS_MAX, ThreadSet, bit, each};
use crate::schedule::Preemption;

/// A scheduling point: who stands there, and who may go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SchedulingPoint {
    pub(crate) thread: u16,
    pub(crate) point: u32,
    pub(crate) choices: ThreadSet,
    /// Who goes on unless something is said.
    pub(crate) usual: u16,
    /// Whether the thread itself could: another one's going on is a preemption.
    pub(crate) goes_on: bool,
}

/// A run as it goes: how far each thread is, and who has to wait for whom after yields.
pub(crate) struct Fairness {
    points: [u32; THREADS_MAX],
    /// ThreadSet that have yielded; the rest is about them only.
    pub(crate) yielders: ThreadSet,
    /// For each of them: who could run all the time since its last yield, who did, and behind whom
    /// it has to wait.
    able: [ThreadSet; THREADS_MAX],
    ran: [ThreadSet; THREADS_MAX],
    behind: [ThreadSet; THREADS_MAX],
    pub(crate) turns: Vec<Preemption>,
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
            turns: Vec::new(),
            steps: 0,
        }
    }

    pub(crate) fn begin(&mut self) {
        self.points = [0; THREADS_MAX];
        self.yielders = 0;
        self.turns.clear();
        self.steps = 0;
    }

    /// Comes to a point: the thread's `point`th, some of which may have been passed without asking.
    pub(crate) fn come(
        &mut self,
        runnable: ThreadSet,
        thread: u16,
        point: u32,
        yields: bool,
    ) -> SchedulingPoint {
        let at = usize::from(thread);
        self.steps += u64::from(point.saturating_sub(self.points[at]));
        self.points[at] = point;
        let mut choices = runnable;
        if yields || self.yielders != 0 {
            choices = self.fair(runnable, thread, yields);
        }
        let goes_on = !yields && choices & bit(thread) != 0;
        let usual = if goes_on {
            thread
        } else if yields {
            // The next one above it, or the first.
            let above = choices & (ThreadSet::MAX << thread << 1);
            if above != 0 { above.trailing_zeros() as u16 } else { choices.trailing_zeros() as u16 }
        } else {
            choices.trailing_zeros() as u16
        };
        SchedulingPoint { thread, point, choices, usual, goes_on }
    }

    /// Who may run where some have yielded.
    #[cold]
    fn fair(&mut self, runnable: ThreadSet, thread: u16, yields: bool) -> ThreadSet {
        for waiter in each(self.yielders) {
            self.able[usize::from(waiter)] &= runnable;
        }
        if yields {
            let at = usize::from(thread);
            if self.yielders & bit(thread) != 0 {
                self.behind[at] |= self.able[at] & !self.ran[at] & !bit(thread);
            } else {
                self.yielders |= bit(thread);
                self.behind[at] = 0;
            }
            self.able[at] = runnable;
            self.ran[at] = 0;
        }
        let waits = |other: &u16| {
            self.yielders & bit(*other) != 0 && self.behind[usize::from(*other)] & runnable != 0
        };
        let free =
            each(runnable).filter(|other| !waits(other)).map(bit).fold(0, |all, one| all | one);
        if free == 0 { runnable } else { free }
    }

    /// Lets a thread go on.
    pub(crate) fn go(&mut self, place: &SchedulingPoint, to: u16) {
        if to != place.usual {
            self.turns.push(Preemption { thread: place.thread, point: place.point, to });
        }
        if self.yielders != 0 {
            for waiter in each(self.yielders) {
                self.ran[usize::from(waiter)] |= bit(to);
                self.behind[usize::from(waiter)] &= !bit(to);
            }
        }
    }
}
