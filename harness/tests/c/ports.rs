//! C's allocators as ports, and heaps as C's allocators. Each promise of the contract has a table of
//! functions that breaks it next to one that keeps it.
#![allow(unsafe_code, reason = "C's functions are called")]

use std::alloc::Layout;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::{NonNull, null_mut};

use crate::common::kinds;
use mallory::c::{MAX_ALIGN, MemoryPort, MemoryTable, PortTable, TablePort};
use mallory::c::{mallory_lua_alloc, mallory_zlib_alloc, mallory_zlib_free};
use mallory::{Heap, Kind, Plan, Port, Report, Sweep, conformance};

// ---- C's own malloc, in both of the shapes ----

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn free(block: *mut c_void);
    fn posix_memalign(block: *mut *mut c_void, align: usize, size: usize) -> c_int;
    fn malloc_usable_size(block: *mut c_void) -> usize;
}

unsafe extern "C" fn its_malloc(_: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: takes any size.
    unsafe { malloc(size) }
}

unsafe extern "C" fn its_calloc(_: *mut c_void, count: usize, size: usize) -> *mut c_void {
    // SAFETY: takes any numbers.
    unsafe { calloc(count, size) }
}

unsafe extern "C" fn its_realloc(_: *mut c_void, block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: a block of `malloc`'s.
    unsafe { realloc(block, size) }
}

unsafe extern "C" fn its_free(_: *mut c_void, block: *mut c_void) {
    // SAFETY: a block of `malloc`'s.
    unsafe { free(block) }
}

unsafe extern "C" fn its_aligned(_: *mut c_void, align: usize, size: usize) -> *mut c_void {
    let mut block = null_mut();
    // SAFETY: there is a place for the result.
    let code = unsafe { posix_memalign(&raw mut block, align.max(16), size) };
    if code == 0 { block } else { null_mut() }
}

unsafe extern "C" fn its_usable(_: *mut c_void, block: *mut c_void) -> usize {
    // SAFETY: a block of `malloc`'s.
    unsafe { malloc_usable_size(block) }
}

/// Only the required functions.
const BARE: MemoryTable = MemoryTable {
    context: null_mut(),
    malloc: Some(its_malloc),
    calloc: None,
    realloc: None,
    free: Some(its_free),
    aligned_alloc: None,
    usable_size: None,
};

/// A `malloc` that aligns a block only for the types that fit into it, as C's standard permits.
unsafe extern "C" fn narrow_malloc(_: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the block has eight bytes more than requested.
    unsafe {
        let block = malloc(size + 8);
        if size < MAX_ALIGN && !block.is_null() { block.byte_add(8) } else { block }
    }
}

unsafe extern "C" fn narrow_free(_: *mut c_void, block: *mut c_void) {
    // SAFETY: a block of `malloc`'s, or an address eight bytes into one, which its alignment tells.
    unsafe { free(block.byte_sub(block.addr() % MAX_ALIGN)) }
}

const NARROW: MemoryTable =
    MemoryTable { malloc: Some(narrow_malloc), free: Some(narrow_free), ..BARE };

const FULL: MemoryTable = MemoryTable {
    calloc: Some(its_calloc),
    realloc: Some(its_realloc),
    aligned_alloc: Some(its_aligned),
    usable_size: Some(its_usable),
    ..BARE
};

fn memory(table: MemoryTable) -> MemoryPort {
    // SAFETY: C's own functions, or broken ones that the suite detects.
    unsafe { MemoryPort::new(table) }.expect("malloc and free are there")
}

unsafe extern "C" fn sized_alloc(_: *mut c_void, size: usize, align: usize) -> *mut c_void {
    // SAFETY: takes any numbers.
    unsafe { its_aligned(null_mut(), align, size) }
}

unsafe extern "C" fn sized_free(_: *mut c_void, block: *mut c_void, _: usize, _: usize) {
    // SAFETY: a block of `malloc`'s.
    unsafe { free(block) }
}

unsafe extern "C" fn sized_resize(
    _: *mut c_void,
    block: *mut c_void,
    old: usize,
    new: usize,
    align: usize,
) -> *mut c_void {
    // SAFETY: a block of `old` bytes, and one of `new`.
    unsafe {
        let fresh = its_aligned(null_mut(), align, new);
        if !fresh.is_null() {
            fresh.copy_from_nonoverlapping(block, old.min(new));
            free(block);
        }
        fresh
    }
}

