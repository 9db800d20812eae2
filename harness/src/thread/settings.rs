//! A thread's name and stack size, and how one of the operating system's threads is started with
//! them.

use std::io;

use crate::heap::thread_context::{attribute, is_attributed};

/// A thread's name and the size of its stack in bytes, where they are given.
#[derive(Debug, Default)]
pub(crate) struct ThreadSettings {
    pub(crate) name: Option<String>,
    pub(crate) stack_size: Option<usize>,
}

impl ThreadSettings {
    /// Starts one of the operating system's threads. Its requests are the subject's if those of the
    /// present thread are.
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
        let is_subjects = is_attributed();
        builder.spawn(move || {
            attribute(is_subjects);
            work()
        })
    }
}
