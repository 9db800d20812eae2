//! The standard library's `Allocator` as a port, if the toolchain has the trait. CI also runs these
//! tests under AddressSanitizer.
#![allow(unsafe_code, reason = "an allocator is an unsafe trait")]

use std::alloc::{AllocError, Allocator, Global, Layout, System};
use std::ptr::NonNull;

use mallory::adapters::StdPort;
use mallory::{Heap, Kind, Sweep, conformance};

#[test]
fn the_allocators_of_std_keep_the_contract() {
    conformance(|| StdPort(Global)).threads(2).run().assert_clean();
    conformance(|| StdPort(System)).threads(2).run().assert_clean();
}

/// Loses the contents of a block that grows.
struct Forgets;

// SAFETY: blocks are the global allocator's. That one of them loses its contents breaks the contract,
// which the suite detects; no access leaves a block.
unsafe impl Allocator for Forgets {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        Global.allocate(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's obligation.
        unsafe { Global.deallocate(block, layout) }
    }

    unsafe fn grow(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let fresh = Global.allocate_zeroed(new)?;
        // SAFETY: the caller's obligation.
        unsafe { Global.deallocate(block, old) };
        Ok(fresh)
    }
}

#[test]
fn one_that_breaks_it_is_found() {
    let report = conformance(|| StdPort(Forgets)).run();
    assert!(report.findings().iter().any(|found| found.kind() == Kind::PortContract), "{report}");
    assert!(report.to_string().contains("grow"), "{report}");
}

#[test]
fn a_heap_stands_on_one() {
    let report = Sweep::new("std").port(|| StdPort(Global)).run(|heap: &Heap| {
        let mut list = allocator_api2::vec::Vec::new_in(heap.clone());
        list.try_reserve(9)?;
        list.push(1_u8);
        Ok::<_, allocator_api2::collections::TryReserveError>(list.len())
    });
    report.assert_clean();
    assert_eq!(report.coverage().requests, 1, "{report}");
}
