//! Blocks that are used, freed or lost at the wrong time: pointers that outlive their block, two
//! owners of one block, owners that forget, and contents that nobody wrote.

use mallory::{Heap, Kind};

use super::block::{Block, Pointer};
use super::{Published, Returned};

pub(super) const ALL: [Published; 14] = [
    Published {
        source: "CVE-2014-8142, PHP (unserialize)",
        wrong: "frees the old value of a key that occurs twice, while it is still referred to",
        kind: Kind::UseAfterFree,
        run: duplicate_key,
    },
    Published {
        source: "CVE-2021-22945, curl (MQTT)",
        wrong: "frees what was sent, and keeps the pointer for the next time",
        kind: Kind::DoubleFree,
        run: sent_twice,
    },
    Published {
        source: "CVE-2016-0728, Linux (keyrings)",
        wrong: "counts references in a number that wraps around to none",
        kind: Kind::UseAfterFree,
        run: wrapped_count,
    },
    Published {
        source: "CWE-825, expired pointer",
        wrong: "keeps a pointer into a buffer that grows",
        kind: Kind::UseAfterFree,
        run: grown_buffer,
    },
    Published {
        source: "CVE-2019-16140, chttp (from buffers)",
        wrong: "returns a slice of a buffer that is dropped",
        kind: Kind::UseAfterFree,
        run: dropped_buffer,
    },
    Published {
        source: "RUSTSEC-2022-0078, bumpalo (IntoIter)",
        wrong: "iterates over an arena that is reset meanwhile",
        kind: Kind::UseAfterFree,
        run: reset_arena,
    },
    Published {
        source: "CVE-2019-11932, android-gif-drawable",
        wrong: "frees a buffer by resizing it to nothing, and frees it again at the end",
        kind: Kind::DoubleFree,
        run: resized_to_nothing,
    },
    Published {
        source: "CVE-2018-6952, GNU patch",
        wrong: "frees a line in the middle and at the end of a hunk",
        kind: Kind::DoubleFree,
        run: line_of_a_hunk,
    },
    Published {
        source: "CVE-2019-15551, smallvec (grow)",
        wrong: "frees its block when it grows to the capacity that it has",
        kind: Kind::DoubleFree,
        run: grow_to_the_same,
    },
    Published {
        source: "CVE-2021-31162, Rust's std (Vec::from_iter)",
        wrong: "unwinds through a loop that has moved items out and still owns them",
        kind: Kind::DoubleFree,
        run: unwinds,
    },
    Published {
        source: "CVE-2020-36318, Rust's std (VecDeque)",
        wrong: "hands out the same item twice after its parts were joined",
        kind: Kind::DoubleFree,
        run: popped_twice,
    },
    Published {
        source: "CVE-2016-6304, OpenSSL (OCSP)",
        wrong: "overwrites the list of the last handshake",
        kind: Kind::Leak,
        run: overwritten_list,
    },
    Published {
        source: "CWE-761, free of a pointer not at the start of its buffer",
        wrong: "frees a pointer that was moved through its block",
        kind: Kind::InvalidFree,
        run: moved_pointer,
    },
    Published {
        source: "CVE-2021-26305, cdr (read_vec)",
        wrong: "trusts that a reader has filled the buffer that it was given",
        kind: Kind::UninitRead,
        run: short_read,
    },
];

fn duplicate_key(heap: &Heap, wrong: bool) -> Returned {
    let mut value = Some(Block::of(heap, b"first value")?);
    let reference = value.as_ref().map(Block::pointer);
    let second = Block::of(heap, b"second value")?;
    if wrong {
        value = None;
    }
    let seen = reference.map_or(0, |value| u64::from(value.get(6)));
    drop((value, second));
    Ok(seen)
}

fn sent_twice(heap: &Heap, wrong: bool) -> Returned {
    let packet = Block::of(heap, b"PUBLISH")?;
    let kept = wrong.then(|| packet.second_owner());
    let sum = packet.pointer().sum(0..7);
    drop(packet);
    drop(kept);
    Ok(sum)
}

fn wrapped_count(heap: &Heap, wrong: bool) -> Returned {
    let mut keyring = Some(Block::of(heap, &[1; 32])?);
    let users = keyring.as_ref().map(Block::pointer);
    let mut count = 1_u8;
    for _ in 0..255 {
        count = if wrong { count.wrapping_add(1) } else { count.saturating_add(1) };
    }
    if count == 0 {
        keyring = None;
    }
    if let Some(users) = users {
        users.set(3, 7);
    }
    drop(keyring);
    Ok(u64::from(count != 0))
}

