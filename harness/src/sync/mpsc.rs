//! The twins of std's channels, built of our mutex and condition variables. Under shuttle each
//! operation is one scheduling point instead (`channel_points.rs`).

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

#[cfg(feature = "shuttle")]
use crate::rt::{self, CurrentEngine, SharedOpKind};
#[cfg(feature = "shuttle")]
use crate::sync::channel_points::{ChannelLevel, ChannelPoints};
use crate::sync::condvar::Condvar;
use crate::sync::mutex::{Mutex, MutexGuard};
use crate::time::Instant;
#[cfg(feature = "shuttle")]
use crate::time::nanoseconds;

struct ChannelState<T> {
    waiting: VecDeque<T>,
    senders: usize,
    has_receiver: bool,
    /// The number of values that were sent, and how many of them were received.
    sent: u64,
    received: u64,
    /// Whether the receiver waits for a value.
    receiver_waits: bool,
}

struct Channel<T> {
    state: Mutex<ChannelState<T>>,
    /// The number of values that may wait, if there is a bound. With 0 a sender waits until its
    /// value was received.
    bound: Option<usize>,
    /// Notified when a value was sent, and when the last sender is dropped.
    value_sent: Condvar,
    /// Notified when a value was received, and when the receiver is dropped.
    value_received: Condvar,
    #[cfg(feature = "shuttle")]
    points: ChannelPoints,
}

/// The channel under shuttle.
#[cfg(feature = "shuttle")]
impl<T> Channel<T> {
    fn is_modelled() -> bool {
        rt::engine() == CurrentEngine::Shuttle
    }

    /// The state, without a scheduling point: no thread is left while it has it.
    fn model_state(&self) -> std::sync::MutexGuard<'_, ChannelState<T>> {
        self.state.without_model()
    }

    fn level(&self, state: &ChannelState<T>) -> ChannelLevel {
        ChannelLevel {
            sent: state.sent,
            received: state.received,
            bound: self.bound.map(|bound| bound as u64),
            has_senders: state.senders > 0,
            has_receiver: state.has_receiver,
        }
    }

    fn present_level(&self) -> ChannelLevel {
        self.level(&self.model_state())
    }

    fn model_send(&self, value: T) -> Result<(), SendError<T>> {
        self.points.before_send(self.present_level());
        let number = {
            let mut state = self.model_state();
            if !state.has_receiver {
                return Err(SendError(value));
            }
            state.waiting.push_back(value);
            state.sent += 1;
            self.points.sent(self.level(&state), true);
            state.sent
        };
        if self.bound != Some(0) {
            return Ok(());
        }
        self.points.wait_for_receipt(ChannelLevel { sent: number, ..self.present_level() });
        let mut state = self.model_state();
        if state.received >= number {
            return Ok(());
        }
        // The receiver is gone. At most one value waits, so one that is left is this sender's.
        state.sent -= 1;
        state.waiting.pop_front().map_or(Ok(()), |value| Err(SendError(value)))
    }

    fn model_try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.points.before_attempt(self.present_level(), SharedOpKind::Send);
        let mut state = self.model_state();
        if !state.has_receiver {
            return Err(TrySendError::Disconnected(value));
        }
        let is_accepted = self.bound != Some(0) || state.receiver_waits;
        if self.bound == Some(0) {
            self.points.saw_receiver();
        }
        if !is_accepted || !self.has_room(&state) {
            self.points.full(self.level(&state));
            return Err(TrySendError::Full(value));
        }
        state.waiting.push_back(value);
        state.sent += 1;
        self.points.sent(self.level(&state), false);
        Ok(())
    }

    /// Receives a value, after waiting for it if `waits`.
    fn model_receive(&self, waits: bool, time: Option<u64>) -> Result<T, RecvTimeoutError> {
        let mut is_late = false;
        if waits {
            let level = {
                let mut state = self.model_state();
                state.receiver_waits = true;
                self.level(&state)
            };
            self.points.receiver_waits();
            is_late = self.points.before_receive(level, time);
        } else {
            self.points.before_attempt(self.present_level(), SharedOpKind::Receive);
        }
        let mut state = self.model_state();
        state.receiver_waits = false;
        if let Some(value) = state.waiting.pop_front() {
            state.received += 1;
            self.points.received(self.level(&state), waits && !is_late);
            return Ok(value);
        }
        self.points.nothing_received(self.level(&state), waits && !is_late);
        if state.senders == 0 {
            Err(RecvTimeoutError::Disconnected)
        } else {
            Err(RecvTimeoutError::Timeout)
        }
    }

    fn model_drop_sender(&self) {
        self.points.before_drop();
        let mut state = self.model_state();
        state.senders -= 1;
        self.points.dropped_sender(self.level(&state));
    }

    fn model_drop_receiver(&self) {
        self.points.before_drop();
        let left = {
            let mut state = self.model_state();
            state.has_receiver = false;
            self.points.dropped_receiver(self.level(&state));
            if self.bound == Some(0) { VecDeque::new() } else { std::mem::take(&mut state.waiting) }
        };
        // As outside of a model: the drop of a value may run any code.
        drop(left);
    }
}

