//! The intern table under contention: threads take the same two strings in opposite orders, add and
//! give up references, and compare, which locks two shards; while one of them runs out of
//! memory, the others' strings and counts must be as if it had not been there.

use mallory::{Heap, Refused};

use super::join::join;
use crate::memory::{Handle, InternTable};
use crate::sync::Arc;
use crate::thread;

/// Two strings of different shards.
const TEXTS: [&str; 2] = ["src/lib.rs", "src/main.rs"];

/// What a thread holds in the end: a handle, and how many references to its string.
#[derive(Default)]
struct Holding {
    strings: [Option<(Handle, u32)>; 2],
    refused: bool,
}

/// Acquires both strings, retains the first once more, and releases the second.
fn work(table: &InternTable, first: usize) -> Holding {
    let second = 1 - first;
    let mut holding = Holding::default();
    let Ok(one) = table.acquire(TEXTS[first]) else {
        return Holding { refused: true, ..holding };
    };
    holding.strings[first] = Some((one, 1));
    let Ok(two) = table.acquire(TEXTS[second]) else {
        return Holding { refused: true, ..holding };
    };
    assert_eq!(table.compare(one, two), TEXTS[first].cmp(TEXTS[second]));
    assert!(table.retain(one) && table.release(two));
    holding.strings[first] = Some((one, 2));
    holding
}

/// Two threads: returns how many references they hold in the end.
///
/// # Errors
/// [`Refused`] where one of them ran out of memory.
pub fn two(heap: &Heap) -> Result<usize, Refused> {
    contend(heap, [1])
}

/// Three threads, two of which do the same.
///
/// # Errors
/// As [`two`].
pub fn three(heap: &Heap) -> Result<usize, Refused> {
    contend(heap, [1, 0])
}

/// Runs `work` from the first string on this thread, and from these strings on one thread each.
fn contend<const N: usize>(heap: &Heap, others: [usize; N]) -> Result<usize, Refused> {
    let table = Arc::new(InternTable::new(heap));
    let others = others.map(|first| {
        let table = Arc::clone(&table);
        thread::spawn(move || work(&table, first))
    });
    let mine = work(&table, 0);
    let others = others.map(join);
    let holdings = || others.iter().chain([&mine]);

    let mut held = [0; 2];
    for (text, (handle, references)) in holdings().flat_map(|holding| {
        (0..2).filter_map(|text| holding.strings[text].map(|held| (text, held)))
    }) {
        assert!(table.is(handle, TEXTS[text].as_bytes()), "a string is lost");
        held[text] += references;
    }
    let (mut found, mut copies) = ([0; 2], [0; 2]);
    table.for_each(|bytes, references| {
        let text = TEXTS.iter().position(|text| text.as_bytes() == bytes);
        let text = text.expect("a string that nobody took");
        found[text] += references;
        copies[text] += 1;
    });
    assert_eq!(found, held, "the counts are right, over all copies");
    assert!(heap.bypass() || copies.iter().all(|copies| *copies <= 1), "a string has two copies");

    for (handle, references) in holdings().flat_map(|holding| holding.strings).flatten() {
        assert!((0..references).all(|_| table.release(handle)));
    }
    assert_eq!((table.stats().strings, table.stats().bytes), (0, 0));
    if holdings().any(|holding| holding.refused) {
        return Err(Refused);
    }
    Ok(held.iter().sum::<u32>() as usize)
}
