//! Threads with a name.

use std::io;

use crate::thread::scope::{Scope, ScopedJoinHandle};
use crate::thread::settings::ThreadSettings;
use crate::thread::spawn::{JoinHandle, spawn_with};

/// How a thread is started, as [`std::thread::Builder`]. A model gives each the same stack.
#[derive(Debug, Default)]
#[must_use = "it starts nothing until it is told to"]
pub struct Builder {
    settings: ThreadSettings,
}

impl Builder {
    /// One without a name.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Names the thread.
    pub fn name(self, name: String) -> Builder {
        Builder { settings: ThreadSettings { name: Some(name), ..self.settings } }
    }

    /// The size of its stack, in bytes. A model's threads have a mebibyte.
    pub fn stack_size(self, size: usize) -> Builder {
        Builder { settings: ThreadSettings { stack_size: Some(size), ..self.settings } }
    }

    /// Starts the thread, as [`spawn`](super::spawn) does.
    ///
    /// # Errors
    /// Where the system has no more threads. A model has, up to its limit, past which it gives the
    /// run up.
    #[track_caller]
    pub fn spawn<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        spawn_with(self.settings, work)
    }

    /// Starts a thread that may borrow, as [`Scope::spawn`].
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_scoped<'scope, T: Send + 'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> io::Result<ScopedJoinHandle<'scope, T>> {
        scope.start(self.settings, work)
    }
}
