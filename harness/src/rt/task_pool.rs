//! Shuttle's tasks, kept from one run to the next: making them, and the execution around them, is
//! most of what a short run costs. So many runs are made in one execution, and a task of ours whose
//! thread has come to its end sleeps until a later run starts a thread of that number.
//!
//! To shuttle a task that sleeps is a blocked one. Whose turn it is is asked where it would be if the
//! thread's end were the task's, and the last one's the execution's.

use std::cell::RefCell;
use std::panic::Location;

use shuttle_engine::current::TaskId;
use shuttle_engine::runtime::execution::ExecutionState;
use shuttle_engine::runtime::thread::switch;

use crate::rt::execution::settle;
use crate::rt::execution::{away, enter, logical};
use crate::rt::lock_table;

type TaskWork = Box<dyn FnOnce() + Send>;

/// More than shuttle's 60 KiB: whoever is in a thread may print, format and unwind. It is mapped and
/// not touched, so it costs little.
const STACK: usize = 1 << 20;

/// Who goes on where shuttle asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextTask {
    /// Whom the schedule says.
    Scheduled,
    /// Whoever asks.
    Same,
    /// The first thread: the run is over.
    First,
    /// Anyone: the execution is over.
    Any,
}

/// The tasks of an execution, but for the first one.
pub(crate) struct TaskPool {
    /// Whether it goes on from run to run: whoever runs the execution has to know of it.
    lasts: bool,
    tasks: Vec<Task>,
    next: NextTask,
    /// Whether the first thread has ended, and waits for the others.
    waits: bool,
}

#[derive(Default)]
struct Task {
    sleeps: bool,
    /// What it is woken for.
    work: Option<TaskWork>,
}

thread_local! {
    static CREW: RefCell<TaskPool> = const {
        RefCell::new(TaskPool::of(false))
    };
}

fn with<R>(step: impl FnOnce(&mut TaskPool) -> R) -> R {
    CREW.with(|crew| step(&mut crew.borrow_mut()))
}

impl TaskPool {
    /// That of a new execution.
    pub(crate) fn new() -> TaskPool {
        TaskPool::of(true)
    }

    const fn of(lasts: bool) -> TaskPool {
        TaskPool { lasts, tasks: Vec::new(), next: NextTask::Scheduled, waits: false }
    }

    /// Puts this crew in the place of the present one, whose execution is over or waits.
    pub(crate) fn replace(self) -> TaskPool {
        CREW.replace(self)
    }
}

impl Drop for TaskPool {
    fn drop(&mut self) {
        // Of a run that was given up: who would have done it never ran, and what it holds is left
        // as the others' stacks are.
        self.tasks.drain(..).for_each(|task| std::mem::forget(task.work));
    }
}

/// Who goes on where shuttle asks now.
pub(crate) fn next() -> NextTask {
    with(|crew| crew.next)
}

/// Whether somebody started a task past us. Such a one ends with its execution.
fn has_strangers() -> bool {
    let ours = with(|crew| crew.tasks.len());
    ExecutionState::with(|state| state.try_get(TaskId::from(ours + 1)).is_some())
}

fn unblock(task: usize) {
    ExecutionState::with(|state| state.get_mut(task.into()).unblock());
}

/// Lets the present task wait until it is unblocked.
fn block() {
    ExecutionState::with(|state| state.current_mut().block(false));
    away(switch);
}

/// Makes a task.
fn make(at: &'static Location<'static>, serve: impl FnOnce() + 'static) -> u16 {
    let task = away(|| ExecutionState::spawn_thread(Box::new(serve), STACK, None, None, at));
    usize::from(task) as u16
}

/// Does a thread's work, as the task of its number.
fn serve(work: TaskWork) {
    enter(usize::from(ExecutionState::me()) as u16);
    work();
    settle(lock_table::end(logical()));
}

/// Starts a thread, and answers its number. Others may go on before.
pub(crate) fn start(work: TaskWork, at: &'static Location<'static>) -> u16 {
    if !with(|crew| crew.lasts) {
        return make(at, move || serve(work));
    }
    away(switch);
    let thread = lock_table::threads();
    let given = with(|crew| match crew.tasks.get_mut(thread - 1) {
        Some(task) if task.sleeps => {
            *task = Task { sleeps: false, work: Some(work) };
            Ok(())
        }
        _ => {
            crew.next = NextTask::Same;
            Err(work)
        }
    });
    let Err(work) = given else {
        unblock(thread);
        return thread as u16;
    };
    let thread = make(at, move || serve_on(work));
    with(|crew| {
        crew.next = NextTask::Scheduled;
        crew.tasks.push(Task::default());
    });
    thread
}

/// Does one thread's work after the other's.
fn serve_on(first: TaskWork) {
    let me = usize::from(ExecutionState::me()) - 1;
    let mut next = Some(first);
    while let Some(work) = next {
        serve(work);
        if with(|crew| crew.waits) && lock_table::have_ended() {
            with(|crew| crew.next = NextTask::First);
            unblock(0);
        }
        if has_strangers() {
            return;
        }
        with(|crew| crew.tasks[me].sleeps = true);
        block();
        next = with(|crew| crew.tasks[me].work.take());
    }
}

/// Lets the first thread, which has ended, wait for the others. False: there can be no other run in
/// this execution.
pub(crate) fn gather() -> bool {
    if has_strangers() {
        wake();
        return false;
    }
    // Where an execution's first thread ends shuttle asks twice: before, and after unless it was the
    // last.
    away(switch);
    while !lock_table::have_ended() {
        with(|crew| crew.waits = true);
        block();
    }
    with(|crew| (crew.waits, crew.next) = (false, NextTask::Scheduled));
    if has_strangers() {
        wake();
        return false;
    }
    true
}

/// Lets those who sleep come to their ends.
fn wake() {
    let asleep = |(_, task): &(usize, &mut Task)| task.sleeps;
    let sleepers: Vec<usize> = with(|crew| {
        let tasks = (1..).zip(&mut crew.tasks).filter(asleep);
        tasks.map(|(number, task)| (task.sleeps = false, number).1).collect()
    });
    sleepers.into_iter().for_each(unblock);
}

/// Lets the execution end, which no run goes on in.
pub(crate) fn dismiss() {
    with(|crew| crew.next = NextTask::Any);
    wake();
}