impl<T> Channel<T> {
    fn new_pair(bound: Option<usize>) -> (Sender<T>, Receiver<T>) {
        let state = ChannelState {
            waiting: VecDeque::new(),
            senders: 1,
            has_receiver: true,
            sent: 0,
            received: 0,
            receiver_waits: false,
        };
        let (value_sent, value_received) = (Condvar::new(), Condvar::new());
        let state = Mutex::new(state);
        let channel = Arc::new(Channel {
            state,
            bound,
            value_sent,
            value_received,
            #[cfg(feature = "shuttle")]
            points: ChannelPoints::new(),
        });
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

    /// Whether there is room for another value.
    fn has_room(&self, state: &ChannelState<T>) -> bool {
        self.bound.is_none_or(|bound| state.waiting.len() < bound.max(1))
    }

    /// Sends a value, after waiting for room. With a bound of 0, waits until it was received as
    /// well.
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        #[cfg(feature = "shuttle")]
        if Self::is_modelled() {
            return self.model_send(value);
        }
        let mut state = self.state();
        while state.has_receiver && !self.has_room(&state) {
            state = self.wait(&self.value_received, state);
        }
        if !state.has_receiver {
            return Err(SendError(value));
        }
        state.waiting.push_back(value);
        state.sent += 1;
        let number = state.sent;
        if self.bound != Some(0) {
            drop(state);
            self.value_sent.notify_one();
            return Ok(());
        }
        self.value_sent.notify_one();
        while state.has_receiver && state.received < number {
            state = self.wait(&self.value_received, state);
        }
        // With a bound of 0 at most one value waits, so one that is left is this sender's.
        match state.waiting.pop_front() {
            Some(value) if state.received < number => Err(SendError(value)),
            other => {
                state.waiting.extend(other);
                Ok(())
            }
        }
    }

    fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        #[cfg(feature = "shuttle")]
        if Self::is_modelled() {
            return self.model_try_send(value);
        }
        let mut state = self.state();
        if !state.has_receiver {
            return Err(TrySendError::Disconnected(value));
        }
        let is_accepted = self.bound != Some(0) || state.receiver_waits;
        if !is_accepted || !self.has_room(&state) {
            return Err(TrySendError::Full(value));
        }
        state.waiting.push_back(value);
        state.sent += 1;
        drop(state);
        self.value_sent.notify_one();
        Ok(())
    }

    /// Takes the next value, and wakes senders that wait for that.
    fn take(&self, state: &mut ChannelState<T>) -> Option<T> {
        let value = state.waiting.pop_front()?;
        state.received += 1;
        match self.bound {
            None => {}
            // One sender waits until its value was received, the others for room.
            Some(0) => self.value_received.notify_all(),
            Some(_) => self.value_received.notify_one(),
        }
        Some(value)
    }

    /// Notes that a sender was dropped.
    fn drop_sender(&self) {
        #[cfg(feature = "shuttle")]
        if Self::is_modelled() {
            return self.model_drop_sender();
        }
        let mut state = self.state();
        state.senders -= 1;
        let was_last = state.senders == 0;
        drop(state);
        if was_last {
            self.value_sent.notify_all();
        }
    }
}

/// The sending end of a channel, as [`std::sync::mpsc::Sender`].
pub struct Sender<T>(Arc<Channel<T>>);

/// The sending end of a channel with a bound, as [`std::sync::mpsc::SyncSender`].
pub struct SyncSender<T>(Sender<T>);

/// The receiving end of a channel, as [`std::sync::mpsc::Receiver`].
pub struct Receiver<T>(Arc<Channel<T>>);

/// Prints an end of a channel as std does: without the values, which may not be printable.
macro_rules! debug {
    ($($End:ident)*) => {
        $(impl<T> fmt::Debug for $End<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($End)).finish_non_exhaustive()
            }
        })*
    };
}

debug!(Sender SyncSender Receiver);

/// A channel without a bound, as [`std::sync::mpsc::channel`].
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    Channel::new_pair(None)
}

