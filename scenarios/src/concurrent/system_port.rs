//! The system port's counters: whatever the order in which two threads take and give back, what is
//! outstanding comes to what they hold, the peak is one that there was, and each refusal is counted.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::boxed::Box;
use mallory::{Heap, Port, Refused, SystemPort};

use super::join;
use crate::memory::bytes::refused;
use crate::sync::Arc;
use crate::thread;

const SMALL: Layout = Layout::new::<[u64; 4]>();
const LARGE: Layout = Layout::new::<[u64; 12]>();
/// More than anybody has.
const HUGE: Layout = match Layout::from_size_align(isize::MAX as usize - 4095, 1) {
    Ok(layout) => layout,
    Err(_) => panic!("it is a layout"),
};

/// Takes a block, notes it, makes it larger, is refused one, and gives the block back.
fn work(port: &SystemPort, heap: &Heap) -> Result<(), Refused> {
    let block: NonNull<u8> = port.alloc(SMALL)?.cast();
    // SAFETY: the block is the port's, alive, and of the layout that stands here, each time.
    let noted = Box::try_new_in(block, heap.clone()).map_err(refused).and_then(|noted| unsafe {
        let larger: NonNull<u8> = port.grow(*noted, SMALL, LARGE)?.cast();
        assert_eq!(port.alloc(HUGE), Err(Refused));
        port.free(larger, LARGE);
        Ok(())
    });
    noted.inspect_err(|Refused| {
        // SAFETY: there was no memory for the note, so the block is as it was taken.
        unsafe { port.free(block, SMALL) }
    })
}

/// The subject: answers how many requests the port was refused.
///
/// # Errors
/// [`Refused`] where a thread could not note its block.
pub fn count(heap: &Heap) -> Result<usize, Refused> {
    let port = Arc::new(SystemPort::new());
    let other = {
        let (port, heap) = (Arc::clone(&port), heap.clone());
        thread::spawn(move || work(&port, &heap))
    };
    let done = [work(&port, heap), join(other)];
    assert_eq!(port.bytes_outstanding(), 0);
    let least = if done.contains(&Ok(())) { LARGE.size() } else { SMALL.size() };
    let peaks = least as u64..=2 * LARGE.size() as u64;
    assert!(peaks.contains(&port.peak()), "a peak of {} bytes", port.peak());
    let worked = done.iter().filter(|done| done.is_ok()).count();
    assert_eq!(port.failures_total(), worked as u64);
    let [first, second] = done;
    first.and(second).map(|()| worked)
}
