use std::alloc::System; // the allocator to test: anything that implements GlobalAlloc

use mallory::adapters::GlobalPort;

#[test]
fn the_allocator_keeps_its_contract() {
    mallory::conformance(|| GlobalPort(System)).run().assert_clean();
}
