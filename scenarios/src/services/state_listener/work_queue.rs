//! Hands each message to one of several workers, on whichever threads they are.
//!
//! A message that a worker could not deal with is put aside: when the worker says so, returns an error or
//! panics. That needs no memory: before a message is sent, there is a place for it among those.

use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use crate::memory::bytes::refused;
use crate::sync::mpsc::{Receiver, SyncSender, sync_channel};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// A message in memory of its own.
type Kept<T> = Box<T, Heap>;

/// Messages that were put aside. There is a place for each that is under way.
struct Aside<T> {
    messages: Vec<Kept<T>, Heap>,
    /// How many were sent, and neither dealt with nor put aside.
    under_way: usize,
}

/// The workers' side of a queue.
pub struct WorkQueue<T> {
    inbox: Mutex<Receiver<Kept<T>>>,
    aside: Mutex<Aside<T>>,
    heap: Heap,
}

/// The senders' side of a queue. When the last one is dropped, workers find nothing more to do.
#[derive(Debug)]
pub struct QueueSender<T>(SyncSender<Kept<T>>);

/// A message that a worker deals with. If it is still there when this is dropped, it is put aside.
struct Taken<'q, T> {
    message: Option<Kept<T>>,
    queue: &'q WorkQueue<T>,
}

/// A queue in which this many messages wait at most. Its channel takes its memory here; what is sent takes
/// memory of the heap.
#[must_use]
pub fn work_queue<T>(heap: &Heap, bound: usize) -> (QueueSender<T>, WorkQueue<T>) {
    let (sender, inbox) = sync_channel(bound);
    let aside = Aside { messages: Vec::new_in(heap.clone()), under_way: 0 };
    let (inbox, aside) = (Mutex::new(inbox), Mutex::new(aside));
    (QueueSender(sender), WorkQueue { inbox, aside, heap: heap.clone() })
}

impl<T> QueueSender<T> {
    /// Sends a message to this queue, after waiting for room.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory for the message or for its place among those that are put
    /// aside; the queue is then as before.
    pub fn send(&self, queue: &WorkQueue<T>, message: T) -> Result<(), Refused> {
        queue.reserve()?;
        let kept = Box::try_new_in(message, queue.heap.clone());
        let kept = kept.map_err(refused).inspect_err(|Refused| queue.aside().under_way -= 1)?;
        // The queue has the receiver, so it is there.
        self.0.send(kept).map_err(refused)
    }
}

impl<T> WorkQueue<T> {
    fn reserve(&self) -> Result<(), Refused> {
        let Aside { messages, under_way } = &mut *self.aside();
        messages.try_reserve(*under_way + 1).map_err(refused)?;
        *under_way += 1;
        Ok(())
    }

    /// Waits for the next message and deals with it; `None` if there will be none. If `deal` returns an
    /// error or panics, the message is put aside.
    pub fn next<R, E>(&self, deal: impl FnOnce(&T) -> Result<R, E>) -> Option<Result<R, E>> {
        let received = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let mut taken = Taken { message: Some(received.ok()?), queue: self };
        let result = taken.message.as_deref().map(deal)?;
        if result.is_ok() {
            taken.message = None;
            self.aside().under_way -= 1;
        }
        Some(result)
    }

    /// One of the messages that were put aside. It is freed when it is dropped.
    #[must_use]
    pub fn put_aside(&self) -> Option<Box<T, Heap>> {
        self.aside().messages.pop()
    }

    /// No step under the lock leaves the list half changed, so poison means nothing.
    fn aside(&self) -> MutexGuard<'_, Aside<T>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        let Some(message) = self.message.take() else { return };
        let mut aside = self.queue.aside();
        aside.under_way -= 1;
        debug_assert!(aside.messages.len() < aside.messages.capacity());
        aside.messages.push(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mallory::Plan;

    #[test]
    fn what_a_worker_cannot_deal_with_is_put_aside_without_a_request() {
        let heap = Heap::new();
        let (sender, queue) = work_queue(&heap, 2);
        sender.send(&queue, 1).expect("there is memory");
        sender.send(&queue, 2).expect("there is memory");
        heap.arm(Plan::from(1));
        assert_eq!(sender.send(&queue, 3), Err(Refused));
        assert_eq!(queue.next(|message| Err::<(), _>(*message)), Some(Err(1)));
        assert_eq!(queue.next(|message| Ok::<_, ()>(*message)), Some(Ok(2)));
        drop(sender);
        assert_eq!(queue.next(|_| Ok::<(), ()>(())), None);
        let put_aside = || queue.put_aside().map(|message| *message);
        assert_eq!([put_aside(), put_aside()], [Some(1), None]);
        drop(queue);
        assert_eq!(heap.live_bytes(), 0);
    }

    #[test]
    fn a_message_whose_worker_panics_is_put_aside() {
        let (sender, queue) = work_queue(&Heap::new(), 1);
        sender.send(&queue, 1).expect("there is memory");
        let work = || queue.next(|_| -> Result<(), ()> { panic!("by accident") });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        assert!(ended.is_err());
        assert_eq!(queue.put_aside().map(|message| *message), Some(1));
    }
}
