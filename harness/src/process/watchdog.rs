//! The watchdog of a child process: it decides when a child has made no request for too long and
//! has to be killed. This is the only place where the wall clock decides anything.

use std::time::{Duration, Instant};

use crate::process::shared_memory::ChildStatus;

/// Counts how long a child has been silent: since when its heartbeat counter is unchanged.
pub(crate) struct Watchdog {
    heartbeats: u64,
    checked: Instant,
    silence: Duration,
    patience: Duration,
    /// How long the child may be silent before it has started its first item.
    start_patience: Duration,
}

/// At most this much of the time between two checks counts as the child's silence. A longer gap
/// means that the parent itself was not running.
const GAP_MAX: Duration = Duration::from_millis(100);

/// The first start patience of a child that was forked beside other threads. Such a child may wait
/// forever for a lock that another thread held at the fork, so it is killed early, and its
/// replacement gets twice the time.
const START_PATIENCE: Duration = Duration::from_millis(500);

impl Watchdog {
    /// Watches a child that was just forked. `attempt` counts the children that were killed before
    /// it for want of a start.
    pub(crate) fn new(
        status: &ChildStatus,
        had_other_threads: bool,
        attempt: u32,
        patience: Duration,
    ) -> Self {
        let early = START_PATIENCE.saturating_mul(1 << attempt.min(16)).min(patience);
        Watchdog {
            heartbeats: status.heartbeats(),
            checked: Instant::now(),
            silence: Duration::ZERO,
            patience,
            start_patience: if had_other_threads { early } else { patience },
        }
    }

    /// Whether the child has been silent for too long.
    pub(crate) fn has_expired(&mut self, status: &ChildStatus) -> bool {
        let now = Instant::now();
        self.silence += (now - self.checked).min(GAP_MAX);
        self.checked = now;
        let heartbeats = status.heartbeats();
        if heartbeats != self.heartbeats || status.is_busy() {
            self.heartbeats = heartbeats;
            self.silence = Duration::ZERO;
        }
        self.silence > if status.has_started() { self.patience } else { self.start_patience }
    }

    /// Whether a child that was killed for its silence may have waited for another thread's lock,
    /// so that a second attempt with more time makes sense.
    pub(crate) fn may_retry(&self, status: &ChildStatus) -> bool {
        !status.has_started() && self.start_patience < self.patience
    }
}
