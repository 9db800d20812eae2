//! A queue with one sender and two workers: what the sender was told is sent is dealt with by one worker,
//! or put aside by the one that had no memory for it; nothing else is, whoever comes first.

use allocator_api2::boxed::Box;
use mallory::{Heap, Refused};

use super::join::join;
use crate::memory::bytes::refused;
use crate::services::state_listener::work_queue::{WorkQueue, work_queue};
use crate::sync::Arc;
use crate::thread;

const MESSAGES: usize = 2;

/// How often each message was dealt with, and whether there was memory for all of them.
#[derive(Default)]
struct Worked {
    done: [usize; MESSAGES],
    refused: bool,
}

/// Deals with messages, each of which takes memory, until there will be none. A worker that stopped
/// after a refusal would leave a sender waiting for room.
fn work(heap: &Heap, queue: &WorkQueue<usize>) -> Worked {
    let mut worked = Worked::default();
    let deal = |message: &usize| Box::try_new_in(*message, heap.clone()).map_err(refused);
    while let Some(dealt) = queue.next(deal) {
        match dealt {
            Ok(message) => worked.done[*message] += 1,
            Err(Refused) => worked.refused = true,
        }
    }
    worked
}

/// The subject: returns how many messages were dealt with.
///
/// # Errors
/// [`Refused`] where the sender or a worker ran out of memory.
pub fn two_workers(heap: &Heap) -> Result<usize, Refused> {
    let (sender, queue) = work_queue(heap, 1);
    let queue = Arc::new(queue);
    let workers = [(), ()].map(|()| {
        let (heap, queue) = (heap.clone(), Arc::clone(&queue));
        thread::spawn(move || work(&heap, &queue))
    });
    let sent: [_; MESSAGES] = std::array::from_fn(|message| sender.send(&queue, message));
    drop(sender);
    let workers = workers.map(join);
    let mut put_aside = [0; MESSAGES];
    while let Some(message) = queue.put_aside() {
        put_aside[*message] += 1;
    }
    let mut all = 0;
    for message in 0..MESSAGES {
        let done: usize = workers.iter().map(|worked| worked.done[message]).sum();
        let met = done + put_aside[message];
        assert_eq!(met, usize::from(sent[message].is_ok()), "message {message} is lost or doubled");
        all += done;
    }
    let refused = workers.iter().any(|worked| worked.refused);
    assert_eq!(refused, put_aside != [0; MESSAGES], "put aside for want of memory only");
    if refused || sent.contains(&Err(Refused)) { Err(Refused) } else { Ok(all) }
}
