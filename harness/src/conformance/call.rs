//! Calls into a port under test, from this thread or from several. A panic becomes a result.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::mpsc;

use crate::conformance::clause::Function;
use crate::port::{Port, Refused};
use crate::report::format::panic_message;

/// The first address of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockAddress(pub(crate) NonNull<u8>);

// SAFETY: sending an address alone accesses nothing; every access to the block is an `unsafe` call
// with obligations of its own (`fill`, `changed`, `nonzero`, `perform`).
unsafe impl Send for BlockAddress {}

impl BlockAddress {
    pub(crate) fn addr(self) -> usize {
        self.0.as_ptr() as usize
    }
}

/// A call into a port. Layouts are old ones before new ones.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Alloc(Layout),
    Zeroed(Layout),
    Grow(BlockAddress, Layout, Layout),
    Shrink(BlockAddress, Layout, Layout),
    Free(BlockAddress, Layout),
    Reclaim,
    /// Calls the user's function that returns how many bytes the port holds.
    Held,
}

impl Call {
    pub(crate) fn function(self) -> Function {
        match self {
            Call::Alloc(_) => Function::Alloc,
            Call::Zeroed(_) => Function::Zeroed,
            Call::Grow(..) => Function::Grow,
            Call::Shrink(..) => Function::Shrink,
            Call::Free(..) => Function::Free,
            Call::Reclaim => Function::Reclaim,
            Call::Held => Function::Held,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum CallResult {
    /// A block, and its returned length in bytes.
    Block(BlockAddress, usize),
    Refused,
    Done,
    Reclaimed(bool),
    Held(usize),
    Panicked(String),
}

/// Makes a call, from the thread or through the clone with this number.
pub(crate) type CallFn<'a> = dyn FnMut(u8, Call) -> CallResult + 'a;

/// Returns how many bytes a port holds.
pub(crate) type HeldBytes<'a, P> = dyn Fn(&P) -> usize + 'a;

/// The ports of a sequence: one, or clones of it.
pub(crate) struct Ports<'a, P> {
    pub(crate) clones: &'a [P],
    pub(crate) held: Option<&'a HeldBytes<'a, P>>,
}

/// Makes a call; a panic becomes [`CallResult::Panicked`].
pub(crate) fn perform<P: Port>(
    port: &P,
    held: Option<&HeldBytes<'_, P>>,
    call: Call,
) -> CallResult {
    let block = |result: Result<NonNull<[u8]>, Refused>| match result {
        Ok(block) => CallResult::Block(BlockAddress(block.cast()), block.len()),
        Err(Refused) => CallResult::Refused,
    };
    // SAFETY: the callers of `perform` pass blocks that their model holds as live, each from this port
    // or a clone, with a layout that `fitting` makes; `resize` orders the sizes of a grow and a shrink;
    // and after `reclaim` the model is cleared.
    let result = catch_unwind(AssertUnwindSafe(|| unsafe {
        match call {
            Call::Alloc(layout) => block(port.alloc(layout)),
            Call::Zeroed(layout) => block(port.alloc_zeroed(layout)),
            Call::Grow(address, old, new) => block(port.grow(address.0, old, new)),
            Call::Shrink(address, old, new) => block(port.shrink(address.0, old, new)),
            Call::Free(address, layout) => {
                port.free(address.0, layout);
                CallResult::Done
            }
            Call::Reclaim => CallResult::Reclaimed(port.reclaim()),
            Call::Held => held.map_or(CallResult::Done, |held| CallResult::Held(held(port))),
        }
    }));
    result.unwrap_or_else(|payload| {
        let text = panic_message(&*payload);
        // Dropping a payload may panic.
        std::mem::forget(payload);
        CallResult::Panicked(text)
    })
}

/// Makes all calls on this thread.
pub(crate) fn on_one_thread<P: Port>(
    ports: &Ports<'_, P>,
    _: u8,
    body: &mut dyn FnMut(&mut CallFn<'_>),
) {
    body(&mut |caller, call| {
        let port = &ports.clones[usize::from(caller) % ports.clones.len()];
        perform(port, ports.held, call)
    });
}

/// Makes the calls of each number on a thread of its own, one call at a time: blocks are freed on other
/// threads than they were allocated on, and the order stays that of the sequence.
pub(crate) fn on_threads<P: Port + Sync>(
    ports: &Ports<'_, P>,
    threads: u8,
    body: &mut dyn FnMut(&mut CallFn<'_>),
) {
    let clones = ports.clones;
    let port = |caller: u8| &clones[usize::from(caller) % clones.len()];
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for _ in 1..threads {
            let (calls, from) = mpsc::channel::<(u8, Call)>();
            let (results, to) = mpsc::channel();
            scope.spawn(move || {
                for (caller, call) in from {
                    let port = &clones[usize::from(caller) % clones.len()];
                    if results.send(perform(port, None, call)).is_err() {
                        return;
                    }
                }
            });
            workers.push((calls, to));
        }
        body(&mut |caller, call| {
            // Thread 0 is this one.
            let thread = usize::from(caller) % usize::from(threads);
            let worker = thread.checked_sub(1).and_then(|other| workers.get(other));
            let Some((calls, results)) = worker else {
                return perform(port(caller), ports.held, call);
            };
            let result = calls.send((caller, call)).ok().and_then(|()| results.recv().ok());
            result.expect("[mallory bug] a thread that makes calls is gone")
        });
        drop(workers);
    });
}

/// Bytes that are written and read at each end of a block that is longer than twice this.
const WINDOW: usize = 4 << 20;

/// The ranges of a block that are written and read.
fn windows(length: usize) -> [(usize, usize); 2] {
    if length <= 2 * WINDOW {
        return [(0, length), (length, length)];
    }
    [(0, WINDOW), (length - WINDOW, length)]
}

/// Bytes that are written and compared at once.
const WORD: usize = size_of::<u64>();

/// The bytes of a block with this tag, from this index on; a multiple of [`WORD`].
fn word(tag: u64, at: usize) -> u64 {
    crate::trace::mix(tag ^ ((at / WORD) as u64).wrapping_mul(0x9E37_79B9)).to_le()
}

/// The byte at this index of a block with this tag.
fn byte(tag: u64, at: usize) -> u8 {
    word(tag, at).to_ne_bytes()[at % WORD]
}

/// Fills a block with the bytes of its tag.
///
/// # Safety
/// - `length` bytes from `address` are writable, and no other thread accesses them.
pub(crate) unsafe fn fill(address: BlockAddress, length: usize, tag: u64) {
    for (from, to) in windows(length) {
        let mut at = from;
        while at < to {
            if at.is_multiple_of(WORD) && to - at >= WORD {
                // SAFETY: `at + WORD` is at most `length`, whose bytes the caller promises to be writable.
                unsafe { address.0.add(at).cast::<u64>().write_unaligned(word(tag, at)) }
                at += WORD;
            } else {
                // SAFETY: `at` is below `length`, as above.
                unsafe { address.0.add(at).write(byte(tag, at)) }
                at += 1;
            }
        }
    }
}

/// The index of the first byte in `from..to` that differs from the one that `expected` returns for a
/// word or a byte at an index.
///
/// # Safety
/// - `to` bytes from `address` are readable and initialised.
unsafe fn first_other(
    address: BlockAddress,
    (from, to): (usize, usize),
    expected: (impl Fn(usize) -> u64, impl Fn(usize) -> u8),
) -> Option<usize> {
    let mut at = from;
    while at < to {
        if at.is_multiple_of(WORD) && to - at >= WORD {
            // SAFETY: `at + WORD` is at most `to`, whose bytes the caller promises to be readable. Volatile,
            // as a broken port may write them meanwhile, and as bytes, since a block need not be aligned.
            let found = unsafe { address.0.add(at).cast::<[u8; WORD]>().read_volatile() };
            if found == expected.0(at).to_ne_bytes() {
                at += WORD;
                continue;
            }
        }
        // SAFETY: `at` is below `to`, as above.
        if unsafe { address.0.add(at).read_volatile() } != expected.1(at) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The index of the first byte, of the first `length`, that differs from the byte of the tag.
///
/// # Safety
/// - `whole` bytes from `address` are readable and were filled with this tag; `length <= whole`.
pub(crate) unsafe fn changed(
    address: BlockAddress,
    whole: usize,
    length: usize,
    tag: u64,
) -> Option<usize> {
    let expected = || (|at| word(tag, at), |at| byte(tag, at));
    // SAFETY: `length` is at most `whole`, whose bytes the caller promises to be readable and filled.
    let find = |(from, to): (usize, usize)| unsafe {
        first_other(address, (from, to.min(length)), expected())
    };
    windows(whole).into_iter().find_map(find)
}

/// The index of the first byte that is not zero.
///
/// # Safety
/// - `length` bytes from `address` are readable and initialised.
pub(crate) unsafe fn nonzero(address: BlockAddress, length: usize) -> Option<usize> {
    // SAFETY: the caller promises these bytes to be readable and initialised.
    let find = |window| unsafe { first_other(address, window, (|_| 0, |_| 0)) };
    windows(length).into_iter().find_map(find)
}
