//! Catches the panics of a subject: they are recorded, and not printed.

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Once;

use crate::heap::thread_context::ThreadContext;
use crate::printable;
use crate::process::backtrace::{self, Stack};
use crate::process::status;
use crate::report::format::panic_message;
use crate::run::outcome::SubjectEnd;

/// What the panic hook records of a subject's first panic.
#[derive(Default)]
struct PanicRecord {
    message: Option<String>,
    stack: Option<Stack>,
    wants_stack: bool,
}

thread_local! {
    /// Whether the next panic is the one of [`learn_machinery`].
    static LEARNING: Cell<bool> = const { Cell::new(false) };
    /// The functions that were on that panic's stack.
    static LEARNT: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    /// The record of the subject that runs on this thread.
    static WATCHED: RefCell<Option<PanicRecord>> = const { RefCell::new(None) };
}

/// Installs a panic hook that records the panics of subjects, and passes all others to the hook
/// before it. To be called before any fork: in a child of a process with threads, the lock that
/// setting a hook takes may be locked forever. Further calls do nothing.
pub(crate) fn hook_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // The requests of this hook are not the subject's.
            let _context = ThreadContext::passing();
            if LEARNING.get() {
                let stack = backtrace::functions();
                let _ = LEARNT.try_with(|learnt| learnt.replace(stack));
                return;
            }
            let is_subject = WATCHED.with(|watched| {
                let Ok(mut watched) = watched.try_borrow_mut() else {
                    return false;
                };
                let Some(panicked) = watched.as_mut() else {
                    return false;
                };
                if panicked.message.is_none() {
                    let text = panic_message(info.payload());
                    let place = info.location().map(|at| {
                        format!("{}:{}", printable::line(portable_path(at.file())), at.line())
                    });
                    panicked.message = Some(match place {
                        Some(place) => format!("panicked at {place}: {text}"),
                        None => format!("panicked: {text}"),
                    });
                    if let Some(message) = &panicked.message {
                        status::set_last_words(message.as_bytes());
                    }
                    panicked.stack = panicked.wants_stack.then(backtrace::stack);
                }
                true
            });
            if !is_subject {
                before(info);
            }
        }));
    });
}

/// Panics once to learn which functions are on the stack during a panic, so that the requests of
/// the panic machinery can be distinguished from those of destructors. To be called after
/// [`hook_panics`], and before any fork.
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
        let only_panics = machinery.filter(|start| !elsewhere.contains(start));
        backtrace::note_machinery(std::iter::once(resumed).chain(only_panics));
    });
}

/// A source path without the part that differs between machines: Cargo passes absolute paths to the
/// compiler for registry crates only.
fn portable_path(file: &str) -> &str {
    if !Path::new(file).is_absolute() {
        return file;
    }
    let cut = file.rfind("/src/").and_then(|src| file[..src].rfind('/'));
    cut.map_or(file, |cut| &file[cut + 1..])
}

/// How a subject's call ended.
pub(crate) struct CaughtCall {
    pub(crate) ended: SubjectEnd,
    /// The backtrace of the first panic, if that was wanted.
    pub(crate) stack: Option<Stack>,
    /// The first panic's message, also if the subject caught the panic itself.
    pub(crate) message: Option<String>,
}

/// Runs a subject, and turns its panic into a [`SubjectEnd`].
pub(crate) fn catch(wants_stack: bool, run: impl FnOnce() -> SubjectEnd) -> CaughtCall {
    let watch = PanicRecord { wants_stack, ..PanicRecord::default() };
    let before = WATCHED.with(|watched| watched.replace(Some(watch)));
    let result = std::panic::catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let message = panic_message(&*payload);
        // The payload is the subject's value, whose destructor may panic.
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
        Err(payload) => {
            let text = message.clone().unwrap_or_else(|| format!("panicked: {payload}"));
            CaughtCall { ended: SubjectEnd::Panicked(text), stack, message }
        }
    }
}

/// The end of a call that never returned, because its thread's stack was discarded.
pub(crate) fn abandoned() -> CaughtCall {
    let panicked = WATCHED.with(RefCell::take).unwrap_or_default();
    CaughtCall { ended: SubjectEnd::Stopped, stack: panicked.stack, message: panicked.message }
}
