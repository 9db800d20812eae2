//! A watched subject's panics: kept from the terminal, and written down.

use crate::report::format::panic_message;
use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Once;

use crate::heap::thread_context::ThreadContext;
use crate::process::backtrace;
use crate::process::backtrace::Stack;
use crate::run::outcome::SubjectEnd;

/// What the panic hook writes down of a watched subject's first panic.
#[derive(Default)]
struct PanicRecord {
    message: Option<String>,
    stack: Option<Stack>,
    wants_stack: bool,
}

thread_local! {
    /// Whether the next panic is made to see what a panic stands on, and what was seen.
    static LEARNING: Cell<bool> = const { Cell::new(false) };
    static LEARNT: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    static WATCHED: RefCell<Option<PanicRecord>> = const { RefCell::new(None) };
}

/// Puts a hook before the present one that keeps quiet about watched subjects. Done once, and
/// before any fork: a child of a threaded process must not touch the hook's lock for writing.
pub(crate) fn hook_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // What is said of a panic is not the subject's.
            let _in = ThreadContext::passing();
            if LEARNING.get() {
                let stack = backtrace::functions();
                let _ = LEARNT.try_with(|learnt| learnt.replace(stack));
                return;
            }
            let ours = WATCHED.with(|watched| {
                let Ok(mut watched) = watched.try_borrow_mut() else {
                    return false;
                };
                let Some(panicked) = watched.as_mut() else {
                    return false;
                };
                if panicked.message.is_none() {
                    let text = panic_message(info.payload());
                    let place =
                        info.location().map(|at| format!("{}:{}", base(at.file()), at.line()));
                    panicked.message = Some(match place {
                        Some(place) => format!("panicked at {place}: {text}"),
                        None => format!("panicked: {text}"),
                    });
                    panicked.stack = panicked.wants_stack.then(backtrace::stack);
                }
                true
            });
            if !ours {
                before(info);
            }
        }));
    });
}

/// Panics once to learn what a panic stands on, so that its own requests are told from those of
/// what unwinds. After [`hook_panics`], and as early.
pub(crate) fn learn_machinery() {
    #[inline(never)]
    fn panicking() {
        panic!("{}", std::hint::black_box("a panic to learn from"));
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        LEARNING.set(true);
        let _ = std::panic::catch_unwind(panicking);
        LEARNING.set(false);
        let learnt = LEARNT.with(RefCell::take);
        let elsewhere = backtrace::functions();
        let panicked = learnt.iter().position(|start| *start == panicking as *const () as usize);
        let machinery = learnt.iter().take(panicked.unwrap_or(0)).copied();
        let resumed = std::panic::resume_unwind as *const () as usize;
        let of_panics = machinery.filter(|start| !elsewhere.contains(start));
        backtrace::note_machinery(std::iter::once(resumed).chain(of_panics));
    });
}

/// A source path without what belongs to this machine: compilers are told absolute paths of
/// registry crates only.
fn base(file: &str) -> &str {
    if !Path::new(file).is_absolute() {
        return file;
    }
    let cut = file.rfind("/src/").and_then(|src| file[..src].rfind('/'));
    cut.map_or(file, |cut| &file[cut + 1..])
}

/// How a subject's call ended.
pub(crate) struct CaughtCall {
    pub(crate) ended: SubjectEnd,
    /// Where the first panic was, if that was asked for.
    pub(crate) stack: Option<Stack>,
    /// What the first panic said, also where the subject caught it itself.
    pub(crate) message: Option<String>,
}

/// Runs a subject, and turns its panic into an end like any other.
pub(crate) fn catch(wants_stack: bool, run: impl FnOnce() -> SubjectEnd) -> CaughtCall {
    let watch = PanicRecord { wants_stack, ..PanicRecord::default() };
    let before = WATCHED.with(|watched| watched.replace(Some(watch)));
    let result = std::panic::catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let message = panic_message(&*payload);
        // A payload is the subject's memory, and may itself panic when it is dropped.
        let drop = AssertUnwindSafe(|| drop(payload));
        std::panic::catch_unwind(drop).unwrap_or_else(std::mem::forget);
        message
    });
    let panicked = WATCHED.with(|watched| watched.replace(before)).unwrap_or_default();
    let PanicRecord { message, stack, .. } = panicked;
    #[cfg(mallory_model)]
    if crate::rt::is_abandoned() && crate::rt::first_panic().is_none() && message.is_none() {
        return CaughtCall { ended: SubjectEnd::Stopped, stack, message };
    }
    match result {
        Ok(ended) => CaughtCall { ended, stack, message },
        Err(said) => {
            let text = message.clone().unwrap_or_else(|| format!("panicked: {said}"));
            CaughtCall { ended: SubjectEnd::Panicked(text), stack, message }
        }
    }
}

/// What is known of a call that never came back: its stack was given up.
pub(crate) fn abandoned() -> CaughtCall {
    let panicked = WATCHED.with(RefCell::take).unwrap_or_default();
    CaughtCall { ended: SubjectEnd::Stopped, stack: panicked.stack, message: panicked.message }
}
