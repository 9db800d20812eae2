//! The board behaves like its model, survives every refused request, and uses its contexts and names
//! again.

use std::path::Path;

use mallory::system::World;
use mallory::{Heap, Options, Plan, System};
use mallory_scenarios::services::request_context::{Board, Op};

use crate::by_hand::{agree, survive};
use crate::operations::{request_context as script, score, top};

#[test]
fn behaves_like_the_model() {
    for bypass in [false, true] {
        let requests = agree::<Board>(&script(), &[], Options::new().bypass(bypass));
        assert!(requests > 50, "only {requests} requests");
    }
}

#[test]
fn survives_every_refused_request() {
    survive::<Board>(&script(), &[]);
}

#[test]
fn requests_share_one_context_and_retired_names_are_blocks_again() {
    let heap = Heap::new();
    let board = Board::new(&heap);
    for _ in 0..10 {
        board.handle(&score("anna", "north", 1)).unwrap();
        board.handle(&top("north", 5)).unwrap();
        board.handle(&Op::Retire { player: "anna".into() }).unwrap();
    }
    let [contexts, names] = board.stats();
    assert_eq!((contexts.misses, contexts.hits, contexts.lent), (1, 19, 0));
    assert_eq!((names.misses, names.hits, names.lent), (3, 27, 0));
}

/// A warm request asks the heap only for its reply, whose caller owns it.
#[test]
fn a_warm_request_asks_for_its_reply_only() {
    let heap = Heap::new();
    let board = Board::new(&heap);
    board.handle(&score("anna", "north", 1)).unwrap();
    board.handle(&score("bela", "north", 2)).unwrap();
    drop(board.handle(&top("north", 5)).unwrap());
    let before = heap.live_bytes();
    let reply = board.handle(&top("north", 5)).unwrap();
    let text = format!("{reply:?}");
    assert!(text.contains("[RED] bela"), "{text}");
    drop(reply);
    assert_eq!(heap.live_bytes(), before);
    // Whoever is refused memory gives back what was lent.
    heap.arm(Plan::from(1));
    assert!(board.handle(&top("north", 5)).is_err());
    heap.disarm();
    assert_eq!(board.stats().map(|stats| stats.lent), [0, 6]);
}

#[test]
fn a_snapshot_covers_every_entry() {
    let world = World::new(&[], Path::new("."));
    let mut board = Board::open(&Heap::new(), &world).unwrap();
    let mut seen = Vec::new();
    for op in [score("anna", "north", 1), score("anna", "south", 0), score("bela", "south", 7)] {
        board.apply(&op, &world).unwrap();
        assert!(!seen.contains(&board.snapshot()), "{op:?} changes the snapshot");
        seen.push(board.snapshot());
    }
    board.apply(&Op::Retire { player: "bela".into() }, &world).unwrap();
    assert_eq!(board.snapshot(), seen[1]);
}

#[test]
fn operations_are_written_and_read_back() {
    let text = ron::to_string(&script()).unwrap();
    assert_eq!(ron::from_str::<Vec<Op>>(&text).unwrap(), script());
}
