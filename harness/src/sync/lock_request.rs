//! The three ways in which a thread can ask for a lock.

use crate::rt::LockMode;

/// What a thread asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockRequest {
    Mutex,
    Read,
    Write,
}

impl LockRequest {
    /// How the lock is held when the request is granted.
    pub(crate) fn mode(self) -> LockMode {
        if self == LockRequest::Read { LockMode::Shared } else { LockMode::Exclusive }
    }
}
