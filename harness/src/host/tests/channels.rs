//! Channels, with and without a bound.

use crate::host::tests::engines::{on_all_engines, results};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, mpsc};
use crate::thread;

#[test]
fn a_channel_hands_over_and_ends_with_its_last_sender() {
    fn sent() -> u64 {
        let (sender, receiver) = mpsc::channel();
        let other = thread::spawn(move || {
            sender.send(1).expect("there is a receiver");
            sender.send(2).expect("there is a receiver");
        });
        let sum: u64 = receiver.iter().fold(0, |all, digit| all * 10 + digit);
        other.join().expect("no panic");
        sum
    }
    let seen = on_all_engines(sent);
    assert_eq!((seen.results, seen.deadlock), (results([12]), false));
}

#[test]
fn a_channel_with_a_bound_lets_a_sender_wait() {
    fn bounded(bound: usize) -> u64 {
        let (sender, receiver) = mpsc::sync_channel(bound);
        let ahead = Arc::new(AtomicUsize::new(0));
        let cloned = Arc::clone(&ahead);
        let other = thread::spawn(move || {
            for value in 1..=2 {
                sender.send(value).expect("there is a receiver");
                cloned.fetch_add(1, Ordering::SeqCst);
            }
        });
        // The number of values that were sent before any was received.
        let before = ahead.load(Ordering::SeqCst) as u64;
        let sum: u64 = receiver.iter().fold(0, |all, digit| all * 10 + digit);
        other.join().expect("no panic");
        assert_eq!(sum, 12);
        before
    }
    assert_eq!(on_all_engines(|| bounded(0)).results, results([0]));
    assert_eq!(on_all_engines(|| bounded(1)).results, results([0, 1]));
    assert_eq!(on_all_engines(|| bounded(2)).results, results([0, 1, 2]));
    assert_eq!(bounded(0), 0, "and outside of a model");
}

#[test]
fn a_sender_that_waits_gets_its_value_back_where_nobody_receives_any_more() {
    fn left() -> u64 {
        let (sender, receiver) = mpsc::sync_channel::<u64>(0);
        let other = thread::spawn(move || sender.send(7).expect_err("there is no receiver").0);
        drop(receiver);
        other.join().expect("no panic")
    }
    let seen = on_all_engines(left);
    assert_eq!((seen.results, seen.deadlock), (results([7]), false));
    let (sender, receiver) = mpsc::sync_channel(1);
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(sender.try_send(2), Err(mpsc::TrySendError::Full(2)));
    let time = std::time::Duration::from_millis(1);
    assert_eq!(receiver.recv_timeout(time), Ok(1));
    assert_eq!(receiver.recv_timeout(time), Err(mpsc::RecvTimeoutError::Timeout));
    drop(receiver);
    assert_eq!(sender.try_send(3), Err(mpsc::TrySendError::Disconnected(3)));
}

#[test]
fn a_receiver_can_be_iterated_in_each_of_stds_ways() {
    /// Has no `Debug`, unlike the ends of its channel.
    struct Plain(u64);
    fn received() -> u64 {
        let (sender, receiver) = mpsc::channel();
        assert!(receiver.try_iter().next().is_none(), "nothing was sent, and it doesn't wait");
        let other = thread::spawn(move || (1..=4).for_each(|n| drop(sender.send(Plain(n)))));
        let mut digits = 0;
        for Plain(value) in &receiver {
            digits = digits * 10 + value;
            if value == 2 {
                break;
            }
        }
        other.join().expect("no panic");
        digits = receiver.try_iter().take(1).fold(digits, |all, one| all * 10 + one.0);
        assert_eq!(format!("{receiver:?}"), "Receiver { .. }");
        receiver.into_iter().fold(digits, |all, one| all * 10 + one.0)
    }
    let seen = on_all_engines(received);
    assert_eq!((seen.results, seen.deadlock), (results([1234]), false));
    assert_eq!(received(), 1234, "and outside of a model");
}
