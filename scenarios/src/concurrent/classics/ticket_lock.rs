//! The ticket lock: each thread draws a ticket and waits until it is served. David Reed and Rajendra
//! Kanodia, Synchronization with Eventcounts and Sequencers, 1979; John Mellor-Crummey and Michael
//! Scott, Algorithms for Scalable Synchronization on Shared-Memory Multiprocessors, 1991.
//!
//! The bug: a ticket is drawn by a load and a store, so two threads may get the same one.

use super::Classic;
use super::shared::{CriticalSection, together};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::thread;

pub(super) const CLASSIC: Classic = Classic {
    name: "ticket-lock",
    about: "a ticket is drawn by a load and a store",
    source: "Mellor-Crummey and Scott, Algorithms for Scalable Synchronization, 1991",
    threads: 3,
    bug: || both_enter(draw_in_two_steps),
    corrected: || both_enter(|next| next.fetch_add(1, Ordering::SeqCst)),
};

#[derive(Default)]
struct TicketLock {
    next: AtomicUsize,
    served: AtomicUsize,
    section: CriticalSection,
}

fn draw_in_two_steps(next: &AtomicUsize) -> usize {
    let ticket = next.load(Ordering::SeqCst);
    next.store(ticket + 1, Ordering::SeqCst);
    ticket
}

fn both_enter(draw: fn(&AtomicUsize) -> usize) {
    let tickets = Arc::new(TicketLock::default());
    together(&tickets, 2, move |tickets, _| {
        let ticket = draw(&tickets.next);
        while tickets.served.load(Ordering::SeqCst) < ticket {
            thread::yield_now();
        }
        tickets.section.visit();
        tickets.served.store(ticket + 1, Ordering::SeqCst);
    });
    tickets.section.assert_exclusive();
}
