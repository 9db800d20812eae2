//! Sends each message to all who listen, on whichever threads they are: to each of them once, or to
//! nobody.
//!
//! Each listener has a channel with a bound, and the list of listeners says how many messages in it are
//! not acknowledged. So whether there is room is known before anything is sent, under the lock of the
//! list, and sending neither waits nor takes memory: a channel of std's takes its memory when it is made.
//!
//! Std's channels drop what is left in them with their receiver, although it was sent. So one who leaves
//! is taken from the list first, and then reads what was sent until then.

use allocator_api2::boxed::Box;
use mallory::{Heap, Refused};

use crate::memory::bytes::refused;
use crate::sync::mpsc::{Receiver, SyncSender, sync_channel};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The most who listen at the same time.
pub const LISTENERS_MAX: usize = 4;
/// The most messages of a listener that are not acknowledged.
pub const UNACKNOWLEDGED_MAX: usize = 2;

/// A message in memory of its receiver's.
type Copied<T> = Box<T, Heap>;

/// Somebody who listens.
struct Place<T> {
    channel: SyncSender<Copied<T>>,
    unacknowledged: usize,
}

/// The list of those who listen.
type Places<T> = [Option<Place<T>>; LISTENERS_MAX];

/// Sends messages to all who listen.
pub struct Broadcast<T> {
    places: Mutex<Places<T>>,
    heap: Heap,
}

/// Where a listener gets its messages, in the order in which they were sent.
pub struct Inbox<T> {
    place: usize,
    messages: Receiver<Copied<T>>,
}

/// Why a message was sent to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// There is no memory for a copy.
    Refused,
    /// One of the listeners has [`UNACKNOWLEDGED_MAX`] messages already.
    Full,
}

impl From<Refused> for NotSent {
    fn from(_: Refused) -> Self {
        NotSent::Refused
    }
}

impl<T> Inbox<T> {
    /// The number of this listener, which another one may get when this one has left.
    #[must_use]
    pub fn number(&self) -> usize {
        self.place
    }

    /// Waits for the next message; `None` if there will be none. It is freed when it is dropped.
    #[must_use]
    pub fn receive(&self) -> Option<Box<T, Heap>> {
        self.messages.recv().ok()
    }
}

impl<T: Copy> Broadcast<T> {
    /// Nobody listens yet.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        Broadcast { places: Mutex::new([const { None }; LISTENERS_MAX]), heap: heap.clone() }
    }

    /// Listens from now on; `None` if there are [`LISTENERS_MAX`] already.
    #[must_use]
    pub fn listen(&self) -> Option<Inbox<T>> {
        let mut places = self.places();
        let place = places.iter().position(Option::is_none)?;
        let (channel, messages) = sync_channel(UNACKNOWLEDGED_MAX);
        places[place] = Some(Place { channel, unacknowledged: 0 });
        Some(Inbox { place, messages })
    }

    /// Sends a message to all who listen, and returns their numbers. All copies are made before the
    /// first is sent.
    ///
    /// # Errors
    /// [`NotSent`]; nobody gets it then, and everything is as before.
    pub fn send(&self, message: T) -> Result<[bool; LISTENERS_MAX], NotSent> {
        let mut places = self.places();
        let is_full = |place: &Place<T>| place.unacknowledged == UNACKNOWLEDGED_MAX;
        if places.iter().flatten().any(is_full) {
            return Err(NotSent::Full);
        }
        let mut copies: [Option<Copied<T>>; LISTENERS_MAX] = [const { None }; LISTENERS_MAX];
        for (copy, _) in copies.iter_mut().zip(places.iter().flatten()) {
            *copy = Some(Box::try_new_in(message, self.heap.clone()).map_err(refused)?);
        }
        let mut copies = copies.into_iter().flatten();
        let mut sent = [false; LISTENERS_MAX];
        for (place, sent) in places.iter_mut().zip(&mut sent) {
            let Some(place) = place else { continue };
            let Some(copy) = copies.next() else { break };
            // There is room. An inbox that was dropped without leaving has nobody who listens.
            *sent = place.channel.try_send(copy).is_ok();
            place.unacknowledged += usize::from(*sent);
        }
        Ok(sent)
    }

    /// A message of this inbox is dealt with: there is room for another.
    pub fn acknowledge(&self, inbox: &Inbox<T>) {
        if let Some(place) = &mut self.places()[inbox.place] {
            place.unacknowledged = place.unacknowledged.saturating_sub(1);
        }
    }

    /// Stops listening. Returns what was sent until then and not received.
    pub fn leave(&self, inbox: Inbox<T>) -> impl Iterator<Item = T> + use<T> {
        let gone = self.places()[inbox.place].take();
        drop(gone);
        inbox.messages.into_iter().map(|message| *message)
    }

    /// Nothing more is sent to those who listen: they get what was sent until now, and then `None`.
    pub fn close(&self) {
        let gone = std::mem::replace(&mut *self.places(), [const { None }; LISTENERS_MAX]);
        drop(gone);
    }

    /// No step under the lock leaves the list half changed, so poison means nothing.
    fn places(&self) -> MutexGuard<'_, Places<T>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mallory::Plan;

    #[test]
    fn everybody_gets_a_message_or_nobody_does() {
        let heap = Heap::new();
        let hub = Broadcast::new(&heap);
        let [one, other] = [(); 2].map(|()| hub.listen().expect("there is a place"));
        assert_eq!(hub.send(1), Ok([true, true, false, false]));
        // The second copy is refused.
        heap.arm(Plan::nth(2));
        assert_eq!(hub.send(2), Err(NotSent::Refused));
        heap.disarm();
        assert_eq!(hub.send(3), Ok([true, true, false, false]));
        assert_eq!(hub.send(4), Err(NotSent::Full), "both have two");
        assert_eq!(one.receive().as_deref(), Some(&1));
        hub.acknowledge(&one);
        assert_eq!(hub.send(5), Err(NotSent::Full), "the other has two");
        // Who leaves gets what is there.
        assert_eq!(hub.leave(other).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(hub.send(6), Ok([true, false, false, false]));
        hub.close();
        assert_eq!(hub.send(7), Ok([false; LISTENERS_MAX]));
        assert_eq!(
            [one.receive(), one.receive()].map(|got| got.map(|got| *got)),
            [Some(3), Some(6)]
        );
        assert!(one.receive().is_none());
        assert_eq!(heap.live_bytes(), 0);
    }

    #[test]
    fn a_place_is_free_again_when_its_listener_has_left() {
        let hub = Broadcast::<u8>::new(&Heap::new());
        let inboxes = [(); LISTENERS_MAX].map(|()| hub.listen().expect("there is a place"));
        assert!(hub.listen().is_none());
        let [first, ..] = inboxes;
        assert_eq!((first.number(), hub.leave(first).next()), (0, None));
        assert_eq!(hub.listen().map(|inbox| inbox.number()), Some(0));
    }
}
