//! Channels as std's, of a mutex and a condition variable of ours. Those with a bound are not here.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

pub use std::sync::mpsc::{RecvError, SendError, TryRecvError};

use super::{Condvar, Mutex, MutexGuard};

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    senders: usize,
    has_receiver: bool,
}

#[derive(Debug)]
struct Channel<T> {
    state: Mutex<State<T>>,
    came: Condvar,
}

impl<T> Channel<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end that sends, as [`std::sync::mpsc::Sender`].
#[derive(Debug)]
pub struct Sender<T>(Arc<Channel<T>>);

/// The end that receives, as [`std::sync::mpsc::Receiver`].
#[derive(Debug)]
pub struct Receiver<T>(Arc<Channel<T>>);

/// A channel without a bound, as [`std::sync::mpsc::channel`].
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = State { waiting: VecDeque::new(), senders: 1, has_receiver: true };
    let channel = Arc::new(Channel { state: Mutex::new(state), came: Condvar::new() });
    (Sender(Arc::clone(&channel)), Receiver(channel))
}

impl<T> Sender<T> {
    /// Sends a value.
    ///
    /// # Errors
    /// With the value, where nobody receives any more.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let mut state = self.0.state();
        if !state.has_receiver {
            return Err(SendError(value));
        }
        state.waiting.push_back(value);
        drop(state);
        self.0.came.notify_one();
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.state().senders += 1;
        Sender(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.senders -= 1;
        let was_last = state.senders == 0;
        drop(state);
        if was_last {
            self.0.came.notify_all();
        }
    }
}

impl<T> Receiver<T> {
    /// Waits for a value.
    ///
    /// # Errors
    /// Where there is none, and nobody is left to send one.
    pub fn recv(&self) -> Result<T, RecvError> {
        let mut state = self.0.state();
        loop {
            if let Some(value) = state.waiting.pop_front() {
                return Ok(value);
            }
            if state.senders == 0 {
                return Err(RecvError);
            }
            state = self.0.came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes a value if there is one.
    ///
    /// # Errors
    /// Where there is none, and whether one may come.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut state = self.0.state();
        let gone = state.senders == 0;
        let nothing = if gone { TryRecvError::Disconnected } else { TryRecvError::Empty };
        state.waiting.pop_front().ok_or(nothing)
    }

    /// Values until nobody is left to send one.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.recv().ok())
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = {
            let mut state = self.0.state();
            state.has_receiver = false;
            std::mem::take(&mut state.waiting)
        };
        // A value may be the last sender of something else.
        drop(left);
    }
}
