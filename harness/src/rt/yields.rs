//! Threads that yield, and for whom they wait.
//!
//! A thread that yields says that it can't get on before others have. So others go on first: it is
//! ready again once another thread has made a step. And a thread that yields twice has to wait for
//! those that could run all the time between the two yields, and did not. So loops that wait for
//! another thread end. Schedules in which it goes on all the same exist as well: each time costs as
//! much as a preemption.
//!
//! The rule for the second yield is that of fair stateless model checking (Musuvathi and Qadeer,
//! 2008).

use crate::rt::thread_set::ThreadSet;

/// The threads of a run that have yielded.
#[derive(Default)]
pub(crate) struct Yields {
    /// The threads that have yielded in this run.
    yielders: ThreadSet,
    /// Those that wait for their turn at present.
    waiting: ThreadSet,
    states: Vec<YieldState>,
}

#[derive(Clone, Copy, Default)]
struct YieldState {
    /// Whether no other thread has made a step since.
    is_fresh: bool,
    /// The threads that could run all the time since the last yield.
    able: ThreadSet,
    /// The threads that have run since then.
    ran: ThreadSet,
    /// The threads that have to run before it, as long as they can.
    behind: ThreadSet,
}

impl Yields {
    pub(crate) fn clear(&mut self) {
        self.yielders = ThreadSet::EMPTY;
        self.waiting = ThreadSet::EMPTY;
    }

    /// Whether a thread has yielded.
    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        !self.yielders.is_empty()
    }

    /// The threads that wait for their turn, or may by now have it.
    pub(crate) fn waiting(&self) -> ThreadSet {
        self.waiting
    }

    /// Whether a thread that has yielded has to wait, where the threads `ready` can run.
    pub(crate) fn waits(&self, thread: u16, ready: ThreadSet) -> bool {
        let Some(state) = self.states.get(usize::from(thread)) else { return false };
        self.waiting.contains(thread) && (state.is_fresh || !(state.behind & ready).is_empty())
    }

    /// A thread yields, where these threads can run.
    pub(crate) fn begin(&mut self, thread: u16, mut ready: ThreadSet) {
        ready.remove(thread);
        let index = usize::from(thread);
        if self.states.len() <= index {
            self.states.resize(index + 1, YieldState::default());
        }
        let state = &mut self.states[index];
        if self.yielders.contains(thread) {
            state.behind |= state.able - state.ran;
        } else {
            state.behind = ThreadSet::EMPTY;
        }
        (state.is_fresh, state.able, state.ran) = (true, ready, ThreadSet::EMPTY);
        self.yielders.insert(thread);
        self.waiting.insert(thread);
    }

    /// A thread that has yielded goes on.
    pub(crate) fn end(&mut self, thread: u16) {
        self.waiting.remove(thread);
    }

    /// Another step begins: this thread goes on, where these can run.
    pub(crate) fn note_step(&mut self, thread: u16, ready: ThreadSet) {
        for yielder in self.yielders.iter().filter(|yielder| *yielder != thread) {
            let state = &mut self.states[usize::from(yielder)];
            state.is_fresh = false;
            state.ran.insert(thread);
            state.behind.remove(thread);
            state.able &= ready;
        }
    }
}
