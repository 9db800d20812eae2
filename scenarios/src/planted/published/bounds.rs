//! Accesses beyond a block: lengths that are trusted, computed too small, or not checked again.

use mallory::{Heap, Kind};

use super::block::Block;
use super::{Published, Returned};

pub(super) const ALL: [Published; 15] = [
    Published {
        source: "CVE-2014-0160, OpenSSL (Heartbleed)",
        wrong: "echoes as many bytes as a message says that it has",
        kind: Kind::HeapBufferOverflow,
        run: heartbeat,
    },
    Published {
        source: "CVE-2015-0235, glibc (GHOST)",
        wrong: "computes the room for a host name without the pointers beside it",
        kind: Kind::HeapBufferOverflow,
        run: host_name,
    },
    Published {
        source: "CVE-2021-3156, sudo (Baron Samedit)",
        wrong: "steps over the end of an argument that ends in a backslash",
        kind: Kind::HeapBufferOverflow,
        run: unescape,
    },
    Published {
        source: "CVE-2022-37434, zlib",
        wrong: "copies an extra field past the room for it, by the lengths of all its parts",
        kind: Kind::HeapBufferOverflow,
        run: extra_field,
    },
    Published {
        source: "CVE-2023-4863, libwebp",
        wrong: "sizes a table of codes for valid code lengths, and checks them only later",
        kind: Kind::HeapBufferOverflow,
        run: code_table,
    },
    Published {
        source: "CVE-2017-9047, libxml2",
        wrong: "checks the room for a name, and then appends a prefix as well",
        kind: Kind::HeapBufferOverflow,
        run: qualified_name,
    },
    Published {
        source: "CVE-2019-5482, curl (TFTP)",
        wrong: "makes room for the block size that was asked for, and receives the default one",
        kind: Kind::HeapBufferOverflow,
        run: block_size,
    },
    Published {
        source: "CVE-2018-14618, curl (NTLM)",
        wrong: "doubles a length in too few bits",
        kind: Kind::HeapBufferOverflow,
        run: doubled_length,
    },
    Published {
        source: "CVE-2014-0195, OpenSSL (DTLS)",
        wrong: "makes room for the length in the first fragment, and copies by that in a later one",
        kind: Kind::HeapBufferOverflow,
        run: fragments,
    },
    Published {
        source: "CVE-2017-3735, OpenSSL",
        wrong: "reads two bytes of a field that may have one",
        kind: Kind::HeapBufferOverflow,
        run: address_family,
    },
    Published {
        source: "CVE-2015-8126, libpng",
        wrong: "copies a palette of any length into the room for one of its depth",
        kind: Kind::HeapBufferOverflow,
        run: palette,
    },
    Published {
        source: "CVE-2018-1000810, Rust's std (str::repeat)",
        wrong: "multiplies a length and a count that wrap around",
        kind: Kind::HeapBufferOverflow,
        run: repeat,
    },
    Published {
        source: "CVE-2021-25900, smallvec (insert_many)",
        wrong: "reserves what an iterator promises, and inserts what it gives",
        kind: Kind::HeapBufferOverflow,
        run: insert_many,
    },
    Published {
        source: "RUSTSEC-2020-0006, bumpalo (realloc)",
        wrong: "copies the new size out of a block of the old one",
        kind: Kind::HeapBufferOverflow,
        run: realloc,
    },
    Published {
        source: "CVE-2016-9841, zlib (inffast)",
        wrong: "begins one before a table, to count before each access",
        kind: Kind::HeapBufferUnderflow,
        run: before_the_table,
    },
];

fn heartbeat(heap: &Heap, wrong: bool) -> Returned {
    // A type, a length of 40, and four bytes.
    let message = Block::of(heap, &[1, 40, b'b', b'i', b'r', b'd'])?;
    let says = usize::from(message.pointer().get(1));
    let has = message.len() - 2;
    if !wrong && says > has {
        return Ok(0);
    }
    let reply = Block::zeroed(heap, says)?;
    for at in 0..says {
        reply.pointer().set(at, message.pointer().get(2 + at));
    }
    Ok(reply.pointer().sum(0..4))
}

fn host_name(heap: &Heap, wrong: bool) -> Returned {
    const NAME: &[u8] = b"00000000000000000000000000000001\0";
    const ADDRESS: usize = 16;
    let pointers = if wrong { 2 } else { 3 } * size_of::<usize>();
    let buffer = Block::zeroed(heap, ADDRESS + pointers + NAME.len())?;
    // The address, two lists and an alias come first.
    buffer.pointer().put(ADDRESS + 3 * size_of::<usize>(), NAME);
    Ok(u64::from(buffer.pointer().get(ADDRESS)))
}

fn unescape(heap: &Heap, wrong: bool) -> Returned {
    let argument = Block::of(heap, b"-s\\\0")?;
    let from = argument.pointer();
    let plain = Block::zeroed(heap, argument.len())?;
    let (mut read, mut written) = (0, 0);
    while from.get(read) != 0 {
        let escapes = from.get(read) == b'\\' && (wrong || from.get(read + 1) != 0);
        read += usize::from(escapes);
        plain.pointer().set(written, from.get(read));
        (read, written) = (read + 1, written + 1);
    }
    Ok(written as u64)
}

fn extra_field(heap: &Heap, wrong: bool) -> Returned {
    const ROOM: usize = 20;
    let extra = Block::zeroed(heap, ROOM)?;
    let mut done = 0;
    for part in [[7_u8; 12], [8; 12]] {
        let fits = ROOM.saturating_sub(done).min(part.len());
        let copied = if wrong { part.len() } else { fits };
        extra.pointer().put(done, &part[..copied]);
        done += part.len();
    }
    Ok(extra.pointer().sum(0..ROOM))
}

