//! Shuttle's tasks, kept from one run to the next. Making tasks, and the execution around them, is
//! most of what a short run costs. So one execution makes many runs, and a task of ours whose
//! thread has ended is idle until a later run starts a thread of that number.
//!
//! To shuttle an idle task is a blocked one. The search is asked for decisions at the same places
//! as if each task ended with its thread, and the execution with its last thread.

use std::cell::RefCell;
use std::panic::Location;

use shuttle_engine::current::TaskId;
use shuttle_engine::runtime::execution::ExecutionState;
use shuttle_engine::runtime::thread::switch;

use crate::rt::access::{AccessKind, Object};
use crate::rt::current::current_thread;
use crate::rt::execution::{across_switch, begin_thread, count_point, end_thread};
use crate::rt::{access_log, run_threads};

type TaskWork = Box<dyn FnOnce() + Send>;

/// The bytes of a task's stack. More than shuttle's 60 KiB, since a thread may print, format and
/// unwind. Pages that are never touched cost nothing but address space.
const STACK_BYTES: usize = 1 << 20;

/// Which task runs next when shuttle asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextTask {
    /// The one that the search chooses.
    Scheduled,
    /// The one that runs now.
    Same,
    /// The first one: the run is over.
    First,
    /// Any: the execution is over.
    Any,
}

/// The tasks of an execution, without its first one.
pub(crate) struct TaskPool {
    /// Whether tasks are kept from run to run. Only a host that makes many runs in one execution
    /// does that.
    keeps_tasks: bool,
    tasks: Vec<Task>,
    next: NextTask,
    /// Whether the first thread has ended, and waits for the others.
    first_waits: bool,
}

#[derive(Default)]
struct Task {
    is_idle: bool,
    /// What it does when it is unblocked.
    work: Option<TaskWork>,
}

thread_local! {
    static POOL: RefCell<TaskPool> = const { RefCell::new(TaskPool::empty(false)) };
}

fn with_pool<R>(step: impl FnOnce(&mut TaskPool) -> R) -> R {
    POOL.with(|pool| step(&mut pool.borrow_mut()))
}

impl TaskPool {
    /// The pool of a new execution.
    pub(crate) fn new() -> TaskPool {
        TaskPool::empty(true)
    }

    const fn empty(keeps_tasks: bool) -> TaskPool {
        let next = NextTask::Scheduled;
        TaskPool { keeps_tasks, tasks: Vec::new(), next, first_waits: false }
    }

    /// Makes this the present pool. Returns the former one, whose execution is over or waits.
    pub(crate) fn replace(self) -> TaskPool {
        POOL.replace(self)
    }
}

impl Drop for TaskPool {
    fn drop(&mut self) {
        // Only an abandoned run leaves work behind. It is leaked, as the stacks of that run's other
        // threads are: what it holds may refer to them.
        self.tasks.drain(..).for_each(|task| std::mem::forget(task.work));
    }
}

/// Which task runs next when shuttle asks now.
pub(crate) fn next_task() -> NextTask {
    with_pool(|pool| pool.next)
}

/// Whether the subject has started a task by shuttle itself, past our facade. Such a task ends only
/// with its execution.
fn has_foreign_tasks() -> bool {
    let ours = with_pool(|pool| pool.tasks.len());
    ExecutionState::with(|state| state.try_get(TaskId::from(ours + 1)).is_some())
}

fn unblock(task: usize) {
    ExecutionState::with(|state| state.get_mut(task.into()).unblock());
}

/// Blocks the present task until it is unblocked.
fn block() {
    ExecutionState::with(|state| state.current_mut().block(false));
    across_switch(switch);
}

/// Makes a task. Returns its number.
fn make_task(at: &'static Location<'static>, serve: impl FnOnce() + 'static) -> u16 {
    let serve = Box::new(serve);
    let task = across_switch(|| ExecutionState::spawn_thread(serve, STACK_BYTES, None, None, at));
    usize::from(task) as u16
}

/// Runs a thread's work, as the thread with the present task's number.
fn run_thread(work: TaskWork) {
    let thread = usize::from(ExecutionState::me()) as u16;
    begin_thread(thread);
    access_log::log_access(Object::Thread(thread), AccessKind::Pass);
    work();
    end_thread(thread);
    // Who goes on is decided once this task blocks or ends.
    count_point(thread);
}

/// Starts a thread. Returns its number. It runs once the scheduler chooses it.
pub(crate) fn start_thread(work: TaskWork, at: &'static Location<'static>) -> u16 {
    if !with_pool(|pool| pool.keeps_tasks) {
        count_point(current_thread());
        return make_task(at, move || run_thread(work));
    }
    let thread = run_threads::thread_count();
    let given = with_pool(|pool| match pool.tasks.get_mut(thread - 1) {
        Some(task) if task.is_idle => {
            *task = Task { is_idle: false, work: Some(work) };
            Ok(())
        }
        _ => {
            // Making the task is no scheduling point.
            pool.next = NextTask::Same;
            Err(work)
        }
    });
    let Err(work) = given else {
        unblock(thread);
        return thread as u16;
    };
    let thread = make_task(at, move || run_threads(work));
    with_pool(|pool| {
        pool.next = NextTask::Scheduled;
        pool.tasks.push(Task::default());
    });
    thread
}

/// Runs the work of one thread after another, each of a later run than the one before.
fn run_threads(first: TaskWork) {
    let index = usize::from(ExecutionState::me()) - 1;
    let mut next = Some(first);
    while let Some(work) = next {
        run_thread(work);
        if with_pool(|pool| pool.first_waits) && run_threads::all_ended() {
            with_pool(|pool| pool.next = NextTask::First);
            unblock(0);
        }
        if has_foreign_tasks() {
            return;
        }
        with_pool(|pool| pool.tasks[index].is_idle = true);
        block();
        next = with_pool(|pool| pool.tasks[index].work.take());
    }
}

/// Lets the first thread, which has ended, wait for the others. Returns whether this execution can
/// make another run.
pub(crate) fn wait_for_threads() -> bool {
    if has_foreign_tasks() {
        end_idle_tasks();
        return false;
    }
    if !run_threads::all_ended() {
        count_point(current_thread());
    }
    while !run_threads::all_ended() {
        with_pool(|pool| pool.first_waits = true);
        block();
    }
    with_pool(|pool| (pool.first_waits, pool.next) = (false, NextTask::Scheduled));
    if has_foreign_tasks() {
        end_idle_tasks();
        return false;
    }
    true
}

/// Unblocks the idle tasks, without work: they end.
fn end_idle_tasks() {
    let is_idle = |(_, task): &(usize, &mut Task)| task.is_idle;
    let idle: Vec<usize> = with_pool(|pool| {
        let tasks = (1..).zip(&mut pool.tasks).filter(is_idle);
        tasks.map(|(number, task)| (task.is_idle = false, number).1).collect()
    });
    idle.into_iter().for_each(unblock);
}

/// Lets the execution end, after its last run.
pub(crate) fn end_execution() {
    with_pool(|pool| pool.next = NextTask::Any);
    end_idle_tasks();
}
