//! The calls into a port under test: from this thread or from several, and none unwinds further.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::mpsc;

use crate::port::{Port, Refused};
use crate::report::format::panic_message;

/// Where a block begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockAddress(pub(crate) NonNull<u8>);

// SAFETY: a place is an address; whoever follows it answers for what is there.
unsafe impl Send for BlockAddress {}

impl BlockAddress {
    pub(crate) fn address(self) -> usize {
        self.0.as_ptr() as usize
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Alloc(Layout),
    Zeroed(Layout),
    Grow(BlockAddress, Layout, Layout),
    Shrink(BlockAddress, Layout, Layout),
    Free(BlockAddress, Layout),
    Reclaim,
    /// Asks the caller's function how many bytes the port holds.
    Held,
}

#[derive(Clone, Debug)]
pub(crate) enum CallResult {
    Block(BlockAddress, usize),
    Refused,
    Done,
    Reclaimed(bool),
    Held(usize),
    Panicked(String),
}

/// Makes a call through the hand of this number.
pub(crate) type Caller<'a> = dyn FnMut(u8, Call) -> CallResult + 'a;

/// How many bytes a port holds, where somebody knows.
pub(crate) type HeldBytes<'a, P> = dyn Fn(&P) -> usize + 'a;

/// The ports that a sequence is run on: one, or clones of it.
pub(crate) struct Ports<'a, P> {
    pub(crate) clones: &'a [P],
    pub(crate) held: Option<&'a HeldBytes<'a, P>>,
}

/// Makes a call, and turns a panic into an answer.
pub(crate) fn perform<P: Port>(
    port: &P,
    held: Option<&HeldBytes<'_, P>>,
    call: Call,
) -> CallResult {
    let block = |answer: Result<NonNull<[u8]>, Refused>| match answer {
        Ok(block) => CallResult::Block(BlockAddress(block.cast()), block.len()),
        Err(Refused) => CallResult::Refused,
    };
    // SAFETY: a trial hands in live blocks of this port with layouts that fit, and grows and
    // shrinks in the right direction; after `reclaim` it forgets every block.
    let result = catch_unwind(AssertUnwindSafe(|| unsafe {
        match call {
            Call::Alloc(layout) => block(port.alloc(layout)),
            Call::Zeroed(layout) => block(port.alloc_zeroed(layout)),
            Call::Grow(place, old, new) => block(port.grow(place.0, old, new)),
            Call::Shrink(place, old, new) => block(port.shrink(place.0, old, new)),
            Call::Free(place, layout) => {
                port.free(place.0, layout);
                CallResult::Done
            }
            Call::Reclaim => CallResult::Reclaimed(port.reclaim()),
            Call::Held => held.map_or(CallResult::Done, |held| CallResult::Held(held(port))),
        }
    }));
    result.unwrap_or_else(|payload| {
        let text = panic_message(&*payload);
        // A payload may itself panic when it is dropped.
        std::mem::forget(payload);
        CallResult::Panicked(text)
    })
}

/// All calls on this thread.
pub(crate) fn alone<P: Port>(ports: &Ports<'_, P>, _: u8, body: &mut dyn FnMut(&mut Caller<'_>)) {
    body(&mut |hand, call| {
        let port = &ports.clones[usize::from(hand) % ports.clones.len()];
        perform(port, ports.held, call)
    });
}

/// Calls of different hands on different threads, one at a time: what frees on another thread than
/// it allocated on is shown, and the order stays the sequence's.
pub(crate) fn together<P: Port + Sync>(
    ports: &Ports<'_, P>,
    threads: u8,
    body: &mut dyn FnMut(&mut Caller<'_>),
) {
    let clones = ports.clones;
    let port = |hand: u8| &clones[usize::from(hand) % clones.len()];
    std::thread::scope(|scope| {
        let mut lines = Vec::new();
        for _ in 1..threads {
            let (to, calls) = mpsc::channel::<(u8, Call)>();
            let (answers, from) = mpsc::channel();
            scope.spawn(move || {
                for (hand, call) in calls {
                    let port = &clones[usize::from(hand) % clones.len()];
                    if answers.send(perform(port, None, call)).is_err() {
                        return;
                    }
                }
            });
            lines.push((to, from));
        }
        body(&mut |hand, call| {
            let line = usize::from(hand) % usize::from(threads);
            let away = line.checked_sub(1).and_then(|line| lines.get(line));
            let Some((to, from)) = away else { return perform(port(hand), ports.held, call) };
            let sent = to.send((hand, call)).ok().and_then(|()| from.recv().ok());
            sent.expect("[mallory bug] a thread that makes calls is gone")
        });
        drop(lines);
    });
}

/// Blocks above twice this are written and read at both ends only.
const WINDOW: usize = 4 << 20;

/// The parts of a block that are written and read.
fn windows(length: usize) -> [(usize, usize); 2] {
    if length <= 2 * WINDOW {
        return [(0, length), (length, length)];
    }
    [(0, WINDOW), (length - WINDOW, length)]
}

/// The byte at this place of a block with this tag.
fn byte(tag: u64, at: usize) -> u8 {
    let word = crate::trace::mix(tag ^ (at as u64 / 8).wrapping_mul(0x9E37_79B9));
    word.to_le_bytes()[at % 8]
}

/// Writes a block full with what its tag says.
///
/// # Safety
/// - `length` bytes from `place` are writable, and nobody else's.
pub(crate) unsafe fn fill(place: BlockAddress, length: usize, tag: u64) {
    for (from, to) in windows(length) {
        for at in from..to {
            // SAFETY: the caller's promise.
            unsafe { place.0.add(at).write(byte(tag, at)) }
        }
    }
}

/// The first of `length` bytes that is not what the tag says.
///
/// # Safety
/// - `whole` bytes from `place` are readable and were filled with this tag; `length` is no more.
pub(crate) unsafe fn changed(
    place: BlockAddress,
    whole: usize,
    length: usize,
    tag: u64,
) -> Option<usize> {
    // SAFETY: the caller's promise; volatile, since a broken port may write them meanwhile.
    let is_other = |at: &usize| unsafe { place.0.add(*at).read_volatile() } != byte(tag, *at);
    windows(whole).into_iter().find_map(|(from, to)| (from..to.min(length)).find(is_other))
}

/// The first byte that is not zero.
///
/// # Safety
/// - `length` bytes from `place` are readable and initialised.
pub(crate) unsafe fn nonzero(place: BlockAddress, length: usize) -> Option<usize> {
    // SAFETY: the caller's promise.
    let is_other = |at: &usize| unsafe { place.0.add(*at).read_volatile() } != 0;
    windows(length).into_iter().find_map(|(from, to)| (from..to).find(is_other))
}
