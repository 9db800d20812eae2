//! Two threads send a message each to two listeners, one of which leaves after its first message. What a
//! sender was told is compared with what each listener got, received or left unread: a message is never
//! lost or doubled, and never at one listener only because there was no memory for the other's copy.

use allocator_api2::boxed::Box;
use mallory::{Heap, Refused};

use super::join::join;
use crate::memory::bytes::refused;
use crate::services::state_listener::broadcast::{Broadcast, Inbox, LISTENERS_MAX, NotSent};
use crate::sync::Arc;
use crate::thread;

const MESSAGES: usize = 2;

/// What one listener got.
struct Heard {
    number: usize,
    /// How often it got each message.
    got: [usize; MESSAGES],
    result: Result<(), Refused>,
}

/// Acknowledges up to `most` messages, each of which takes memory while it is dealt with, and leaves.
fn listen(heap: &Heap, hub: &Broadcast<usize>, inbox: Inbox<usize>, most: usize) -> Heard {
    let mut heard = Heard { number: inbox.number(), got: [0; MESSAGES], result: Ok(()) };
    for _ in 0..most {
        let Some(message) = inbox.receive() else { break };
        heard.got[*message] += 1;
        let dealt = Box::try_new_in(*message, heap.clone()).map_err(refused);
        heard.result = dealt.map(drop);
        if heard.result.is_err() {
            break;
        }
        hub.acknowledge(&inbox);
    }
    for message in hub.leave(inbox) {
        heard.got[message] += 1;
    }
    heard
}

/// The subject: returns how many messages were sent.
///
/// # Errors
/// [`Refused`] where one of the threads ran out of memory.
pub fn two_listeners(heap: &Heap) -> Result<usize, Refused> {
    let hub = Arc::new(Broadcast::new(heap));
    let listeners = [MESSAGES, 1].map(|most| {
        let (heap, hub) = (heap.clone(), Arc::clone(&hub));
        let inbox = hub.listen().expect("there is a place");
        thread::spawn(move || listen(&heap, &hub, inbox, most))
    });
    let other = {
        let hub = Arc::clone(&hub);
        thread::spawn(move || hub.send(1))
    };
    let sent = [hub.send(0), join(other)];
    hub.close();
    let heard = listeners.map(join);
    for (message, sent) in sent.iter().enumerate() {
        let receivers = sent.unwrap_or([false; LISTENERS_MAX]);
        for Heard { number, got, .. } in &heard {
            let owed = usize::from(receivers[*number]);
            assert_eq!(got[message], owed, "message {message} is lost or doubled at {number}");
        }
        assert_ne!(*sent, Err(NotSent::Full), "there is room for both");
    }
    let [stays, leaves] = heard;
    stays.result?;
    leaves.result?;
    if sent.iter().all(Result::is_ok) { Ok(MESSAGES) } else { Err(Refused) }
}
