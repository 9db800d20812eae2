//! Two threads with a slab each over one heap: another thread may read a block of a slab, but only
//! the slab's own thread frees it.

use allocator_api2::boxed::Box;
use mallory::{Heap, Refused};

use super::join::join;
use crate::memory::bytes::refused;
use crate::memory::slab_over;
use crate::sync::{Arc, Mutex, PoisonError};
use crate::thread;

/// One place for each thread, where the other one can read its value.
type Shown = Mutex<[Option<Box<usize, Heap>>; 2]>;

/// Publishes a value, reads the other thread's if it is published yet, and takes its own back.
fn work(heap: &Heap, shown: &Shown, me: usize) -> Result<usize, Refused> {
    let slab = slab_over(heap);
    let make = |value| Box::try_new_in(value, slab.clone()).map_err(refused);
    let mine = make(me + 1)?;
    let lock = || shown.lock().unwrap_or_else(PoisonError::into_inner);
    lock()[me] = Some(mine);
    let again = make(10);
    let seen = lock()[1 - me].as_deref().copied();
    assert!(seen.is_none_or(|seen| seen == 2 - me), "the value is the other thread's");
    // Dropped here, by the thread that owns the slab.
    let back = lock()[me].take();
    Ok(back.map_or(0, |value| *value) + *again?)
}

/// The subject: returns the sum of the values.
///
/// # Errors
/// [`Refused`] where one of the threads ran out of memory.
pub fn lend(heap: &Heap) -> Result<usize, Refused> {
    let shown = Arc::new(Shown::default());
    let other = {
        let (heap, shown) = (heap.clone(), Arc::clone(&shown));
        thread::spawn(move || work(&heap, &shown, 1))
    };
    let mine = work(heap, &shown, 0);
    let others = join(other);
    Ok(mine? + others?)
}
