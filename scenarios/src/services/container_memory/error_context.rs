//! The error context: what an operation has taken so far, given back newest first if it fails.

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use mallory::Refused;

use super::host::{Host, Resource};
use crate::memory::bytes::{refused, try_push};

/// Resources of a host that one operation has taken. Dropping it gives them back, newest first;
/// [`succeed`](Self::succeed) passes them on.
pub struct ErrorContext<'h, A: Allocator> {
    host: &'h mut Host,
    taken: Vec<Resource, A>,
}

impl<'h, A: Allocator> ErrorContext<'h, A> {
    /// Nothing is taken yet; the list is allocated by this allocator.
    pub fn new(host: &'h mut Host, alloc: A) -> Self {
        ErrorContext { host, taken: Vec::new_in(alloc) }
    }

    /// Takes a resource and registers it; `None` if there is none left. Room to register it is made
    /// first, so that what was taken is never without an owner.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; nothing is taken then.
    pub fn take(
        &mut self,
        take: impl FnOnce(&mut Host) -> Option<Resource>,
    ) -> Result<Option<Resource>, Refused> {
        self.taken.try_reserve(1).map_err(refused)?;
        let Some(resource) = take(self.host) else { return Ok(None) };
        try_push(&mut self.taken, resource)?;
        Ok(Some(resource))
    }

    /// The operation is done: its resources have another owner from here on.
    pub fn succeed(mut self) {
        self.taken.clear();
    }
}

impl<A: Allocator> Drop for ErrorContext<'_, A> {
    fn drop(&mut self) {
        while let Some(resource) = self.taken.pop() {
            self.host.release(resource);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mallory::{Heap, Plan};

    #[test]
    fn what_was_taken_goes_back_unless_the_operation_succeeds() {
        let heap = Heap::new();
        let mut host = Host::default();
        let mut failing = ErrorContext::new(&mut host, &heap);
        assert_eq!(failing.take(Host::address), Ok(Some(Resource::Address(0))));
        assert_eq!(failing.take(Host::group), Ok(Some(Resource::Group(0))));
        drop(failing);
        assert_eq!(host.in_use(), [0, 0]);
        let mut succeeding = ErrorContext::new(&mut host, &heap);
        assert_eq!(succeeding.take(Host::group), Ok(Some(Resource::Group(0))));
        succeeding.succeed();
        assert_eq!(host.in_use(), [0, 1]);
    }

    #[test]
    fn nothing_is_taken_that_cannot_be_registered() {
        let heap = Heap::new();
        let mut host = Host::default();
        heap.arm(Plan::from(1));
        assert_eq!(ErrorContext::new(&mut host, &heap).take(Host::address), Err(Refused));
        assert_eq!(host.in_use(), [0, 0]);
    }
}
