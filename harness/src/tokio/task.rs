//! Tasks: tokio's, or in a model threads of the model that poll a future.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::future;
use crate::future::points::is_modelled;

/// Why a task has no output, as [`tokio::task::JoinError`].
#[derive(Debug)]
pub struct JoinError(ErrorKind);

#[derive(Debug)]
enum ErrorKind {
    Tokio(::tokio::task::JoinError),
    Model(future::JoinError),
}

impl JoinError {
    /// Whether the task was aborted, or the exploration dropped its future.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        match &self.0 {
            ErrorKind::Tokio(error) => error.is_cancelled(),
            ErrorKind::Model(error) => error.is_cancelled(),
        }
    }

    /// Whether the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        match &self.0 {
            ErrorKind::Tokio(error) => error.is_panic(),
            ErrorKind::Model(error) => error.is_panic(),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ErrorKind::Tokio(error) => error.fmt(f),
            ErrorKind::Model(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for JoinError {}

/// Ends a task and can't wait for it, as [`tokio::task::AbortHandle`].
#[derive(Clone, Debug)]
pub struct AbortHandle(AbortKind);

#[derive(Clone, Debug)]
enum AbortKind {
    Tokio(::tokio::task::AbortHandle),
    Model(future::AbortHandle),
}

impl AbortHandle {
    /// Drops the task's future at its next await. A task that ends before has its output.
    pub fn abort(&self) {
        match &self.0 {
            AbortKind::Tokio(handle) => handle.abort(),
            AbortKind::Model(handle) => handle.abort(),
        }
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            AbortKind::Tokio(handle) => handle.is_finished(),
            AbortKind::Model(handle) => handle.is_finished(),
        }
    }
}

/// A handle to wait for a task with, as [`tokio::task::JoinHandle`].
#[derive(Debug)]
pub struct JoinHandle<T>(HandleKind<T>);

#[derive(Debug)]
enum HandleKind<T> {
    Tokio(::tokio::task::JoinHandle<T>),
    Model(future::JoinHandle<T>),
}

impl<T> JoinHandle<T> {
    /// Drops the task's future at its next await. A task that ends before has its output.
    pub fn abort(&self) {
        match &self.0 {
            HandleKind::Tokio(handle) => handle.abort(),
            HandleKind::Model(handle) => handle.abort(),
        }
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            HandleKind::Tokio(handle) => handle.is_finished(),
            HandleKind::Model(handle) => handle.is_finished(),
        }
    }

    /// A handle that only ends the task.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle
    where
        T: Send + 'static,
    {
        AbortHandle(match &self.0 {
            HandleKind::Tokio(handle) => AbortKind::Tokio(handle.abort_handle()),
            HandleKind::Model(handle) => AbortKind::Model(handle.abort_handle()),
        })
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            HandleKind::Tokio(handle) => {
                let polled = Pin::new(handle).poll(context);
                polled.map(|output| output.map_err(|error| JoinError(ErrorKind::Tokio(error))))
            }
            HandleKind::Model(handle) => {
                let polled = Pin::new(handle).poll(context);
                polled.map(|output| output.map_err(|error| JoinError(ErrorKind::Model(error))))
            }
        }
    }
}

/// Starts a task, as [`tokio::spawn`].
///
/// # Panics
/// Outside of a model, if there is no runtime of tokio's.
#[track_caller]
pub fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    JoinHandle(match is_modelled() {
        true => HandleKind::Model(future::spawn(task)),
        false => HandleKind::Tokio(::tokio::spawn(task)),
    })
}

/// Lets other tasks run first, as [`tokio::task::yield_now`].
pub async fn yield_now() {
    match is_modelled() {
        true => future::yield_now().await,
        false => ::tokio::task::yield_now().await,
    }
}

/// Tasks that are waited for together, as [`tokio::task::JoinSet`]: all are aborted when it is dropped.
#[derive(Debug)]
pub struct JoinSet<T> {
    tasks: Vec<JoinHandle<T>>,
}

impl<T: Send + 'static> JoinSet<T> {
    /// An empty set.
    #[must_use]
    pub fn new() -> JoinSet<T> {
        JoinSet { tasks: Vec::new() }
    }

    /// Starts a task of the set.
    #[track_caller]
    pub fn spawn<F: Future<Output = T> + Send + 'static>(&mut self, task: F) -> AbortHandle {
        let task = spawn(task);
        let handle = task.abort_handle();
        self.tasks.push(task);
        handle
    }

    /// The number of tasks that were not waited for so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is no such task.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Waits for the next task that ends; `None` if the set is empty.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        if self.tasks.is_empty() {
            return None;
        }
        let (index, output) = poll_fn(|context| {
            for (index, task) in self.tasks.iter_mut().enumerate() {
                if let Poll::Ready(output) = Pin::new(task).poll(context) {
                    return Poll::Ready((index, output));
                }
            }
            Poll::Pending
        })
        .await;
        drop(self.tasks.swap_remove(index));
        Some(output)
    }

    /// Aborts all tasks.
    pub fn abort_all(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }

    /// Aborts all tasks, and waits until they have ended.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }
}

impl<T: Send + 'static> Default for JoinSet<T> {
    fn default() -> Self {
        JoinSet::new()
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
