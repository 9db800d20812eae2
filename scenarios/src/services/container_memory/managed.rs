//! A resource that is cleaned up when its guard is dropped, unless it is passed on.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

/// A resource with its cleanup, which runs once: when this is dropped.
#[must_use]
pub struct ManagedResource<T> {
    resource: ManuallyDrop<T>,
    cleanup: fn(&mut T),
}

impl<T> ManagedResource<T> {
    /// A guard of this resource.
    pub fn new(resource: T, cleanup: fn(&mut T)) -> Self {
        ManagedResource { resource: ManuallyDrop::new(resource), cleanup }
    }

    /// The resource, which is not cleaned up here any more.
    pub fn into_inner(self) -> T {
        let mut guard = ManuallyDrop::new(self);
        // SAFETY: the guard is never dropped, so the resource leaves it once.
        unsafe { ManuallyDrop::take(&mut guard.resource) }
    }
}

impl<T> Deref for ManagedResource<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.resource
    }
}

impl<T> DerefMut for ManagedResource<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.resource
    }
}

impl<T> Drop for ManagedResource<T> {
    fn drop(&mut self) {
        (self.cleanup)(&mut self.resource);
        // SAFETY: the guard is going, and nothing uses its resource after this line.
        unsafe { ManuallyDrop::drop(&mut self.resource) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn it_is_cleaned_up_once_unless_it_is_passed_on() {
        let count = Cell::new(0);
        let clean = |count: &mut &Cell<u32>| count.set(count.get() + 1);
        drop(ManagedResource::new(&count, clean));
        assert_eq!(count.get(), 1);
        let passed = ManagedResource::new(&count, clean).into_inner();
        assert_eq!(passed.get(), 1);
    }
}
