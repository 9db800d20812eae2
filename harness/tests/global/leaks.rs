//! Leaks under the global allocator, which are found by repeating the run: memory that grows and
//! memory that every run leaves behind is a leak, memory that statics keep is not.

use std::collections::TryReserveError;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::common::{bytes, kinds, only};
use crate::sweep;
use mallory::{Kind, Report};

/// A static list.
struct Kept(Mutex<Vec<Vec<u8>>>);

impl Kept {
    const fn new() -> Self {
        Kept(Mutex::new(Vec::new()))
    }

    fn with<R>(&self, work: impl FnOnce(&mut Vec<Vec<u8>>) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Changes a static list in each run, without faults.
fn kept(change: fn(&mut Vec<Vec<u8>>, usize)) -> Report {
    let list: &'static Kept = Box::leak(Box::new(Kept::new()));
    let runs = std::cell::Cell::new(0);
    sweep("kept").plan(mallory::Plan::none()).run_local(move |_| {
        runs.set(runs.get() + 1);
        list.with(|list| change(list, runs.get()));
        Ok::<_, TryReserveError>(())
    })
}

#[test]
fn a_static_that_grows_is_a_leak() {
    let report = kept(|list, _| list.push(vec![0; 100]));
    assert!(only(&report).to_string().contains("every run leaves some"), "{report}");
    static LOG: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    let report = sweep("log").run(|_| {
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        log.try_reserve(1)?;
        log.push(1);
        Ok::<_, TryReserveError>(())
    });
    assert_eq!(only(&report).kind(), Kind::Leak);
    assert!(report.to_string().contains("the memory left behind grows"), "{report}");
}

#[test]
fn a_static_that_is_replaced_is_none() {
    assert_eq!(kinds(&kept(|list, _| *list = vec![vec![0; 100]; 3])), []);
}

#[test]
fn a_static_that_is_now_larger_and_now_smaller_is_none() {
    for period in [2, 3, 5] {
        let change: fn(&mut Vec<Vec<u8>>, usize) = match period {
            2 => |list, run| *list = vec![vec![0; 100 + 50 * (run % 2)]],
            3 => |list, run| *list = vec![vec![0; 100 + 50 * (run % 3)]],
            _ => |list, run| *list = vec![vec![0; 100 + 50 * (run % 5)]],
        };
        let report = kept(change);
        // Runs that differ are another finding, but not a leak.
        assert!(!kinds(&report).contains(&Kind::Leak), "every {period} runs\n{report}");
    }
}

/// Epochs, queues and pools free what they collected once there is enough of it.
#[test]
fn garbage_that_is_freed_later_levels_off() {
    let all_at_once = kept(|list, _| {
        list.push(vec![0; 100]);
        if list.len() > 25 {
            list.clear();
        }
    });
    assert_eq!(kinds(&all_at_once), [], "{all_at_once}");
    let some = kept(|list, _| {
        list.push(vec![0; 100]);
        if list.len() > 40 {
            list.truncate(15);
        }
    });
    assert_eq!(kinds(&some), [], "{some}");
    let too_little = kept(|list, run| {
        list.push(vec![0; 100]);
        if run % 10 == 0 {
            list.truncate(list.len() - 5);
        }
    });
    assert_eq!(only(&too_little).kind(), Kind::Leak, "{too_little}");
}

#[test]
fn what_is_made_once_is_listed_and_no_finding() {
    static ONCE: OnceLock<Vec<u64>> = OnceLock::new();
    let report = sweep("once").allow_aborts(1).run(|_| {
        let once = ONCE.get_or_init(|| vec![7; 20]);
        bytes(once.len()).map(|list| list.len())
    });
    report.assert_clean();
    let text = report.to_string();
    assert!(
        text.contains("kept once, by statics and thread-locals: 160 bytes in 1 block"),
        "{text}"
    );
}

#[test]
fn thread_locals_are_kept_once() {
    thread_local! {
        static LOCAL: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    let report = sweep("local").allow_aborts(1).run(|_| {
        LOCAL.with_borrow_mut(|list| {
            if list.is_empty() {
                list.extend([1; 50]);
            }
        });
        bytes(8).map(drop)
    });
    report.assert_clean();
    assert!(report.to_string().contains("kept once"), "{report}");
}

#[test]
fn what_every_run_leaves_is_a_leak() {
    let report = sweep("every").run(|_| {
        std::mem::forget(bytes(10)?);
        Ok::<_, TryReserveError>(())
    });
    assert_eq!(only(&report).kind(), Kind::Leak);
    assert!(report.to_string().contains("1 block, 10 bytes"), "{report}");
    sweep("none").run(|_| bytes(10).map(drop)).assert_clean();
}

/// Stores its first error in a static, and leaks nothing.
#[test]
fn a_static_that_the_first_error_makes_is_none() {
    static FIRST: OnceLock<String> = OnceLock::new();
    let report = sweep("first-error").faults(mallory::Faults::Transient).run(|_| {
        let made = bytes(16).and_then(|list| bytes(list.len() * 2));
        if made.is_err() {
            note(&FIRST);
        }
        made.map(|list| list.len())
    });
    assert_eq!(kinds(&report), [], "{report}");
}

fn note(first: &OnceLock<String>) -> usize {
    first.get_or_init(|| "out of memory".to_owned()).len()
}

/// Fills a static if the first request fails, and leaks a block of the same call site if the second
/// one does.
fn same_place(second: bool) -> Result<(), TryReserveError> {
    static FIRST: OnceLock<Vec<u8>> = OnceLock::new();
    let one = bytes(16);
    let two = bytes(24);
    if one.is_err() || (second && two.is_err()) {
        let made = bytes(40)?;
        if one.is_err() {
            FIRST.get_or_init(|| made);
        } else {
            std::mem::forget(made);
        }
    }
    one.and(two).map(drop)
}

#[test]
fn what_settles_at_one_request_may_be_a_leak_at_another() {
    let report = sweep("same-place").faults(mallory::Faults::Transient).run(|_| same_place(true));
    assert_eq!(only(&report).kind(), Kind::Leak, "{report}");
    assert!(report.to_string().contains("lost when T0#2 fails"), "{report}");
    let report = sweep("same-place").run(|_| same_place(false));
    assert_eq!(kinds(&report), [], "{report}");
}
