//! Explores a small body in all orders of its threads, under each engine of this build.

use std::collections::BTreeSet;

use crate::rt;
use crate::rt::CurrentEngine;

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
    let seen: &'static std::sync::Mutex<Explored> = Box::leak(Box::default());
    let run = move || {
        rt::begin_run(CurrentEngine::Shuttle);
        let result = body();
        rt::end_run();
        let mut seen = seen.lock().expect("no thread panics while it holds the lock");
        seen.results.insert(result);
        seen.runs += 1;
    };
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    let search = shuttle::scheduler::DfsScheduler::new(Some(200_000), false);
    let runner = shuttle::Runner::new(search, config);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runner.run(run)));
    rt::end_run();
    let mut seen =
        std::mem::take(&mut *seen.lock().expect("no thread panics while it holds the lock"));
    seen.deadlock = rt::deadlock().is_some();
    assert!(ended.is_ok() || seen.deadlock, "only a deadlock ends the search early");
    seen
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
