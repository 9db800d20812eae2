//! Wide stacks under loom's threads. Loom makes new stacks for each run, and its first thread's is of
//! 32 KiB, which can't be chosen. So what a thread does happens on a stack of ours, which is kept
//! from run to run; each change of threads in it is handed on to loom's.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;

use generator::{Generator, Gn};

/// In words: 1 MiB. Whoever is in a thread may print, format and unwind. It is mapped and hardly
/// touched, so it costs little.
const WORDS: usize = (1 << 20) / size_of::<usize>();

type StackWork = Box<dyn FnOnce()>;

/// Stacks that nothing is done on at present.
struct FreeStacks(Vec<Generator<'static, (), ()>>);

thread_local! {
    static FREE: RefCell<FreeStacks> = const { RefCell::new(FreeStacks(Vec::new())) };
    /// What the stack that is about to go on is to do.
    static WORK: Cell<Option<StackWork>> = const { Cell::new(None) };
    /// Whether the stack that was left has done it.
    static DONE: Cell<bool> = const { Cell::new(false) };
}

impl Drop for FreeStacks {
    fn drop(&mut self) {
        // Without work a stack comes to its end.
        for stack in &mut self.0 {
            stack.resume();
        }
    }
}

/// What is done on each of them.
fn serve() {
    // An OS thread that is ending has no more.
    while let Some(work) = WORK.try_with(Cell::take).ok().flatten() {
        work();
        DONE.set(true);
        change();
    }
}

/// Leaves the present stack for the one that resumed it.
fn change() {
    #[allow(
        deprecated,
        reason = "the way without this word needs a scope that loom has no place for"
    )]
    generator::yield_with(());
}

/// Does this on a wide stack, and hands each change of threads in it on to loom.
pub(crate) fn on_large_stack(work: StackWork) {
    let free = FREE.with(|free| free.borrow_mut().0.pop());
    // One that is left in the middle of a run never goes on, and nothing on it is dropped.
    let mut stack = ManuallyDrop::new(free.unwrap_or_else(|| Gn::new_opt(WORDS, serve)));
    WORK.set(Some(work));
    loop {
        stack.resume();
        if DONE.replace(false) {
            break;
        }
        change();
    }
    FREE.with(|free| free.borrow_mut().0.push(ManuallyDrop::into_inner(stack)));
}
