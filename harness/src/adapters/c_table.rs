//! A port as C sees one: a table of functions with a context and diagnostics, in both directions.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ffi::c_void;
use std::ptr::NonNull;

use crate::error::Error;
use crate::heap::Heap;
use crate::heap::state::State;
use crate::port::{Port, Refused};

/// A port as a table of functions: an allocator of C's, or a heap that is handed to C.
///
/// `alloc` and `free` have to be there; where one of the others is null, a caller does without.
/// Sizes are in bytes, alignments powers of two. A null answer is a refusal. The promises are
/// those of `Port`: a refused resize leaves the old block alive and as it was.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PortTable {
    /// Handed to each function.
    pub context: *mut c_void,
    /// A block of this size and alignment.
    pub alloc: Option<
        unsafe extern "C" fn(context: *mut c_void, size: usize, align: usize) -> *mut c_void,
    >,
    /// A block of zeroes. May be null.
    pub alloc_zeroed: Option<
        unsafe extern "C" fn(context: *mut c_void, size: usize, align: usize) -> *mut c_void,
    >,
    /// Gives a block back, with the size and alignment that it was asked for with.
    pub free: Option<
        unsafe extern "C" fn(context: *mut c_void, block: *mut c_void, size: usize, align: usize),
    >,
    /// Makes a block larger or smaller; it may move. May be null.
    pub resize: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            block: *mut c_void,
            old_size: usize,
            new_size: usize,
            align: usize,
        ) -> *mut c_void,
    >,
    /// Bytes asked for and not yet given back. May be null.
    pub bytes_outstanding: Option<unsafe extern "C" fn(context: *mut c_void) -> u64>,
    /// The most that has been outstanding. May be null.
    pub peak: Option<unsafe extern "C" fn(context: *mut c_void) -> u64>,
    /// Requests that were refused. May be null.
    pub failures: Option<unsafe extern "C" fn(context: *mut c_void) -> u64>,
}

/// A C allocator, by its table, as a [`Port`].
#[derive(Debug)]
pub struct TablePort {
    table: PortTable,
    alloc: unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void, *mut c_void, usize, usize),
}

// SAFETY: whoever makes one promises that its functions may be called from any thread, one at a
// time.
unsafe impl Send for TablePort {}

impl TablePort {
    /// The allocator behind this table.
    ///
    /// # Errors
    /// `alloc` or `free` is null.
    ///
    /// # Safety
    /// - the functions may be called with the context as long as the port lives, from any thread,
    ///   one at a time;
    /// - they keep what [`Port`] promises, or the port stands below a conformance run, which finds
    ///   out.
    pub unsafe fn new(table: PortTable) -> Result<TablePort, Error> {
        let missing = |name| {
            Error::new(format!("the port's table has no `{name}`"))
                .help("fill in `alloc` and `free`; the rest may be null")
        };
        let alloc = table.alloc.ok_or_else(|| missing("alloc"))?;
        let free = table.free.ok_or_else(|| missing("free"))?;
        Ok(TablePort { table, alloc, free })
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> PortTable {
        self.table
    }

    /// What the allocator says is outstanding, in bytes; `None` where it doesn't say.
    #[must_use]
    pub fn bytes_outstanding(&self) -> Option<u64> {
        self.ask(self.table.bytes_outstanding)
    }

    /// The most that was outstanding, in bytes, by its own account.
    #[must_use]
    pub fn peak(&self) -> Option<u64> {
        self.ask(self.table.peak)
    }

    /// Requests that it refused, by its own account.
    #[must_use]
    pub fn failures(&self) -> Option<u64> {
        self.ask(self.table.failures)
    }

    fn ask(&self, count: Option<unsafe extern "C" fn(*mut c_void) -> u64>) -> Option<u64> {
        // SAFETY: the promise of `new`.
        count.map(|count| unsafe { count(self.table.context) })
    }

    /// Another size of a block.
    ///
    /// # Safety
    /// - as for [`Port::grow`], in either direction.
    unsafe fn resized(
        &self,
        start: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        let context = self.table.context;
        if let Some(resize) = self.table.resize.filter(|_| old.align() == new.align()) {
            let (from, to) = (old.size().max(1), new.size().max(1));
            // SAFETY: a live block of this table's with the size it was asked for (the caller's
            // promise), and a size and an alignment that make a layout.
            let moved = unsafe { resize(context, start.as_ptr().cast(), from, to, old.align()) };
            return block(moved, new.size());
        }
        let fresh = self.alloc(new)?;
        // SAFETY: both blocks are alive, disjoint and as long as the smaller size; then the old
        // one goes back as it was made.
        unsafe {
            fresh.cast::<u8>().copy_from_nonoverlapping(start, old.size().min(new.size()));
            self.free(start, old);
        }
        Ok(fresh)
    }
}

pub(crate) fn block(start: *mut c_void, size: usize) -> Result<NonNull<[u8]>, Refused> {
    let start = NonNull::new(start.cast()).ok_or(Refused)?;
    Ok(NonNull::slice_from_raw_parts(start, size))
}

// SAFETY: the promise of `TablePort::new`. Many allocators of C's answer null to an empty request:
// those are raised to one byte, in and out alike.
unsafe impl Port for TablePort {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: a size above zero and a power of two.
        let start =
            unsafe { (self.alloc)(self.table.context, layout.size().max(1), layout.align()) };
        block(start, layout.size())
    }

    fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        let Some(zeroed) = self.table.alloc_zeroed else {
            let fresh = self.alloc(layout)?;
            // SAFETY: the block was just handed out, with so many bytes.
            unsafe { fresh.cast::<u8>().write_bytes(0, fresh.len()) };
            return Ok(fresh);
        };
        // SAFETY: as in `alloc`.
        let start = unsafe { zeroed(self.table.context, layout.size().max(1), layout.align()) };
        block(start, layout.size())
    }

    unsafe fn free(&self, start: NonNull<u8>, layout: Layout) {
        let (size, align) = (layout.size().max(1), layout.align());
        // SAFETY: the caller hands in a live block, which was asked for with just this.
        unsafe { (self.free)(self.table.context, start.as_ptr().cast(), size, align) }
    }

    unsafe fn grow(
        &self,
        start: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.resized(start, old, new) }
    }

    unsafe fn shrink(
        &self,
        start: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.resized(start, old, new) }
    }
}

impl Heap {
    /// This heap as a table for C. The context is this handle: it has to stay where it is for as
    /// long as the table is used, which is why calling its functions is `unsafe`.
    #[must_use]
    pub fn port_table(&self) -> PortTable {
        PortTable {
            context: std::ptr::from_ref(self).cast_mut().cast(),
            alloc: Some(alloc),
            alloc_zeroed: Some(alloc_zeroed),
            free: Some(free),
            resize: Some(resize),
            bytes_outstanding: Some(bytes_outstanding),
            peak: Some(peak),
            failures: Some(failures),
        }
    }
}

/// The heap behind a context.
///
/// # Safety
/// - `context` is a handle that lives during `'a`.
pub(crate) unsafe fn heap<'a>(context: *mut c_void) -> &'a Heap {
    // SAFETY: the caller's promise.
    unsafe { &*context.cast::<Heap>() }
}

pub(crate) fn start(answer: Result<NonNull<[u8]>, Refused>) -> *mut c_void {
    answer.map_or(std::ptr::null_mut(), |block| block.cast().as_ptr())
}

unsafe extern "C" fn alloc(context: *mut c_void, size: usize, align: usize) -> *mut c_void {
    let Ok(layout) = Layout::from_size_align(size, align) else { return std::ptr::null_mut() };
    // SAFETY: the context is the table's (`Heap::port_table`).
    start(unsafe { heap(context) }.alloc(layout))
}

unsafe extern "C" fn alloc_zeroed(context: *mut c_void, size: usize, align: usize) -> *mut c_void {
    let Ok(layout) = Layout::from_size_align(size, align) else { return std::ptr::null_mut() };
    // SAFETY: the context is the table's.
    start(unsafe { heap(context) }.alloc_zeroed(layout))
}

unsafe extern "C" fn free(context: *mut c_void, block: *mut c_void, size: usize, align: usize) {
    let Some(block) = NonNull::new(block.cast::<u8>()) else { return };
    // What is no layout fits no block either, and is reported as such.
    let layout = Layout::from_size_align(size, align).unwrap_or(Layout::new::<()>());
    // SAFETY: the context is the table's; whether the free is right is the heap's to judge.
    unsafe { heap(context).free(block, layout) }
}

unsafe extern "C" fn resize(
    context: *mut c_void,
    block: *mut c_void,
    old_size: usize,
    new_size: usize,
    align: usize,
) -> *mut c_void {
    // SAFETY: the context is the table's.
    let heap = unsafe { heap(context) };
    let Ok(new) = Layout::from_size_align(new_size, align) else { return std::ptr::null_mut() };
    let Some(block) = NonNull::new(block.cast::<u8>()) else { return start(heap.alloc(new)) };
    let old = Layout::from_size_align(old_size, align).unwrap_or(Layout::new::<()>());
    // SAFETY: whether the block is one, and of this layout, is the heap's to judge.
    start(unsafe {
        if new.size() >= old.size() {
            Port::grow(heap, block, old, new)
        } else {
            Port::shrink(heap, block, old, new)
        }
    })
}

/// What a run has counted; zero on a thread that it doesn't belong to.
///
/// # Safety
/// - `context` is a handle that lives.
unsafe fn counted(context: *mut c_void, read: impl FnOnce(&State) -> u64) -> u64 {
    // SAFETY: the caller's promise.
    let entered = unsafe { heap(context) }.core().enter();
    entered.map_or(0, |entered| entered.with(|state| read(state)))
}

unsafe extern "C" fn bytes_outstanding(context: *mut c_void) -> u64 {
    // SAFETY: the context is the table's.
    unsafe { counted(context, |state| state.live as u64) }
}

unsafe extern "C" fn peak(context: *mut c_void) -> u64 {
    // SAFETY: the context is the table's.
    unsafe { counted(context, |state| state.peak as u64) }
}

unsafe extern "C" fn failures(context: *mut c_void) -> u64 {
    // SAFETY: the context is the table's.
    unsafe { counted(context, |state| state.failures) }
}
