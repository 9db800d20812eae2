//! What a thread is started with, and starting one of the system's threads with it.

use std::io;

use crate::heap::thread_context::{attribute, is_attributed};

/// A thread's name and the size of its stack, where they were given.
#[derive(Debug, Default)]
pub(crate) struct ThreadSettings {
    pub(crate) name: Option<String>,
    pub(crate) stack_size: Option<usize>,
}

impl ThreadSettings {
    /// Starts one of the system's threads. Its requests are the subject's if the current thread's are.
    pub(crate) fn spawn_std<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<std::thread::JoinHandle<T>> {
        let mut builder = std::thread::Builder::new();
        if let Some(name) = self.name {
            builder = builder.name(name);
        }
        if let Some(size) = self.stack_size {
            builder = builder.stack_size(size);
        }
        let is_ours = is_attributed();
        builder.spawn(move || {
            attribute(is_ours);
            work()
        })
    }
}
