//! A watched subject's panics: kept from the terminal, and written down.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Once;

use crate::capture::{self, Stack};
use crate::run::Ended;

/// What the panic hook writes down of a watched subject's first panic.
#[derive(Default)]
struct Panicked {
    message: Option<String>,
    stack: Option<Stack>,
    wants_stack: bool,
}

thread_local! {
    static WATCHED: RefCell<Option<Panicked>> = const { RefCell::new(None) };
}

/// Puts a hook before the present one that keeps quiet about watched subjects. Done once, and
/// before any fork: a child of a threaded process must not touch the hook's lock for writing.
pub(crate) fn hook_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let ours = WATCHED.with(|watched| {
                let Ok(mut watched) = watched.try_borrow_mut() else {
                    return false;
                };
                let Some(panicked) = watched.as_mut() else {
                    return false;
                };
                if panicked.message.is_none() {
                    let text = said(info.payload());
                    let place =
                        info.location().map(|at| format!("{}:{}", base(at.file()), at.line()));
                    panicked.message = Some(match place {
                        Some(place) => format!("panicked at {place}: {text}"),
                        None => format!("panicked: {text}"),
                    });
                    panicked.stack = panicked.wants_stack.then(capture::stack);
                }
                true
            });
            if !ours {
                before(info);
            }
        }));
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

/// What a panic said.
pub(crate) fn said(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a value that is no text".to_owned())
}

/// Runs a subject, and turns its panic into an end like any other.
pub(crate) fn catch(wants_stack: bool, run: impl FnOnce() -> Ended) -> (Ended, Option<Stack>) {
    let watch = Panicked { wants_stack, ..Panicked::default() };
    let before = WATCHED.with(|watched| watched.replace(Some(watch)));
    let result = std::panic::catch_unwind(AssertUnwindSafe(run));
    let panicked = WATCHED.with(|watched| watched.replace(before)).unwrap_or_default();
    match result {
        Ok(ended) => (ended, None),
        Err(payload) => {
            let message =
                panicked.message.unwrap_or_else(|| format!("panicked: {}", said(&*payload)));
            // A payload may itself panic when it is dropped.
            std::mem::forget(payload);
            (Ended::Panicked(message), panicked.stack)
        }
    }
}
