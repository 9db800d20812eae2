//! Heartbeats: how a run shows its parent that it is making requests, at no cost on the fast path.
//!
//! The parent can't see a run's counters, which are the child's own memory, and a shared counter
//! would slow down every request. So a heartbeat is sent from the slow path: the ordinal of the
//! next one bounds the fast path, as the ordinal of a plan's next fault does. While requests are
//! slow, each one sends a heartbeat; while they are fast, the gap doubles up to [`GAP_MAX`].

use std::time::{Duration, Instant};

/// The functions by which a run reports to its parent.
#[derive(Clone, Copy)]
pub(crate) struct Lifeline {
    /// It is making requests.
    pub(crate) beat: fn(),
    /// It keeps making requests after its plan was lifted, and will never stop.
    pub(crate) stuck: fn(),
}

/// At most this many requests from one heartbeat to the next: few enough that even a run that
/// suddenly becomes slow sends the next one in time.
const GAP_MAX: u64 = 256;
/// If more time than this passed between two heartbeats, every request sends one.
const SLOW: Duration = Duration::from_millis(1);

/// Decides which request of a run sends the next heartbeat.
pub(crate) struct Heartbeat {
    line: Option<Lifeline>,
    /// The ordinal of that request.
    at: u64,
    gap: u64,
    last: Option<Instant>,
}

impl Heartbeat {
    /// No heartbeats: there is no parent.
    pub(crate) const NONE: Heartbeat = Heartbeat { line: None, at: u64::MAX, gap: 1, last: None };

    /// Heartbeats through this line.
    pub(crate) fn on(line: Lifeline) -> Heartbeat {
        Heartbeat { line: Some(line), ..Heartbeat::NONE }
    }

    /// The ordinal of the request that sends the next one; `u64::MAX` if there are none.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Sends a heartbeat if this request is due, and sets which request sends the next one. Returns
    /// whether it sent one.
    pub(crate) fn beat(&mut self, request: u64) -> bool {
        let Some(line) = self.line.filter(|_| request >= self.at) else {
            return false;
        };
        (line.beat)();
        let now = Instant::now();
        let slow = self.last.replace(now).is_some_and(|last| now - last > SLOW);
        self.gap = if slow { 1 } else { (self.gap * 2).min(GAP_MAX) };
        self.at = request + self.gap;
        true
    }

    /// Makes the request after this one send a heartbeat, since requests may be slow from here on.
    pub(crate) fn soon(&mut self, request: u64) {
        if self.line.is_some() {
            *self = Heartbeat { at: request + 1, gap: 1, last: None, ..*self };
        }
    }

    /// Starts at the beginning of a run. Before its first fault a run is as fast as the fault-free
    /// one, so a run with faults sends its first heartbeat after [`GAP_MAX`] requests only.
    pub(crate) fn arm(&mut self, has_faults: bool) {
        self.soon(0);
        if self.line.is_some() && has_faults {
            (self.at, self.gap) = (GAP_MAX, GAP_MAX);
        }
    }

    /// Reports that the run will never stop.
    pub(crate) fn stuck(&self) {
        if let Some(line) = self.line {
            (line.stuck)();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of a thousand requests send a heartbeat, if each takes `time`.
    fn beats(time: Duration) -> Vec<u64> {
        let mut heartbeat = Heartbeat::on(Lifeline { beat: || {}, stuck: || {} });
        heartbeat.soon(0);
        let mut beats = Vec::new();
        for request in 1..1000 {
            std::thread::sleep(time);
            if heartbeat.beat(request) {
                beats.push(request);
            }
            if !time.is_zero() && request > 20 {
                break;
            }
        }
        beats
    }

    #[test]
    fn slow_requests_each_send_a_heartbeat_and_fast_ones_few() {
        assert_eq!(beats(Duration::from_millis(2))[1..], (3..=21).collect::<Vec<u64>>());
        assert!(beats(Duration::ZERO).len() < 100);
        let mut none = Heartbeat::NONE;
        none.soon(3);
        assert!(!none.beat(4) && none.at() == u64::MAX);
    }
}
