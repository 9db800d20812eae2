//! A circuit: a value, and what follows from it.

use arbitrary::Arbitrary;
use serde::{Deserialize, Serialize};

/// When a circuit opens, and how it closes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub struct Policy {
    /// It opens after this many failures without a success between them.
    pub failures: u8,
    /// For how many milliseconds it is open.
    pub open_ms: u32,
    /// It closes after this many successes when it is half open.
    pub trials: u8,
}

/// Whether calls are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// They are.
    Closed {
        /// Failures since the last success.
        failures: u8,
    },
    /// They aren't, until this time.
    Open {
        /// The time.
        until: u64,
    },
    /// They are, on trial.
    HalfOpen {
        /// Successes so far.
        successes: u8,
    },
}

/// A circuit without its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Calls are let through.
    Closed,
    /// Calls are rejected.
    Open,
    /// Calls are let through on trial.
    HalfOpen,
}

impl State {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half-open",
        }
    }
}

impl Circuit {
    /// A circuit that nothing has happened to yet.
    pub const NEW: Circuit = Circuit::Closed { failures: 0 };

    /// Its state.
    #[must_use]
    pub fn state(self) -> State {
        match self {
            Circuit::Closed { .. } => State::Closed,
            Circuit::Open { .. } => State::Open,
            Circuit::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// The circuit under which a call is let through at this time.
    ///
    /// # Errors
    /// The milliseconds for which calls are still rejected.
    pub fn admit(self, now: u64) -> Result<Circuit, u64> {
        match self {
            Circuit::Open { until } if now < until => Err(until - now),
            Circuit::Open { .. } => Ok(Circuit::HalfOpen { successes: 0 }),
            Circuit::Closed { .. } | Circuit::HalfOpen { .. } => Ok(self),
        }
    }

    /// The circuit after a call that succeeded.
    #[must_use]
    pub fn after_success(self, policy: Policy) -> Circuit {
        match self {
            Circuit::HalfOpen { successes } if successes + 1 < policy.trials => {
                Circuit::HalfOpen { successes: successes + 1 }
            }
            _ => Circuit::NEW,
        }
    }

    /// The circuit after a call that failed at this time.
    #[must_use]
    pub fn after_failure(self, policy: Policy, now: u64) -> Circuit {
        match self {
            Circuit::Closed { failures } if failures + 1 < policy.failures => {
                Circuit::Closed { failures: failures + 1 }
            }
            _ => Circuit::Open { until: now.saturating_add(policy.open_ms.into()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { failures: 2, open_ms: 100, trials: 2 };

    #[test]
    fn failures_in_a_row_open_it() {
        let once = Circuit::NEW.after_failure(POLICY, 5);
        assert_eq!(once, Circuit::Closed { failures: 1 });
        assert_eq!(once.after_success(POLICY), Circuit::NEW);
        assert_eq!(once.after_failure(POLICY, 7), Circuit::Open { until: 107 });
    }

    #[test]
    fn it_closes_after_trials_and_opens_at_the_first_failure() {
        let open = Circuit::Open { until: 107 };
        assert_eq!(open.admit(57), Err(50));
        let trial = open.admit(107);
        assert_eq!(trial, Ok(Circuit::HalfOpen { successes: 0 }));
        let once = trial.expect("it is let through").after_success(POLICY);
        assert_eq!(once, Circuit::HalfOpen { successes: 1 });
        assert_eq!(once.after_success(POLICY), Circuit::NEW);
        assert_eq!(once.after_failure(POLICY, 110), Circuit::Open { until: 210 });
    }
}
