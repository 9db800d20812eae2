//! Threads with a name.

use std::io;
use std::panic::Location;
use std::sync::Arc;

use crate::heap::thread_context::{attribute, is_attributed};
use crate::rt;
use crate::rt::Engine;
use crate::thread::scope::{Scope, ScopedJoinHandle};
use crate::thread::spawn::{Answer, JoinHandle, body, start};

/// How a thread is started, as [`std::thread::Builder`]. A model gives each the same stack.
#[derive(Debug, Default)]
#[must_use = "it starts nothing until it is told to"]
pub struct Builder {
    name: Option<String>,
    stack_size: Option<usize>,
}

impl Builder {
    /// One without a name.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Names the thread.
    pub fn name(self, name: String) -> Builder {
        Builder { name: Some(name), ..self }
    }

    /// The size of its stack, in bytes. A model's threads have a mebibyte.
    pub fn stack_size(self, size: usize) -> Builder {
        Builder { stack_size: Some(size), ..self }
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
        if rt::engine() == Engine::None {
            return Ok(JoinHandle::of_std(self.spawn_std(work)?));
        }
        let answer = Answer::new();
        let work = body(work, Arc::clone(&answer), self.name.clone());
        let spawned = start(Box::new(work), Location::caller());
        Ok(JoinHandle::of_model(spawned, answer, self.name))
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
        scope.start(self, work)
    }

    /// Starts one of the system's threads, whose requests are the subject's as the present one's are.
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

    pub(crate) fn its_name(&self) -> Option<String> {
        self.name.clone()
    }
}
