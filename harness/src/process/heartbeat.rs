//! Signs of life: how a run that makes requests shows that it does, at no cost to a request.
//!
//! A run's counters are its own memory, which nobody else can look into, and a shared counter
//! would cost every request. So a sign is given where the fast path is left anyway: the next
//! request that gives one bounds it just as a plan's first request does. Signs come at every
//! request as long as requests are slow, and ever more rarely once they are quick.

use std::time::{Duration, Instant};

/// By what a run reaches whoever watches it from outside.
#[derive(Clone, Copy)]
pub(crate) struct Lifeline {
    /// It is making requests.
    pub(crate) beat: fn(),
    /// Lifting the plan didn't help: it will ask for ever.
    pub(crate) stuck: fn(),
}

/// Requests from one sign to the next, at most: so few that even a run that suddenly becomes slow
/// gives the next one in time.
const GAP_MAX: u64 = 256;
/// Where so much time went by between two, every request gives one.
const SLOW: Duration = Duration::from_millis(1);

/// When a run gives its next sign of life.
pub(crate) struct Heartbeat {
    line: Option<Lifeline>,
    /// The request that gives it.
    at: u64,
    gap: u64,
    was: Option<Instant>,
}

impl Heartbeat {
    /// Nobody listens.
    pub(crate) const NONE: Heartbeat = Heartbeat { line: None, at: u64::MAX, gap: 1, was: None };

    pub(crate) fn on(line: Lifeline) -> Heartbeat {
        Heartbeat { line: Some(line), ..Heartbeat::NONE }
    }

    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Gives a sign if this request is to, and sets when the next one comes.
    pub(crate) fn beat(&mut self, request: u64) -> bool {
        let Some(line) = self.line.filter(|_| request >= self.at) else {
            return false;
        };
        (line.beat)();
        let now = Instant::now();
        let slow = self.was.replace(now).is_some_and(|was| now - was > SLOW);
        self.gap = if slow { 1 } else { (self.gap * 2).min(GAP_MAX) };
        self.at = request + self.gap;
        true
    }

    /// From this request on it may be slow: the next one gives a sign.
    pub(crate) fn soon(&mut self, request: u64) {
        if self.line.is_some() {
            *self = Heartbeat { at: request + 1, gap: 1, was: None, ..*self };
        }
    }

    /// Counts from here. Up to its first fault, a run is as quick as the one without any.
    pub(crate) fn arm(&mut self, has_faults: bool) {
        self.soon(0);
        if self.line.is_some() && has_faults {
            (self.at, self.gap) = (GAP_MAX, GAP_MAX);
        }
    }

    pub(crate) fn stuck(&self) {
        if let Some(line) = self.line {
            (line.stuck)();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The requests of a thousand that give a sign, each taking so long.
    fn signs(time: Duration) -> Vec<u64> {
        let mut pulse = Heartbeat::on(Lifeline { beat: || {}, stuck: || {} });
        pulse.soon(0);
        let mut signs = Vec::new();
        for request in 1..1000 {
            std::thread::sleep(time);
            if pulse.beat(request) {
                signs.push(request);
            }
            if !time.is_zero() && request > 20 {
                break;
            }
        }
        signs
    }

    #[test]
    fn slow_requests_each_give_a_sign_and_quick_ones_few() {
        assert_eq!(signs(Duration::from_millis(2))[1..], (3..=21).collect::<Vec<u64>>());
        assert!(signs(Duration::ZERO).len() < 100);
        let mut nobody = Heartbeat::NONE;
        nobody.soon(3);
        assert!(!nobody.beat(4) && nobody.at() == u64::MAX);
    }
}
