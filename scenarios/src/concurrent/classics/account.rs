//! Bank accounts.
//!
//! - The lost update: two deposits read the same balance, and the later one overwrites the earlier.
//!   Jim Gray and Andreas Reuter, Transaction Processing: Concepts and Techniques, 1993.
//! - The stale check: a transfer checks the balance and moves the money under the same lock, but
//!   unlocks it in between. There is no data race, only a lack of atomicity. Cormac Flanagan and
//!   Shaz Qadeer, Types for Atomicity, 2003.
//! - The lock order: two transfers in opposite directions each lock their own account first. Brian
//!   Goetz and others, Java Concurrency in Practice, 2006.

use super::Classic;
use super::shared::{lock, together};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};

pub(super) const LOST_UPDATE: Classic = Classic {
    name: "account-lost-update",
    about: "two deposits read a balance, and write the sum in a second step",
    source: "Gray and Reuter, Transaction Processing, 1993",
    threads: 3,
    bug: || deposit_twice(deposit_in_two_steps),
    corrected: || deposit_twice(deposit),
};

pub(super) const STALE_CHECK: Classic = Classic {
    name: "account-stale-check",
    about: "a transfer checks the balance, unlocks, and withdraws under the lock again",
    source: "Flanagan and Qadeer, Types for Atomicity, 2003",
    threads: 3,
    bug: || spend_twice(transfer_after_check),
    corrected: || spend_twice(transfer_with_check),
};

pub(super) const LOCK_ORDER: Classic = Classic {
    name: "account-lock-order",
    about: "transfers in opposite directions lock the two accounts in opposite orders",
    source: "Goetz and others, Java Concurrency in Practice, 2006",
    threads: 3,
    bug: || transfer_both_ways(|from, to| [from, to]),
    corrected: || transfer_both_ways(|from, to| [from.min(to), from.max(to)]),
};

const DEPOSIT: usize = 10;

fn deposit_twice(deposit: fn(&AtomicUsize)) {
    let balance = Arc::new(AtomicUsize::new(0));
    together(&balance, 2, move |balance, _| deposit(balance));
    assert_eq!(balance.load(Ordering::SeqCst), 2 * DEPOSIT, "a deposit is lost");
}

fn deposit_in_two_steps(balance: &AtomicUsize) {
    let read = balance.load(Ordering::SeqCst);
    balance.store(read + DEPOSIT, Ordering::SeqCst);
}

fn deposit(balance: &AtomicUsize) {
    balance.fetch_add(DEPOSIT, Ordering::SeqCst);
}

const BALANCE: i32 = 100;
const PRICE: i32 = 60;

/// Two transfers from one account, which only one of them can be paid from.
fn spend_twice(transfer: fn(&Mutex<i32>) -> bool) {
    let account = Arc::new(Mutex::new(BALANCE));
    let paid = together(&account, 2, move |account, _| transfer(account));
    let paid = paid.into_iter().filter(|paid| *paid).count();
    assert_eq!(paid, 1, "the account has enough for one transfer");
    assert_eq!(*lock(&account), BALANCE - PRICE);
}

fn transfer_after_check(account: &Mutex<i32>) -> bool {
    let is_enough = *lock(account) >= PRICE;
    if is_enough {
        *lock(account) -= PRICE;
    }
    is_enough
}

fn transfer_with_check(account: &Mutex<i32>) -> bool {
    let mut balance = lock(account);
    let is_enough = *balance >= PRICE;
    if is_enough {
        *balance -= PRICE;
    }
    is_enough
}

/// Each thread transfers to the other's account; `order` says which account is locked first.
fn transfer_both_ways(order: fn(usize, usize) -> [usize; 2]) {
    let accounts = Arc::new([Mutex::new(BALANCE), Mutex::new(BALANCE)]);
    together(&accounts, 2, move |accounts, from| {
        let order = order(from, 1 - from);
        let locked = order.map(|account| lock(&accounts[account]));
        for (account, mut balance) in order.into_iter().zip(locked) {
            *balance += if account == from { -PRICE } else { PRICE };
        }
    });
    assert_eq!(accounts.each_ref().map(|account| *lock(account)), [BALANCE; 2]);
}
