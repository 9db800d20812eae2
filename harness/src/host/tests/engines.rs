//! Explores a small body in all orders of its threads, under each engine of this build.

#[cfg(feature = "shuttle")]
use std::cell::RefCell;
use std::collections::BTreeSet;
#[cfg(feature = "shuttle")]
use std::rc::Rc;

#[cfg(feature = "shuttle")]
use crate::host::prepare_process;
#[cfg(feature = "shuttle")]
use crate::host::scheduled_run::{Host, ScheduledRun};
#[cfg(feature = "shuttle")]
use crate::host::shuttle::Shuttle;
#[cfg(feature = "loom")]
use crate::rt;
#[cfg(feature = "loom")]
use crate::rt::CurrentEngine;
#[cfg(feature = "shuttle")]
use crate::run::outcome::{ScheduledEnd, Stopped};
#[cfg(feature = "shuttle")]
use crate::schedule::default_order::Bound;
#[cfg(feature = "shuttle")]
use crate::schedule::search::{Search, SearchOptions};

/// What a body returns in all orders of its threads.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Explored {
    pub(crate) results: BTreeSet<u64>,
    pub(crate) runs: usize,
    /// Whether some order ends in a deadlock.
    pub(crate) deadlock: bool,
}

pub(crate) type Body = fn() -> u64;

#[cfg(feature = "shuttle")]
pub(crate) fn on_shuttle(body: Body) -> Explored {
    let every_order =
        on_shuttle_with(body, SearchOptions { wakes: 0, reduces: false, ..SearchOptions::DEFAULT });
    let reduced = on_shuttle_with(body, SearchOptions { wakes: 0, ..SearchOptions::DEFAULT });
    assert_eq!(reduced.results, every_order.results, "the reduction loses a result");
    assert_eq!(reduced.deadlock, every_order.deadlock, "the reduction loses a deadlock");
    assert!(reduced.runs <= every_order.runs);
    reduced
}

#[cfg(feature = "shuttle")]
fn on_shuttle_with(body: Body, options: SearchOptions) -> Explored {
    /// Runs the body, and notes what it returns.
    struct Noting(Body, Explored);
    impl ScheduledRun for Noting {
        fn begin(&mut self) {}

        fn body(&mut self) {
            self.1.results.insert((self.0)());
        }

        fn end(&mut self, end: ScheduledEnd, _: &Search) -> bool {
            self.1.runs += 1;
            match end.stopped {
                None => {}
                Some(Stopped::Deadlock) => self.1.deadlock = true,
                Some(other) => panic!("the run was stopped: {other:?}"),
            }
            assert!(self.1.runs < 200_000, "there are too many schedules");
            true
        }
    }
    prepare_process();
    let search = Search::bounded(Bound::Preemptions(4), options, u64::MAX);
    let mut runs = Noting(body, Explored::default());
    Shuttle.search(Rc::new(RefCell::new(search)), &mut runs);
    runs.1
}

#[cfg(feature = "loom")]
pub(crate) fn on_loom(body: Body) -> Explored {
    let seen: &'static std::sync::Mutex<Explored> = Box::leak(Box::default());
    let run = move || {
        rt::begin_run(CurrentEngine::Loom);
        let result = body();
        rt::end_run();
        let mut seen = seen.lock().expect("no thread panics while it holds the lock");
        seen.results.insert(result);
        seen.runs += 1;
    };
    let checked = std::panic::catch_unwind(|| loom::model::Builder::new().check(run));
    rt::end_run();
    let mut seen =
        std::mem::take(&mut *seen.lock().expect("no thread panics while it holds the lock"));
    seen.deadlock = rt::deadlock().is_some();
    assert!(checked.is_ok() || seen.deadlock, "only a deadlock ends the search early");
    seen
}

/// Explores a body under every engine of this build. All have to find the same.
pub(crate) fn on_all_engines(body: Body) -> Explored {
    let mut all: Vec<Explored> = Vec::new();
    #[cfg(feature = "shuttle")]
    all.push(on_shuttle(body));
    #[cfg(feature = "loom")]
    all.push(on_loom(body));
    let first = all.remove(0);
    for other in all {
        assert_eq!((&other.results, other.deadlock), (&first.results, first.deadlock));
    }
    first
}

pub(crate) fn results(results: impl IntoIterator<Item = u64>) -> BTreeSet<u64> {
    results.into_iter().collect()
}
