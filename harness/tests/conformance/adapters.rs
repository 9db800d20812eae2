//! Other allocators as ports, held to the contract without unsafe code of their users; and threads
//! that call a port at the same time.
#![allow(unsafe_code, reason = "a broken port is an unsafe trait")]

use std::alloc::{Layout, System};
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use mallory::adapters::{Api2Port, ArenaPort, GlobalPort, RegionPort, StaticPort};
use mallory::{Options, Port, Refused, Report, SystemPort, Verdict, conformance};

static SYSTEM: System = System;

#[test]
fn the_allocators_that_everybody_has_keep_the_contract() {
    conformance(|| GlobalPort(System)).threads(3).run().assert_clean();
    conformance(|| StaticPort(&SYSTEM)).clones(2).run().assert_clean();
    conformance(|| Api2Port(allocator_api2::alloc::Global)).threads(2).run().assert_clean();
    let counted = conformance(SystemPort::new).held(|port| port.bytes_outstanding() as usize);
    counted.run().assert_clean();
}

#[cfg(feature = "allocator-api2-04")]
#[test]
fn so_does_the_other_version() {
    let port = || mallory::adapters::Api2V04Port(allocator_api2_04::alloc::Global);
    conformance(port).threads(2).run().assert_clean();
}

#[test]
fn a_heap_is_a_port_that_keeps_the_contract() {
    for options in [Options::new(), Options::new().ledger_only(), Options::new().moving(false)] {
        let heap = move || options.clone().heap();
        conformance(heap).operations(2048).max_align(4096).clones(2).run().assert_clean();
    }
}

/// An arena: cuts blocks from one piece of memory.
#[derive(Default)]
struct Bump {
    used: AtomicUsize,
    memory: Vec<MaybeUninit<u8>>,
    forgets: bool,
}

const ROOM: usize = 1 << 20;

impl Bump {
    fn new(forgets: bool) -> Bump {
        Bump { used: AtomicUsize::new(0), memory: vec![MaybeUninit::uninit(); ROOM], forgets }
    }
}

/// Returns a leaked piece of the system's memory, which is counted against the arena's size.
fn take(bump: &Bump, layout: Layout) -> Option<&mut [MaybeUninit<u8>]> {
    let size = layout.size().checked_add(layout.align())?;
    let used = bump.used.load(Ordering::Relaxed).checked_add(size)?;
    if used > bump.memory.len() {
        return None;
    }
    bump.used.store(used, Ordering::Relaxed);
    let piece = Box::leak(vec![MaybeUninit::uninit(); size].into_boxed_slice());
    let skip = piece.as_ptr().align_offset(layout.align());
    piece.get_mut(skip..skip + layout.size())
}

#[test]
fn an_arena_without_frees_gives_its_memory_back_at_once_or_is_caught() {
    let arena = |forgets| {
        let port = move || {
            ArenaPort::new(Bump::new(forgets), take).reset(|bump: &mut Bump| {
                if !bump.forgets {
                    *bump.used.get_mut() = 0;
                }
            })
        };
        conformance(port).name("arena").operations(512).no_free().fixed(ROOM).run()
    };
    arena(false).assert_clean();
    let report = arena(true);
    assert!(report.to_string().contains("after all were freed"), "{report}");
}

/// First fit over a region that it borrows mutably, as embedded allocators do.
struct FirstFit {
    memory: &'static mut [MaybeUninit<u8>],
    /// Start and end of each block, in order.
    used: std::vec::Vec<(usize, usize)>,
    aligns: bool,
}

impl FirstFit {
    fn new(memory: &'static mut [MaybeUninit<u8>]) -> FirstFit {
        FirstFit { memory, used: std::vec::Vec::new(), aligns: true }
    }

    fn careless(memory: &'static mut [MaybeUninit<u8>]) -> FirstFit {
        FirstFit { aligns: false, ..FirstFit::new(memory) }
    }