fn grown_buffer(heap: &Heap, wrong: bool) -> Returned {
    let mut buffer = Block::of(heap, b"header")?;
    let mut header = buffer.pointer();
    buffer.grow(64)?;
    if !wrong {
        header = buffer.pointer();
    }
    header.set(0, b'H');
    Ok(u64::from(header.get(1)))
}

fn dropped_buffer(heap: &Heap, wrong: bool) -> Returned {
    fn body(heap: &Heap, kept: &mut Option<Block>) -> Result<Pointer, super::Oom> {
        let buffer = Block::of(heap, b"<html></html>")?;
        let slice = buffer.pointer();
        *kept = Some(buffer);
        Ok(slice)
    }
    let mut kept = None;
    let slice = body(heap, &mut kept)?;
    if wrong {
        kept = None;
    }
    let sum = slice.sum(0..6);
    drop(kept);
    Ok(sum)
}

fn reset_arena(heap: &Heap, wrong: bool) -> Returned {
    let mut arena = Some(Block::of(heap, &[2; 40])?);
    let items = arena.as_ref().map(Block::pointer);
    let mut sum = 0;
    for at in 0..4 {
        sum += items.map_or(0, |items| u64::from(items.get(10 * at)));
        if wrong && at == 1 {
            arena = None;
        }
    }
    drop(arena);
    Ok(sum)
}

fn resized_to_nothing(heap: &Heap, wrong: bool) -> Returned {
    let raster = Block::zeroed(heap, 48)?;
    let frames = [48, 0];
    let mut kept = None;
    for size in frames {
        // `realloc` to no bytes frees the block, and says so by null.
        if size == 0 {
            kept = wrong.then(|| raster.second_owner());
        }
    }
    drop(raster);
    drop(kept);
    Ok(1)
}

fn line_of_a_hunk(heap: &Heap, wrong: bool) -> Returned {
    let lines = [Block::of(heap, b"+one")?, Block::of(heap, b"-two")?];
    let sum: u64 = lines.iter().map(|line| line.pointer().sum(0..4)).sum();
    if wrong {
        drop(lines[1].second_owner());
    }
    Ok(sum)
}

fn grow_to_the_same(heap: &Heap, wrong: bool) -> Returned {
    let items = Block::of(heap, &[4; 16])?;
    let capacity = items.len();
    let wanted = 16;
    if wrong && wanted == capacity {
        drop(items.second_owner());
    }
    Ok(capacity as u64)
}

fn unwinds(heap: &Heap, wrong: bool) -> Returned {
    let items = [Block::of(heap, &[1; 8])?, Block::of(heap, &[2; 8])?];
    let collected = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let moved = wrong.then(|| items[0].second_owner());
        let sum = items[1].pointer().sum(0..8);
        // The mapping closure panics at the second item.
        std::panic::resume_unwind(Box::new((sum, moved.is_some())))
    }));
    let _: Result<(), _> = collected;
    Ok(2)
}

fn popped_twice(heap: &Heap, wrong: bool) -> Returned {
    let parts = [Block::of(heap, b"head")?, Block::of(heap, b"tail")?];
    let again = wrong.then(|| parts[1].second_owner());
    let [head, tail] = parts;
    let popped = [Some(head), Some(tail), again];
    Ok(popped.iter().flatten().map(|part| part.len() as u64).sum::<u64>() / 4)
}

fn overwritten_list(heap: &Heap, wrong: bool) -> Returned {
    let mut list = Some(Block::of(heap, b"ids of the first handshake")?);
    let renewed = Block::of(heap, b"ids of the second one")?;
    if wrong {
        std::mem::forget(list.take());
    }
    list = Some(renewed);
    Ok(list.map_or(0, |list| list.len() as u64))
}

fn moved_pointer(heap: &Heap, wrong: bool) -> Returned {
    let text = Block::of(heap, b"  trimmed text  ")?;
    let mut start = 0;
    while text.pointer().get(start) == b' ' {
        start += 1;
    }
    if wrong {
        let inner = text.owner_of(text.pointer().after(start));
        std::mem::forget(text);
        drop(inner);
    }
    Ok(start as u64)
}

fn short_read(heap: &Heap, wrong: bool) -> Returned {
    let source = [9_u8; 5];
    let buffer = Block::new(heap, 16)?;
    // The reader has fewer bytes than there is room.
    buffer.pointer().put(0, &source);
    let filled = if wrong { buffer.len() } else { source.len() };
    Ok(buffer.pointer().sum(0..filled))
}
