//! Which accesses of tiny logs are data races.

use super::*;
use crate::rt::access::Orders;

const CELL: Object = Object::Shared(9);
const FLAG: Object = Object::Shared(1);
const LOCK: Object = Object::Shared(2);

use AccessKind::{Acquire, CellRead, CellWrite, Fence, Give, Pass, Read, Release, Write};

/// The number of races of these accesses, each by a thread.
fn races(accesses: &[(u16, Object, AccessKind, Orders)]) -> Vec<DataRace> {
    let mut log = RunLog::default();
    for (number, (thread, object, kind, orders)) in (1..).zip(accesses) {
        log.add_access((*thread, number), *object, *kind, *orders);
    }
    data_races(&log)
}

fn plain(thread: u16, object: Object, kind: AccessKind) -> (u16, Object, AccessKind, Orders) {
    (thread, object, kind, Orders::of(kind))
}

const RELEASES: Orders = Orders { releases: true, ..Orders::NOTHING };
const ACQUIRES: Orders = Orders { acquires: true, ..Orders::NOTHING };

#[test]
fn what_nothing_orders_is_a_race_and_reads_alone_are_none() {
    let [race] = &races(&[plain(0, CELL, CellWrite), plain(1, CELL, CellRead)])[..] else {
        panic!("one race")
    };
    assert_eq!(race.accesses.map(|access| (access.thread, access.operation)), [(0, 1), (1, 2)]);
    assert!(race.missing.contains("T0 holds no lock, T1 holds no lock"), "{race:?}");
    assert!(races(&[plain(0, CELL, CellRead), plain(1, CELL, CellRead)]).is_empty());
    assert!(races(&[plain(0, CELL, CellWrite), plain(0, CELL, CellRead)]).is_empty());
}

#[test]
fn a_lock_orders_who_takes_it_and_not_who_doesnt() {
    let locked = |thread| {
        [plain(thread, LOCK, Acquire), plain(thread, CELL, CellWrite), plain(thread, LOCK, Release)]
    };
    assert!(races(&[locked(0), locked(1)].concat()).is_empty());
    let one_side = [&locked(0)[..], &[plain(1, CELL, CellWrite)]].concat();
    let [race] = &races(&one_side)[..] else { panic!("one race") };
    assert!(race.missing.contains("T0 holds o2, T1 holds no lock"), "{race:?}");
}

#[test]
fn a_publication_needs_release_and_acquire() {
    let published = |store, load| {
        races(&[
            plain(0, CELL, CellWrite),
            (0, FLAG, Write, store),
            (1, FLAG, Read, load),
            plain(1, CELL, CellRead),
        ])
    };
    assert!(published(RELEASES, ACQUIRES).is_empty());
    for (store, load) in [
        (Orders::NOTHING, ACQUIRES),
        (RELEASES, Orders::NOTHING),
        (Orders::NOTHING, Orders::NOTHING),
    ] {
        let [race] = &published(store, load)[..] else { panic!("one race") };
        assert!(race.missing.contains("T0 stores o1 and T1 loads it"), "{race:?}");
    }
}

#[test]
fn fences_order_what_relaxed_atomics_pass_on() {
    let fenced = |releases: bool, acquires: bool| {
        let mut all = vec![plain(0, CELL, CellWrite)];
        all.extend(releases.then_some((0, Object::Atomics, Fence, RELEASES)));
        all.push((0, FLAG, Write, Orders::NOTHING));
        all.push((1, FLAG, Read, Orders::NOTHING));
        all.extend(acquires.then_some((1, Object::Atomics, Fence, ACQUIRES)));
        all.push(plain(1, CELL, CellRead));
        races(&all).len()
    };
    assert_eq!(fenced(true, true), 0);
    assert_eq!((fenced(true, false), fenced(false, true)), (1, 1));
}

#[test]
fn the_start_and_the_end_of_a_thread_order() {
    let child = Object::Thread(1);
    let whole = [
        plain(0, CELL, CellWrite),
        plain(0, child, Give),
        plain(1, child, Pass),
        plain(1, CELL, CellWrite),
        plain(1, child, Give),
        plain(0, child, Pass),
        plain(0, CELL, CellRead),
    ];
    assert!(races(&whole).is_empty());
    let unjoined: Vec<_> = whole.into_iter().enumerate().filter(|(n, _)| *n != 5).collect();
    let unjoined: Vec<_> = unjoined.into_iter().map(|(_, access)| access).collect();
    assert_eq!(races(&unjoined).len(), 1);
}

#[test]
fn a_plain_store_ends_what_was_released_and_a_change_continues_it() {
    let passed_on = |between: Orders| {
        races(&[
            plain(0, CELL, CellWrite),
            (0, FLAG, Write, RELEASES),
            (2, FLAG, Write, between),
            (1, FLAG, Read, ACQUIRES),
            plain(1, CELL, CellRead),
        ])
        .len()
    };
    assert_eq!(passed_on(Orders { continues: true, ..Orders::NOTHING }), 0);
    assert_eq!(passed_on(Orders::NOTHING), 1);
}

#[test]
fn a_free_races_with_any_use_that_nothing_orders() {
    let block = Object::Watched(1);
    for kind in [AccessKind::BlockUse, CellRead, CellWrite] {
        let found = races(&[plain(0, block, kind), plain(1, block, AccessKind::BlockFree)]);
        assert_eq!(found.len(), 1, "{kind:?}");
    }
    let uses = [plain(0, block, AccessKind::BlockUse), plain(1, block, AccessKind::BlockUse)];
    assert!(races(&uses).is_empty());
}
