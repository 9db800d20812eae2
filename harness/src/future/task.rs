//! Tasks: threads that poll a future.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

#[cfg(not(mallory_model))]
use crate::future::no_model::{TaskPoint, TaskToken, is_abandoned};
#[cfg(mallory_model)]
use crate::future::points::{TaskPoint, TaskToken, is_abandoned};
use crate::report::format::panic_message;
use crate::thread::Builder;

/// Wakes the thread that polls a future.
struct TaskWaker(TaskToken);

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake();
    }
}

/// Polls a future until it is ready; `None` if it was dropped at an await, or told to end.
fn poll_to_end<F: Future>(future: F, aborted: Option<&TaskAbort>) -> Option<F::Output> {
    let waker = Arc::new(TaskWaker(TaskToken::new()));
    if let Some(aborted) = aborted {
        aborted.by(&waker);
    }
    let task_waker = Waker::from(Arc::clone(&waker));
    let mut context = Context::from_waker(&task_waker);
    let mut future = pin!(future);
    loop {
        if aborted.is_some_and(TaskAbort::is_set) {
            return None;
        }
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        if waker.0.wait(aborted.is_some()) {
            return None;
        }
    }
}

/// Polls a future on the present thread until it is ready, and returns its output.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let output = poll_to_end(future, None);
    output.expect("[mallory bug] only a task's future is dropped")
}

/// Whether a task is to end at its next await.
#[derive(Default)]
struct TaskAbort {
    is_set: AtomicBool,
    waker: Mutex<Option<Arc<TaskWaker>>>,
}

impl TaskAbort {
    fn by(&self, waker: &Arc<TaskWaker>) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(waker));
    }

    fn is_set(&self) -> bool {
        self.is_set.load(Ordering::SeqCst)
    }

    fn set(&self) {
        self.is_set.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.0.wake();
        }
    }
}

/// Why a task has no output.
#[derive(Debug)]
pub struct JoinError(JoinErrorKind);

#[derive(Debug)]
enum JoinErrorKind {
    Cancelled,
    /// The panic's message.
    Panicked(String),
}

impl JoinError {
    /// Whether its future was dropped: it was aborted, or the exploration dropped it.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0, JoinErrorKind::Cancelled)
    }

    /// Whether it panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.0, JoinErrorKind::Panicked(_))
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            JoinErrorKind::Cancelled => f.write_str("the task was cancelled"),
            JoinErrorKind::Panicked(message) => write!(f, "the task panicked: {message}"),
        }
    }
}

impl std::error::Error for JoinError {}

/// What a task and its handle share.
struct TaskState<T> {
    slot: Mutex<TaskSlot<T>>,
    abort: TaskAbort,
    point: TaskPoint,
}

struct TaskSlot<T> {
    output: Option<Result<T, JoinError>>,
    is_finished: bool,
    waiter: Option<Waker>,
}

impl<T> TaskState<T> {
    fn end(&self) {
        self.point.reach();
        self.abort.set();
    }

    fn has_ended(&self) -> bool {
        self.point.reach();
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).is_finished
    }

    fn finish(&self, output: Result<T, JoinError>) {
        self.point.reach();
        let waiter = {
            let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.output = Some(output);
            slot.is_finished = true;
            slot.waiter.take()
        };
        waiter.into_iter().for_each(Waker::wake);
    }
}

/// What ends a task, whatever its output is.
trait Abort: Send + Sync {
    fn abort(&self);
    fn is_finished(&self) -> bool;
}

impl<T: Send> Abort for TaskState<T> {
    fn abort(&self) {
        self.end();
    }

    fn is_finished(&self) -> bool {
        self.has_ended()
    }
}

/// Ends a task, as [`JoinHandle::abort`] does, and can't wait for it.
#[derive(Clone)]
pub struct AbortHandle {
    state: Arc<dyn Abort>,
}

impl AbortHandle {
    /// Drops the task's future at its next await. A task that ends before has its output.
    pub fn abort(&self) {
        self.state.abort();
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state.is_finished()
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AbortHandle")
    }
}

/// A handle to wait for a task with. The task goes on if it is dropped.
pub struct JoinHandle<T> {
    state: Arc<TaskState<T>>,
}

impl<T> JoinHandle<T> {
    /// Drops the task's future at its next await. A task that ends before has its output.
    pub fn abort(&self) {
        self.state.end();
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state.has_ended()
    }

    /// A handle that only ends the task.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle
    where
        T: Send + 'static,
    {
        AbortHandle { state: Arc::<TaskState<T>>::clone(&self.state) }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.state.point.reach();
        let mut slot = self.state.slot.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.output.take() {
            Some(output) => Poll::Ready(output),
            None if slot.is_finished => {
                drop(slot);
                panic!("JoinHandle polled after completion")
            }
            None => {
                slot.waiter = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinHandle")
    }
}

/// Starts a task. In a model it is a thread of the model that polls the future; elsewhere it is one of
/// the operating system's.
///
/// # Panics
/// As [`std::thread::spawn`], if there is no memory for a thread.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let state = Arc::new(TaskState {
        slot: Mutex::new(TaskSlot { output: None, is_finished: false, waiter: None }),
        abort: TaskAbort::default(),
        point: TaskPoint::default(),
    });
    let its = Arc::clone(&state);
    let work = move || {
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            poll_to_end(future, Some(&its.abort))
        }));
        match polled {
            Ok(Some(output)) => its.finish(Ok(output)),
            Ok(None) => its.finish(Err(JoinError(JoinErrorKind::Cancelled))),
            Err(payload) => {
                let message = panic_message(&*payload);
                if !is_abandoned() {
                    its.finish(Err(JoinError(JoinErrorKind::Panicked(message))));
                }
                std::panic::resume_unwind(payload);
            }
        }
    };
    let started = Builder::new().spawn(work);
    drop(started.unwrap_or_else(|error| panic!("cannot start a task: {error}")));
    JoinHandle { state }
}