fn code_table(heap: &Heap, wrong: bool) -> Returned {
    // Each code of length n fills 2^(4 - n) entries: valid lengths fill 16.
    const LENGTHS: [u32; 5] = [1, 2, 2, 3, 3];
    let entries = |length: &u32| 1_usize << (4 - length);
    let all: usize = LENGTHS.iter().map(entries).sum();
    if !wrong && all > 16 {
        return Ok(0);
    }
    let table = Block::zeroed(heap, 16)?;
    let mut next = 0;
    for (code, length) in LENGTHS.iter().enumerate() {
        for _ in 0..entries(length) {
            table.pointer().set(next, code as u8);
            next += 1;
        }
    }
    Ok(u64::from(table.pointer().get(0)))
}

fn qualified_name(heap: &Heap, wrong: bool) -> Returned {
    const ROOM: usize = 24;
    let (prefix, name) = (b"namespace:", b"element-of-a-list\0");
    let text = Block::zeroed(heap, ROOM)?;
    let needed = name.len() + if wrong { 0 } else { prefix.len() };
    if needed > ROOM {
        return Ok(0);
    }
    text.pointer().put(0, prefix);
    text.pointer().put(prefix.len(), name);
    Ok(1)
}

fn block_size(heap: &Heap, wrong: bool) -> Returned {
    const ASKED: usize = 64;
    const DEFAULT: usize = 512;
    let room = Block::zeroed(heap, if wrong { ASKED } else { DEFAULT })?;
    // The server ignores what was asked for.
    (0..DEFAULT).for_each(|at| room.pointer().set(at, 0x2A));
    Ok(u64::from(room.pointer().get(0)))
}

fn doubled_length(heap: &Heap, wrong: bool) -> Returned {
    let password = [b'x'; 140];
    let length = password.len() as u8;
    let room = if wrong { usize::from(length.wrapping_mul(2)) } else { password.len() * 2 };
    let unicode = Block::zeroed(heap, room)?;
    for (nth, letter) in password.iter().enumerate() {
        unicode.pointer().put(2 * nth, &[*letter, 0]);
    }
    Ok(u64::from(unicode.pointer().get(0)))
}

fn fragments(heap: &Heap, wrong: bool) -> Returned {
    // Each has the length of the whole message, its place in it, and its bytes.
    let parts: [(usize, usize, &[u8]); 2] = [(32, 0, &[1; 16]), (80, 16, &[2; 64])];
    let whole = Block::zeroed(heap, parts[0].0)?;
    for (says, at, bytes) in parts {
        let is_known = if wrong { says } else { whole.len() };
        if at + bytes.len() <= is_known {
            whole.pointer().put(at, bytes);
        }
    }
    Ok(whole.pointer().sum(0..16))
}

fn address_family(heap: &Heap, wrong: bool) -> Returned {
    let field = Block::of(heap, &[4])?;
    if !wrong && field.len() < 2 {
        return Ok(0);
    }
    let family = u16::from_be_bytes([field.pointer().get(0), field.pointer().get(1)]);
    Ok(u64::from(family != 0))
}

fn palette(heap: &Heap, wrong: bool) -> Returned {
    const DEPTH: u32 = 2;
    let entries = [[9_u8; 3]; 16];
    let room = 3 << DEPTH;
    let kept = Block::zeroed(heap, room)?;
    let taken = if wrong { entries.len() } else { entries.len().min(1 << DEPTH) };
    for (nth, entry) in entries[..taken].iter().enumerate() {
        kept.pointer().put(3 * nth, entry);
    }
    Ok(kept.pointer().sum(0..room))
}

fn repeat(heap: &Heap, wrong: bool) -> Returned {
    let (text, times) = (*b"0123456789abcdef", 17_u8);
    let wrapped = (text.len() as u8).wrapping_mul(times);
    if !wrong && (text.len() as u8).checked_mul(times).is_none() {
        return Ok(0);
    }
    let copies = Block::zeroed(heap, usize::from(wrapped))?;
    (0..usize::from(times)).for_each(|nth| copies.pointer().put(nth * text.len(), &text));
    Ok(u64::from(copies.pointer().get(0)))
}

fn insert_many(heap: &Heap, wrong: bool) -> Returned {
    let items = 1..=9_u8;
    let promised = 4;
    let mut vector = Block::of(heap, &[0; 3])?;
    let old = vector.len();
    vector.grow(old + promised)?;
    for (nth, item) in items.enumerate() {
        if !wrong && old + nth == vector.len() {
            let more = vector.len() + 1;
            vector.grow(more)?;
        }
        vector.pointer().set(old + nth, item);
    }
    Ok(u64::from(vector.pointer().get(old)))
}

fn realloc(heap: &Heap, wrong: bool) -> Returned {
    let old = Block::of(heap, &[5; 24])?;
    let new = Block::zeroed(heap, 48)?;
    let copied = if wrong { new.len() } else { old.len() };
    (0..copied).for_each(|at| new.pointer().set(at, old.pointer().get(at)));
    Ok(new.pointer().sum(0..24))
}

fn before_the_table(heap: &Heap, wrong: bool) -> Returned {
    let table = Block::of(heap, &[3; 16])?;
    let start = if wrong { table.pointer().before(1) } else { table.pointer() };
    // The counter is raised after the access, not before it.
    let first = start.get(0);
    Ok(u64::from(first == 3) + 1)
}
