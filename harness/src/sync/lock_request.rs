//! How a lock is asked for.

use crate::rt::Mode;

/// How a lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Mutex,
    Read,
    Write,
}

impl Ask {
    pub(crate) fn mode(self) -> Mode {
        if self == Ask::Read { Mode::Shared } else { Mode::Alone }
    }
}