    fn find(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let base = self.memory.as_ptr().addr();
        let align = if self.aligns { layout.align() } else { layout.align().min(16) };
        let ends = self.used.iter().map(|(_, end)| *end);
        let begins = self.used.iter().map(|(begin, _)| *begin);
        let gaps = std::iter::once(0).chain(ends).zip(begins.chain([self.memory.len()]));
        let fits = |(nth, (from, to)): (usize, (usize, usize))| {
            let from = (base + from).checked_next_multiple_of(align)? - base;
            let end = from.checked_add(layout.size())?;
            (end <= to).then_some((nth, from, end))
        };
        let (nth, from, end) = gaps.enumerate().find_map(fits)?;
        self.used.insert(nth, (from, end));
        NonNull::new(self.memory[from..end].as_mut_ptr().cast())
    }

    fn try_find(&mut self, layout: Layout) -> Result<NonNull<u8>, &'static str> {
        self.find(layout).ok_or("the region is full")
    }

    fn find_or_null(&mut self, layout: Layout) -> *mut u8 {
        self.find(layout).map_or(std::ptr::null_mut(), NonNull::as_ptr)
    }

    /// # Safety
    /// - `block` is alive and from here.
    unsafe fn drop_block(&mut self, block: NonNull<u8>, _: Layout) {
        let from = block.as_ptr().addr() - self.memory.as_ptr().addr();
        self.used.retain(|(begin, _)| *begin != from);
    }

    /// # Safety
    /// - `block` is alive and from here.
    unsafe fn drop_at(&mut self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller's obligation.
            unsafe { self.drop_block(block, layout) }
        }
    }
}

#[test]
fn a_region_that_is_used_exclusively_is_a_port_in_each_way_that_it_may_be_written() {
    let option = || RegionPort::new(ROOM, FirstFit::new, FirstFit::find, FirstFit::drop_block);
    let result = || RegionPort::new(ROOM, FirstFit::new, FirstFit::try_find, FirstFit::drop_block);
    let null = || RegionPort::new(ROOM, FirstFit::new, FirstFit::find_or_null, FirstFit::drop_at);
    let careless =
        || RegionPort::new(ROOM, FirstFit::careless, FirstFit::find, FirstFit::drop_block);
    region(option).assert_clean();
    region(result).assert_clean();
    region(null).assert_clean();
    let report = region(careless);
    assert!(report.to_string().contains("a1 is not aligned to 32"), "{report}");
}

/// Holds a port over a region of this size to the contract.
fn region<P: Port>(port: impl Fn() -> P) -> Report {
    let report = conformance(port).fixed(ROOM).operations(1024).max_size(512).run();
    assert!(report.coverage().requests > 500, "{report}");
    report
}

/// A bump allocator that without its lock may give two threads the same block.
struct Racy {
    inner: Bump,
    locks: bool,
    lock: std::sync::Mutex<()>,
}

// SAFETY: none without the lock, which the suite detects.
unsafe impl Port for Racy {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        let _guard = self.locks.then(|| self.lock.lock());
        let used = self.inner.used.load(Ordering::Relaxed);
        let start = self.inner.memory.as_ptr() as usize + used;
        let skip = start.next_multiple_of(layout.align()) - start;
        std::thread::yield_now();
        let end = used.checked_add(skip).and_then(|end| end.checked_add(layout.size()));
        let end = end.filter(|end| *end <= ROOM).ok_or(Refused)?;
        self.inner.used.store(end, Ordering::Relaxed);
        // SAFETY: inside of the memory, as was just checked.
        let block = unsafe { self.inner.memory.as_ptr().add(used + skip) }.cast_mut().cast();
        Ok(NonNull::slice_from_raw_parts(NonNull::new(block).ok_or(Refused)?, layout.size()))
    }

    unsafe fn free(&self, _: NonNull<u8>, _: Layout) {}
}

#[test]
fn threads_that_come_at_once_show_a_port_without_a_lock() {
    let racy = |locks| {
        let port = move || Racy { inner: Bump::new(false), locks, lock: Default::default() };
        conformance(port).max_align(64).threads(4).run()
    };
    let report = racy(false);
    assert!(report.to_string().contains("by 4 threads at once: no sequence shows"), "{report}");
    let report = racy(true);
    report.assert_clean();
    assert_eq!(report.verdict(), Verdict::Sampled);
}

#[test]
fn a_port_that_grants_nothing_is_no_clean_one() {
    let report = conformance(|| ArenaPort::new((), |(), _| None)).run();
    assert_eq!(report.exit_code(), 2, "{report}");
    assert!(report.to_string().contains("refused every request: nothing was tried"), "{report}");
}
