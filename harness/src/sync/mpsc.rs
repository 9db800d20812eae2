//! Channels as std's, of a mutex and condition variables of ours.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

use crate::sync::{Condvar, Mutex, MutexGuard};

#[derive(Debug)]
struct ChannelState<T> {
    waiting: VecDeque<T>,
    senders: usize,
    has_receiver: bool,
    /// How many values were sent, and how many of them were taken.
    sent: u64,
    taken: u64,
    /// Whether somebody waits for a value.
    receives: bool,
}

#[derive(Debug)]
struct Channel<T> {
    state: Mutex<ChannelState<T>>,
    /// So many values may wait, where there is a bound. With 0 each is handed over.
    bound: Option<usize>,
    came: Condvar,
    went: Condvar,
}

impl<T> Channel<T> {
    fn ends(bound: Option<usize>) -> (Sender<T>, Receiver<T>) {
        let state = ChannelState {
            waiting: VecDeque::new(),
            senders: 1,
            has_receiver: true,
            sent: 0,
            taken: 0,
            receives: false,
        };
        let (came, went) = (Condvar::new(), Condvar::new());
        let channel = Arc::new(Channel { state: Mutex::new(state), bound, came, went });
        (Sender(Arc::clone(&channel)), Receiver(channel))
    }

    fn state(&self) -> MutexGuard<'_, ChannelState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        on: &Condvar,
        state: MutexGuard<'a, ChannelState<T>>,
    ) -> MutexGuard<'a, ChannelState<T>> {
        on.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another value may wait now.
    fn has_room(&self, state: &ChannelState<T>) -> bool {
        self.bound.is_none_or(|bound| state.waiting.len() < bound.max(1))
    }

    /// Sends a value, once there is room for it; with a bound of 0 once it was taken.
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        let mut state = self.state();
        while state.has_receiver && !self.has_room(&state) {
            state = self.wait(&self.went, state);
        }
        if !state.has_receiver {
            return Err(SendError(value));
        }
        state.waiting.push_back(value);
        state.sent += 1;
        let mine = state.sent;
        if self.bound != Some(0) {
            drop(state);
            self.came.notify_one();
            return Ok(());
        }
        self.came.notify_one();
        while state.has_receiver && state.taken < mine {
            state = self.wait(&self.went, state);
        }
        // Only one waits at a time, so what is left there is this one's.
        match state.waiting.pop_front() {
            Some(value) if state.taken < mine => Err(SendError(value)),
            other => {
                state.waiting.extend(other);
                Ok(())
            }
        }
    }

    fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut state = self.state();
        if !state.has_receiver {
            return Err(TrySendError::Disconnected(value));
        }
        let is_taken = self.bound != Some(0) || state.receives;
        if !is_taken || !self.has_room(&state) {
            return Err(TrySendError::Full(value));
        }
        state.waiting.push_back(value);
        state.sent += 1;
        drop(state);
        self.came.notify_one();
        Ok(())
    }

    /// Takes the next value, and tells those who wait for room.
    fn take(&self, state: &mut ChannelState<T>) -> Option<T> {
        let value = state.waiting.pop_front()?;
        state.taken += 1;
        match self.bound {
            None => {}
            // One waits until it was taken, the others for their turn.
            Some(0) => self.went.notify_all(),
            Some(_) => self.went.notify_one(),
        }
        Some(value)
    }

    fn leave(&self) {
        let mut state = self.state();
        state.senders -= 1;
        let was_last = state.senders == 0;
        drop(state);
        if was_last {
            self.came.notify_all();
        }
    }
}

/// The end that sends, as [`std::sync::mpsc::Sender`].
#[derive(Debug)]
pub struct Sender<T>(Arc<Channel<T>>);

/// The end that sends and waits for room, as [`std::sync::mpsc::SyncSender`].
#[derive(Debug)]
pub struct SyncSender<T>(Sender<T>);

/// The end that receives, as [`std::sync::mpsc::Receiver`].
#[derive(Debug)]
pub struct Receiver<T>(Arc<Channel<T>>);

/// A channel without a bound, as [`std::sync::mpsc::channel`].
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    Channel::ends(None)
}

/// A channel in which so many values may wait, as [`std::sync::mpsc::sync_channel`]; with 0 a sender
/// waits until its value is taken.
#[must_use]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (sender, receiver) = Channel::ends(Some(bound));
    (SyncSender(sender), receiver)
}

impl<T> Sender<T> {
    /// Sends a value.
    ///
    /// # Errors
    /// With the value, where nobody receives any more.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.send(value)
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
        self.0.leave();
    }
}

impl<T> SyncSender<T> {
    /// Sends a value once there is room.
    ///
    /// # Errors
    /// With the value, where nobody receives any more.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.0.send(value)
    }

    /// Sends a value if there is room; with a bound of 0, if somebody waits for one.
    ///
    /// # Errors
    /// With the value, where there is no room, and where nobody receives any more.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.0.0.try_send(value)
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> Self {
        SyncSender(self.0.clone())
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
            if let Some(value) = self.0.take(&mut state) {
                return Ok(value);
            }
            if state.senders == 0 {
                return Err(RecvError);
            }
            state.receives = true;
            state = self.0.wait(&self.0.came, state);
            state.receives = false;
        }
    }

    /// Waits for a value, but not longer than this; in a model, where time does not pass, as long as
    /// it takes.
    ///
    /// # Errors
    /// Where none came in time, and where nobody is left to send one.
    pub fn recv_timeout(&self, time: Duration) -> Result<T, RecvTimeoutError> {
        let end = Instant::now().checked_add(time);
        let mut state = self.0.state();
        loop {
            if let Some(value) = self.0.take(&mut state) {
                return Ok(value);
            }
            if state.senders == 0 {
                return Err(RecvTimeoutError::Disconnected);
            }
            let left = end.map_or(time, |end| end.saturating_duration_since(Instant::now()));
            state.receives = true;
            let waited = self.0.came.wait_timeout(state, left);
            let (after, ended) = waited.unwrap_or_else(PoisonError::into_inner);
            state = after;
            state.receives = false;
            if ended.timed_out() && state.waiting.is_empty() {
                return Err(RecvTimeoutError::Timeout);
            }
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
        self.0.take(&mut state).ok_or(nothing)
    }

    /// Values until nobody is left to send one.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// Values that wait now.
    pub fn try_iter(&self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.try_recv().ok())
    }
}

/// All values of a channel, as [`std::sync::mpsc::IntoIter`].
#[derive(Debug)]
pub struct IntoIter<T>(Receiver<T>);

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = {
            let mut state = self.0.state();
            state.has_receiver = false;
            // One that is to be handed over stays its sender's.
            if self.0.bound == Some(0) {
                VecDeque::new()
            } else {
                std::mem::take(&mut state.waiting)
            }
        };
        if self.0.bound.is_some() {
            self.0.went.notify_all();
        }
        // A value may be the last sender of something else.
        drop(left);
    }
}
