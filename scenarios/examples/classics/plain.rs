//! The same programs under plain shuttle. Here `crate::sync` and `crate::thread` are shuttle's own, and
//! the programs' files are compiled a second time against them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner};

use crate::programs::CLASSICS;

#[derive(Clone, Copy)]
pub(crate) enum Strategy {
    Pct,
    Random,
}

/// The schedules until the first that shows the bug, if one of the first `most` does.
pub(crate) fn schedules_to_first(name: &str, strategy: Strategy, most: u64) -> Option<u64> {
    static BEGUN: AtomicU64 = AtomicU64::new(0);
    let program = CLASSICS.into_iter().find(|classic| classic.name == name)?.bug;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let scheduler: Box<dyn Scheduler + Send> = match strategy {
        Strategy::Pct => Box::new(PctScheduler::new_from_seed(0, 3, most)),
        Strategy::Random => Box::new(RandomScheduler::new_from_seed(0, most)),
    };
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    BEGUN.store(0, Ordering::Relaxed);
    let run = move || {
        BEGUN.fetch_add(1, Ordering::Relaxed);
        program();
    };
    std::panic::set_hook(Box::new(|_| {}));
    let ended = catch_unwind(AssertUnwindSafe(|| Runner::new(scheduler, config).run(run)));
    let _ = std::panic::take_hook();
    ended.is_err().then(|| BEGUN.load(Ordering::Relaxed))
}
