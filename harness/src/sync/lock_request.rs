//! How a lock is asked for.

use crate::rt::LockMode;

/// How a lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockRequest {
    Mutex,
    Read,
    Write,
}

impl LockRequest {
    pub(crate) fn mode(self) -> LockMode {
        if self == LockRequest::Read { LockMode::Shared } else { LockMode::Alone }
    }
}
