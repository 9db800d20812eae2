//! The twin of `std::thread::Builder`: threads with a name and a stack size.

use std::io;

use crate::thread::scope::{Scope, ScopedJoinHandle};
use crate::thread::settings::ThreadSettings;
use crate::thread::spawn::{JoinHandle, spawn_with};

/// How a thread is started, as [`std::thread::Builder`].
#[derive(Debug, Default)]
#[must_use = "no thread is started until `spawn` is called"]
pub struct Builder {
    settings: ThreadSettings,
}

impl Builder {
    /// A builder without a name and a stack size.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Names the thread.
    pub fn name(self, name: String) -> Builder {
        Builder { settings: ThreadSettings { name: Some(name), ..self.settings } }
    }

    /// Sets the size of the thread's stack, in bytes. In a model every thread has 1 MiB.
    pub fn stack_size(self, size: usize) -> Builder {
        Builder { settings: ThreadSettings { stack_size: Some(size), ..self.settings } }
    }

    /// Starts the thread, as [`spawn`](crate::thread::spawn()) does.
    ///
    /// # Errors
    /// If the operating system can't start a thread. A model always can; past its limit of threads
    /// it abandons the run.
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