/// A channel in which at most `bound` values may wait, as [`std::sync::mpsc::sync_channel`]. With 0
/// a sender waits until its value is received.
#[must_use]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (sender, receiver) = Channel::new_pair(Some(bound));
    (SyncSender(sender), receiver)
}

impl<T> Sender<T> {
    /// Sends a value.
    ///
    /// # Errors
    /// With the value, if the receiver was dropped.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.send(value)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        #[cfg(feature = "shuttle")]
        if Channel::<T>::is_modelled() {
            // No other thread can tell when this happens: the channel has a sender in any case.
            self.0.model_state().senders += 1;
            return Sender(Arc::clone(&self.0));
        }
        self.0.state().senders += 1;
        Sender(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.drop_sender();
    }
}

impl<T> SyncSender<T> {
    /// Sends a value, after waiting for room.
    ///
    /// # Errors
    /// With the value, if the receiver was dropped.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.0.send(value)
    }

    /// Sends a value if there is room; with a bound of 0, if the receiver waits for one.
    ///
    /// # Errors
    /// With the value, if there is no room, or the receiver was dropped.
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
    /// If there is none, and all senders were dropped.
    pub fn recv(&self) -> Result<T, RecvError> {
        #[cfg(feature = "shuttle")]
        if Channel::<T>::is_modelled() {
            return self.0.model_receive(true, None).map_err(|_| RecvError);
        }
        let mut state = self.0.state();
        loop {
            if let Some(value) = self.0.take(&mut state) {
                return Ok(value);
            }
            if state.senders == 0 {
                return Err(RecvError);
            }
            state.receiver_waits = true;
            state = self.0.wait(&self.0.value_sent, state);
            state.receiver_waits = false;
        }
    }

    /// Waits for a value, for at most `time`; in a model it is simulated time. Under loom it waits as
    /// long as it takes.
    ///
    /// # Errors
    /// If no value came in time, or all senders were dropped.
    pub fn recv_timeout(&self, time: Duration) -> Result<T, RecvTimeoutError> {
        #[cfg(feature = "shuttle")]
        if Channel::<T>::is_modelled() {
            return self.0.model_receive(true, Some(nanoseconds(time)));
        }
        let deadline = Instant::now().checked_add(time);
        let mut state = self.0.state();
        loop {
            if let Some(value) = self.0.take(&mut state) {
                return Ok(value);
            }
            if state.senders == 0 {
                return Err(RecvTimeoutError::Disconnected);
            }
            let left = deadline
                .map_or(time, |deadline| deadline.saturating_duration_since(Instant::now()));
            state.receiver_waits = true;
            let waited = self.0.value_sent.wait_timeout(state, left);
            let (after, result) = waited.unwrap_or_else(PoisonError::into_inner);
            state = after;
            state.receiver_waits = false;
            if result.timed_out() && state.waiting.is_empty() {
                return Err(RecvTimeoutError::Timeout);
            }
        }
    }

    /// Takes a value if there is one.
    ///
    /// # Errors
    /// If there is none. The error says whether one may still come.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        #[cfg(feature = "shuttle")]
        if Channel::<T>::is_modelled() {
            return self.0.model_receive(false, None).map_err(|error| match error {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
            });
        }
        let mut state = self.0.state();
        let has_ended = state.senders == 0;
        let error = if has_ended { TryRecvError::Disconnected } else { TryRecvError::Empty };
        self.0.take(&mut state).ok_or(error)
    }

    /// Waits for each value, until all senders were dropped.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self)
    }

    /// Takes the values that are there, without waiting.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(self)
    }
}

/// Waits for each value of a channel, as [`std::sync::mpsc::Iter`].
#[derive(Debug)]
pub struct Iter<'a, T>(&'a Receiver<T>);

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

/// Takes the values that are there, as [`std::sync::mpsc::TryIter`].
#[derive(Debug)]
pub struct TryIter<'a, T>(&'a Receiver<T>);

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// Waits for each value of a channel, as [`std::sync::mpsc::IntoIter`].
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
        #[cfg(feature = "shuttle")]
        if Channel::<T>::is_modelled() {
            return self.0.model_drop_receiver();
        }
        let left = {
            let mut state = self.0.state();
            state.has_receiver = false;
            // With a bound of 0 the value goes back to the sender that waits for its receipt.
            if self.0.bound == Some(0) {
                VecDeque::new()
            } else {
                std::mem::take(&mut state.waiting)
            }
        };
        if self.0.bound.is_some() {
            self.0.value_received.notify_all();
        }
        // Dropped after the lock was released: a value may be the last sender of another channel,
        // or run any other code in its drop.
        drop(left);
    }
}