const SIZED: PortTable = PortTable {
    context: null_mut(),
    alloc: Some(sized_alloc),
    alloc_zeroed: None,
    free: Some(sized_free),
    resize: Some(sized_resize),
    bytes_outstanding: None,
    peak: None,
    failures: None,
};

fn table(table: PortTable) -> TablePort {
    // SAFETY: C's own functions, or broken ones that the suite detects.
    unsafe { TablePort::new(table) }.expect("alloc and free are there")
}

#[test]
fn tables_that_keep_their_word_conform() {
    conformance(|| memory(BARE)).operations(2000).run().assert_clean();
    conformance(|| memory(FULL)).operations(2000).run().assert_clean();
    conformance(|| table(SIZED)).operations(2000).run().assert_clean();
    conformance(|| memory(NARROW)).operations(2000).run().assert_clean();
    let bare = PortTable { resize: None, ..SIZED };
    conformance(|| table(bare)).operations(2000).run().assert_clean();
}

/// The port breaks the contract, and the report contains this.
fn breaks(report: &Report, what: &str) {
    let text = report.to_string();
    assert!(report.findings().iter().any(|finding| finding.kind() == Kind::PortContract), "{text}");
    assert!(text.contains(what), "{text}");
}

#[test]
fn a_table_that_breaks_its_word_is_found() {
    /// Overwrites the block although it refuses.
    unsafe extern "C" fn loses(
        _: *mut c_void,
        block: *mut c_void,
        old: usize,
        new: usize,
        _: usize,
    ) -> *mut c_void {
        // SAFETY: a block of `old` bytes; overwriting it breaks the promise.
        unsafe {
            block.write_bytes(0x5A, old.min(new));
            null_mut()
        }
    }
    let report = conformance(|| table(PortTable { resize: Some(loses), ..SIZED })).operations(2000);
    breaks(&report.run(), "leaves the old block unaltered");

    /// Does not zero all bytes.
    unsafe extern "C" fn dirty(_: *mut c_void, count: usize, size: usize) -> *mut c_void {
        // SAFETY: takes any numbers.
        unsafe {
            let block = calloc(count, size);
            if !block.is_null() && count * size > 3 {
                block.cast::<u8>().add(3).write(1);
            }
            block
        }
    }
    let report = conformance(|| memory(MemoryTable { calloc: Some(dirty), ..FULL }));
    breaks(&report.operations(2000).run(), "zero");

    /// Multiplies without checking for overflow.
    unsafe extern "C" fn wraps(_: *mut c_void, count: usize, size: usize) -> *mut c_void {
        // SAFETY: takes any size; that the block is too short breaks the promise.
        unsafe { calloc(1, count.wrapping_mul(size)) }
    }
    let wraps = MemoryTable { calloc: Some(wraps), ..FULL };
    let report = conformance(|| memory(wraps)).operations(2000).run();
    breaks(&report, "what nobody has is refused");
    breaks(&report, "    a1 = zeroed max align 1\n");

    /// Returns more than the size of the block.
    unsafe extern "C" fn boasts(_: *mut c_void, block: *mut c_void) -> usize {
        // SAFETY: a block of `malloc`'s.
        unsafe { malloc_usable_size(block) + 64 }
    }
    let report = conformance(|| memory(MemoryTable { usable_size: Some(boasts), ..FULL }));
    assert_ne!(report.operations(2000).run().exit_code(), 0);
}

