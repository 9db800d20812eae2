//! The operations of a channel as shuttle's engine sees them: one scheduling point each. The lock
//! table knows how many values wait, and how much room there is; the values are kept in `mpsc.rs`.
//!
//! The log of a run has each value as an object of its own. So a send and a receive of different
//! values commute, and what is sent is only ordered with what other threads send.

use crate::rt::{self, AccessKind, Object, ObjectId, SharedOpKind};

/// What the lock table knows of a channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelLevel {
    /// Values that were sent, and of these those that were received.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// The number of values that may wait, if there is a bound.
    pub(crate) bound: Option<u64>,
    pub(crate) has_senders: bool,
    pub(crate) has_receiver: bool,
}

/// The scheduling points of a channel.
#[derive(Debug, Default)]
pub(crate) struct ChannelPoints {
    values: ObjectId,
    room: ObjectId,
    /// For each value whether it was received: where senders wait for that.
    receipts: ObjectId,
}

impl ChannelPoints {
    pub(crate) const fn new() -> ChannelPoints {
        ChannelPoints { values: ObjectId::new(), room: ObjectId::new(), receipts: ObjectId::new() }
    }

    /// Tells the table how full the channel is.
    pub(crate) fn update(&self, level: ChannelLevel) {
        let waiting = level.sent - level.received;
        rt::set_permits(self.values.number(), waiting, !level.has_senders);
        if let Some(bound) = level.bound {
            let room = bound.max(1).saturating_sub(waiting);
            rt::set_permits(self.room.number(), room, !level.has_receiver);
        }
    }

    fn slot(&self, value: u64) -> Object {
        Object::Slot(self.values.number(), value)
    }

    /// The room that the value makes once it is received.
    fn room_of(&self, value: u64) -> Object {
        Object::Room(self.values.number(), value)
    }

    fn ends(&self) -> Object {
        Object::Ends(self.values.number())
    }

    /// Whether there is a receiver.
    fn receiver(&self) -> Object {
        Object::Room(self.values.number(), u64::MAX)
    }

    /// Whether the receiver waits for a value.
    fn waiting_receiver(&self) -> Object {
        Object::Room(self.values.number(), u64::MAX - 1)
    }

    /// The receiver is about to wait for a value.
    pub(crate) fn receiver_waits(&self) {
        rt::log_access(self.waiting_receiver(), AccessKind::Write);
    }

    /// A sender has seen whether the receiver waits.
    pub(crate) fn saw_receiver(&self) {
        rt::log_access(self.waiting_receiver(), AccessKind::Read);
    }

    /// Waits for room, if there is a bound. Then the value with this number is sent.
    pub(crate) fn before_send(&self, level: ChannelLevel) {
        self.update(level);
        match level.bound {
            None => rt::scheduling_point_on(&self.values, SharedOpKind::Send),
            Some(_) => {
                rt::wait_for_permit(&self.room, SharedOpKind::Send, None);
            }
        }
        rt::log_access(self.receiver(), AccessKind::Read);
    }

    /// A scheduling point before an attempt to send or to receive.
    pub(crate) fn before_attempt(&self, level: ChannelLevel, what: SharedOpKind) {
        self.update(level);
        rt::scheduling_point_on(&self.values, what);
        if what == SharedOpKind::Send {
            rt::log_access(self.receiver(), AccessKind::Read);
        }
    }

    /// The value with the number `level.sent` was sent. `waited` says that the sender would have
    /// waited for room.
    pub(crate) fn sent(&self, level: ChannelLevel, waited: bool) {
        rt::log_access(self.values.object(), AccessKind::Write);
        rt::log_access(self.slot(level.sent), AccessKind::Give);
        self.log_room(level.sent, level.bound, waited);
        self.update(level);
    }

    /// A value could not be sent at once: there is no room.
    pub(crate) fn full(&self, level: ChannelLevel) {
        rt::log_access(self.values.object(), AccessKind::Read);
        self.log_room(level.sent + 1, level.bound, false);
    }

    fn log_room(&self, value: u64, bound: Option<u64>, waited: bool) {
        if let Some(before) = bound.and_then(|bound| value.checked_sub(bound.max(1))) {
            let kind = if waited { AccessKind::Pass } else { AccessKind::Peek };
            rt::log_access(self.room_of(before), kind);
        }
    }

    /// Waits until a value was received, or the receiver is dropped.
    pub(crate) fn wait_for_receipt(&self, level: ChannelLevel) {
        let is_received = level.received >= level.sent || !level.has_receiver;
        rt::set_permits(self.receipts.number(), u64::from(is_received), false);
        rt::wait_for_permit(&self.receipts, SharedOpKind::Send, None);
        rt::log_access(self.room_of(level.sent), AccessKind::Pass);
    }

    /// Waits for a value, for at most `time` nanoseconds. Returns whether the time was up.
    pub(crate) fn before_receive(&self, level: ChannelLevel, time: Option<u64>) -> bool {
        self.update(level);
        rt::wait_for_permit(&self.values, SharedOpKind::Receive, time)
    }

    /// The value with the number `level.received` was received. `waited` says that the receiver
    /// would have waited for it.
    pub(crate) fn received(&self, level: ChannelLevel, waited: bool) {
        let kind = if waited { AccessKind::Take } else { AccessKind::Peek };
        rt::log_access(self.slot(level.received), kind);
        rt::log_access(self.room_of(level.received), AccessKind::Give);
        rt::set_permits(self.receipts.number(), 1, false);
        self.update(level);
    }

    /// There was no value to receive. `waited` says that this is so since all senders are gone.
    pub(crate) fn nothing_received(&self, level: ChannelLevel, waited: bool) {
        let kind = if waited { AccessKind::Pass } else { AccessKind::Peek };
        rt::log_access(self.ends(), kind);
        if !waited {
            rt::log_access(self.slot(level.received + 1), AccessKind::Peek);
        }
    }

    /// A scheduling point before an end of the channel is dropped.
    pub(crate) fn before_drop(&self) {
        rt::scheduling_point_on(&self.values, SharedOpKind::Hangup);
    }

    /// A sender was dropped.
    pub(crate) fn dropped_sender(&self, level: ChannelLevel) {
        rt::log_access(self.ends(), AccessKind::Give);
        self.update(level);
    }

    /// The receiver was dropped.
    pub(crate) fn dropped_receiver(&self, level: ChannelLevel) {
        rt::log_access(self.receiver(), AccessKind::Write);
        rt::set_permits(self.receipts.number(), 1, true);
        self.update(level);
    }
}
