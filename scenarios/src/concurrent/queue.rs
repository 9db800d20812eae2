//! A message queue on tokio's primitives, explored by shuttle: a producer, a worker, and a supervisor
//! that starts another worker where one fails or is dropped. Each message is accepted or not, and
//! what was accepted is acknowledged or rejected, exactly once: under every fault, in every order of
//! the tasks, and wherever a task's future is dropped.

use allocator_api2::boxed::Box as HeapBox;
use mallory::future::block_on;
use mallory::tokio;
use mallory::tokio::sync::{Mutex, mpsc, watch};
use mallory::tokio::task::JoinHandle;
use mallory::{Heap, Refused};

use crate::sync;
use crate::sync::{Arc, PoisonError};

const MESSAGES: usize = 2;

/// What is sent, and what acknowledges it: each is a request.
#[derive(Debug)]
struct Message {
    id: usize,
    body: HeapBox<usize, Heap>,
}

impl Message {
    fn new(heap: &Heap, id: usize) -> Result<Message, Refused> {
        let body = HeapBox::try_new_in(id * id + 7, heap.clone()).map_err(|_| Refused)?;
        Ok(Message { id, body })
    }
}

/// What became of a message. Only the check at the end reads it, so it is no part of the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fate {
    accepted: usize,
    acknowledged: usize,
    rejected: usize,
}

#[derive(Clone, Default)]
struct Record(Arc<std::sync::Mutex<[Fate; MESSAGES]>>);

impl Record {
    fn note(&self, id: usize, change: impl FnOnce(&mut Fate)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)[id]);
    }

    fn fates(&self) -> [Fate; MESSAGES] {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a worker keeps the message that it has received and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    /// In the queue, where the next worker finds it.
    InQueue,
    /// In its own future, with which it is dropped.
    InFuture,
}

/// What the workers share, one after the other.
#[derive(Clone)]
struct Queue {
    heap: Heap,
    inbox: Arc<Mutex<mpsc::Receiver<Message>>>,
    in_flight: Arc<sync::Mutex<Option<Message>>>,
    receipts: mpsc::Sender<Message>,
    keeps: Keeps,
}

impl Queue {
    fn take_in_flight(&self) -> Option<Message> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put_in_flight(&self, message: Message) {
        *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
    }

    /// The next message; `None` once there will be none.
    async fn next(&self, stop: &mut watch::Receiver<bool>) -> Option<Message> {
        let mut inbox = self.inbox.lock().await;
        loop {
            tokio::select! {
                message = inbox.recv() => return message,
                _ = stop.changed() => inbox.close(),
            }
        }
    }

    /// Acknowledges messages until there will be none.
    async fn work(self, mut stop: watch::Receiver<bool>) -> Result<(), Refused> {
        loop {
            let message = match self.take_in_flight() {
                Some(message) => message,
                None => match self.next(&mut stop).await {
                    Some(message) => message,
                    None => return Ok(()),
                },
            };
            let id = message.id;
            assert_eq!(*message.body, id * id + 7, "a message is not as it was sent");
            let own = match self.keeps {
                Keeps::InQueue => {
                    self.put_in_flight(message);
                    None
                }
                Keeps::InFuture => Some(message),
            };
            let receipt = Message::new(&self.heap, id).inspect_err(|Refused| {
                own.into_iter().for_each(|message| self.put_in_flight(message));
            })?;
            // Its future may be dropped here, before the receipt is sent.
            self.receipts.send(receipt).await.map_err(|_| Refused)?;
            drop(self.take_in_flight());
        }
    }

    fn start(&self, stop: &watch::Sender<bool>) -> JoinHandle<Result<(), Refused>> {
        tokio::spawn(self.clone().work(stop.subscribe()))
    }
}

/// Sends the messages. One that can't be made is not sent, nor is any after it.
async fn produce(heap: Heap, sender: mpsc::Sender<Message>, record: Record) -> Result<(), Refused> {
    for id in 0..MESSAGES {
        let message = Message::new(&heap, id)?;
        sender.send(message).await.map_err(|_| Refused)?;
        record.note(id, |fate| fate.accepted += 1);
    }
    Ok(())
}

async fn supervise(heap: Heap, record: Record, keeps: Keeps) -> Result<(), Refused> {
    let (sender, inbox) = mpsc::channel(1);
    let (receipts, mut acknowledged) = mpsc::channel::<Message>(1);
    let (stop, _) = watch::channel(false);
    let inbox = Arc::new(Mutex::new(inbox));
    let queue = Queue { heap: heap.clone(), inbox, in_flight: Arc::default(), receipts, keeps };
    let acknowledge = |receipt: Message| record.note(receipt.id, |fate| fate.acknowledged += 1);

    let mut producer = tokio::spawn(produce(heap, sender, record.clone()));
    let mut worker = queue.start(&stop);
    let (mut is_stopped, mut outcome) = (false, Ok(()));
    loop {
        tokio::select! {
            Some(receipt) = acknowledged.recv() => acknowledge(receipt),
            ended = &mut producer, if !is_stopped => {
                outcome = outcome.and(ended.unwrap_or(Err(Refused)));
                is_stopped = true;
                stop.send_modify(|stop| *stop = true);
            }
            ended = &mut worker => {
                match ended {
                    Ok(Ok(())) => break,
                    Ok(Err(Refused)) => {
                        outcome = Err(Refused);
                        let rejected = queue.take_in_flight();
                        rejected.iter().for_each(|message| {
                            record.note(message.id, |fate| fate.rejected += 1);
                        });
                    }
                    // It was dropped: the next worker finds what it had in hand.
                    Err(_) => outcome = Err(Refused),
                }
                worker = queue.start(&stop);
            }
        }
    }
    if !is_stopped {
        outcome = outcome.and(producer.await.unwrap_or(Err(Refused)));
    }
    while let Ok(receipt) = acknowledged.try_recv() {
        acknowledge(receipt);
    }
    outcome
}

fn run(heap: &Heap, keeps: Keeps) -> Result<usize, Refused> {
    let record = Record::default();
    let outcome = block_on(supervise(heap.clone(), record.clone(), keeps));
    let mut all = 0;
    for (id, fate) in record.fates().into_iter().enumerate() {
        let Fate { accepted, acknowledged, rejected } = fate;
        assert_eq!(accepted, acknowledged + rejected, "message {id} is lost or doubled: {fate:?}");
        assert!(accepted <= 1, "message {id} was accepted twice");
        all += acknowledged;
    }
    assert!(outcome.is_err() || all == MESSAGES, "without an error each message is acknowledged");
    outcome.map(|()| all)
}

/// The subject: returns how many messages were acknowledged.
///
/// # Errors
/// [`Refused`] where one of the tasks ran out of memory, or was dropped.
pub fn deliver(heap: &Heap) -> Result<usize, Refused> {
    run(heap, Keeps::InQueue)
}

/// The bug: a worker keeps its message to itself until it is acknowledged.
///
/// # Errors
/// As [`deliver`].
pub fn planted(heap: &Heap) -> Result<usize, Refused> {
    run(heap, Keeps::InFuture)
}
