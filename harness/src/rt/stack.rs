//! Large stacks for loom's threads. Loom makes new stacks for each run, and its first thread's has
//! 32 KiB, which can't be changed. So a thread's work runs on a stack of ours, which is kept from
//! run to run. A switch between threads first leaves our stack and then loom's.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;

use generator::{Generator, Gn};

/// 1 MiB, in words: a thread may print, format and unwind. Pages that are never touched cost
/// nothing but address space.
const STACK_WORDS: usize = (1 << 20) / size_of::<usize>();

type StackWork = Box<dyn FnOnce()>;

/// Stacks that no thread uses at present.
struct FreeStacks(Vec<Generator<'static, (), ()>>);

thread_local! {
    static FREE: RefCell<FreeStacks> = const { RefCell::new(FreeStacks(Vec::new())) };
    /// The work for the stack that is about to be resumed.
    static WORK: Cell<Option<StackWork>> = const { Cell::new(None) };
    /// Whether the stack that was just left has finished its work.
    static DONE: Cell<bool> = const { Cell::new(false) };
}

impl Drop for FreeStacks {
    fn drop(&mut self) {
        // A stack that is resumed without work returns, and so frees what is on it.
        for stack in &mut self.0 {
            stack.resume();
        }
    }
}

/// What each stack runs: one piece of work after another.
fn run_all_work() {
    // While the OS thread ends, its thread-locals may be gone: there is no more work then.
    while let Some(work) = WORK.try_with(Cell::take).ok().flatten() {
        work();
        DONE.set(true);
        leave_stack();
    }
}

/// Leaves the present stack for the one that resumed it.
fn leave_stack() {
    #[allow(
        deprecated,
        reason = "the replacement needs a `Scope` value, which loom does not pass to its threads"
    )]
    generator::yield_with(());
}

/// Runs this on a large stack, and passes each switch between threads in it on to loom.
pub(crate) fn on_large_stack(work: StackWork) {
    let free = FREE.with(|free| free.borrow_mut().0.pop());
    // A stack that an abandoned run leaves in the middle is leaked: nothing on it may be dropped.
    let mut stack =
        ManuallyDrop::new(free.unwrap_or_else(|| Gn::new_opt(STACK_WORDS, run_all_work)));
    WORK.set(Some(work));
    loop {
        stack.resume();
        if DONE.replace(false) {
            break;
        }
        leave_stack();
    }
    FREE.with(|free| free.borrow_mut().0.push(ManuallyDrop::into_inner(stack)));
}