#[test]
fn a_table_without_its_first_two_functions_is_refused() {
    // SAFETY: nothing is called.
    let errors = unsafe {
        [
            TablePort::new(PortTable { alloc: None, ..SIZED }).unwrap_err(),
            TablePort::new(PortTable { free: None, ..SIZED }).unwrap_err(),
            MemoryPort::new(MemoryTable { malloc: None, ..BARE }).unwrap_err(),
            MemoryPort::new(MemoryTable { free: None, ..BARE }).unwrap_err(),
        ]
    };
    let names = ["`alloc`", "`free`", "`malloc`", "`free`"];
    for (error, name) in errors.iter().zip(names) {
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn diagnostics_pass_in_both_directions() {
    let heap = Heap::new();
    let port = table(heap.port_table());
    let layout = Layout::from_size_align(100, 8).expect("a layout");
    let block = port.alloc(layout).expect("there is memory");
    assert_eq!(port.bytes_outstanding(), Some(100));
    heap.arm(Plan::nth(1));
    assert!(port.alloc(layout).is_err());
    heap.disarm();
    assert_eq!(port.failures(), Some(1));
    // SAFETY: the block from above.
    unsafe { port.free(block.cast(), layout) };
    assert_eq!((port.bytes_outstanding(), port.peak()), (Some(0), Some(100)));
    assert_eq!(table(SIZED).peak(), None);
}

// ---- the allocator functions of other libraries ----

#[test]
fn lua_is_held_to_the_sizes_that_it_says() {
    let sweep = |lie: usize| {
        Sweep::new("lua-alloc").oom(|_: &()| true).run(|heap| {
            let ud = std::ptr::from_ref(heap).cast_mut().cast();
            // SAFETY: the heap is alive, and the blocks are its own; it detects the wrong size.
            unsafe {
                // No request: without a block the old size is a kind of object.
                assert!(mallory_lua_alloc(ud, null_mut(), 5, 0).is_null());
                let block = mallory_lua_alloc(ud, null_mut(), 5, 40);
                if block.is_null() {
                    return Err(());
                }
                let larger = mallory_lua_alloc(ud, block, 40, 80);
                let (block, size) = if larger.is_null() { (block, 40) } else { (larger, 80) };
                mallory_lua_alloc(ud, block, size - lie, 0);
                if larger.is_null() { Err(()) } else { Ok(()) }
            }
        })
    };
    sweep(0).assert_clean();
    assert_eq!(kinds(&sweep(1)), [Kind::LayoutMismatch]);
}

#[test]
fn zlib_gets_a_product_or_nothing() {
    let heap = Heap::new();
    let opaque = std::ptr::from_ref(&heap).cast_mut().cast();
    // SAFETY: the heap is alive, and the blocks are its own.
    unsafe {
        let block = mallory_zlib_alloc(opaque, 12, 10);
        assert_eq!(heap.usable_size(block), 120);
        mallory_zlib_free(opaque, block);
        assert_eq!(heap.live_bytes(), 0);
    }
}

#[test]
fn a_free_without_a_size_is_right_on_every_alignment_and_of_an_empty_block() {
    Sweep::new("unsized")
        .oom(|_: &()| true)
        .run(|heap| {
            for (align, size) in [(1, 0), (8, 1), (MAX_ALIGN, 500), (64, 3), (4096, 4096)] {
                let block = NonNull::new(heap.aligned_alloc(align, size)).ok_or(())?;
                assert_eq!(heap.usable_size(block.as_ptr()), size);
                // SAFETY: the block was just allocated.
                unsafe { heap.free_unsized(block.as_ptr()) };
            }
            Ok(())
        })
        .assert_clean();
}

#[test]
fn an_aliased_heap_may_take_back_without_a_size_what_a_strange_one_may_not() {
    let sweep = |is_alias: bool| {
        Sweep::new("alias").oom(|_: &()| true).run(move |heap| {
            let other = heap.named("other");
            if is_alias {
                heap.alias(&other);
            }
            let block = NonNull::new(heap.malloc(30)).ok_or(())?;
            // SAFETY: the heap refuses a block that is not its own.
            unsafe { other.free_unsized(block.as_ptr()) };
            Ok(())
        })
    };
    sweep(true).assert_clean();
    assert_eq!(kinds(&sweep(false)), [Kind::CrossAllocatorFree]);
}

#[test]
fn a_realloc_that_forgets_its_old_block_is_a_leak_and_one_that_keeps_it_is_not() {
    let sweep = |forgets: bool| {
        Sweep::new("realloc").oom(|_: &()| true).run(move |heap| {
            let mut block = NonNull::new(heap.malloc(16)).ok_or(())?.as_ptr();
            let done = Cell::new(true);
            for size in [100, 1000] {
                // SAFETY: the block from above.
                let larger = unsafe { heap.realloc(block, size) };
                if larger.is_null() {
                    done.set(false);
                    if forgets {
                        // The textbook bug: `p = realloc(p, n)`.
                        return Err(());
                    }
                    break;
                }
                block = larger;
            }
            // SAFETY: the block from above, whether it grew or not.
            unsafe { heap.free_unsized(block) };
            done.get().then_some(()).ok_or(())
        })
    };
    sweep(false).assert_clean();
    let kinds = kinds(&sweep(true));
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == Kind::Leak), "{kinds:?}");
}
