//! The plain model: std's collections, and serde's JSON.

use serde::Serialize;

use super::backend::Behaviour;
use super::circuit::{Circuit, Policy, State};
use super::operation::{Op, Refusal, Reply};
use crate::memory::bytes::Bytes;

/// What is known of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its policy.
    pub policy: Policy,
    /// Its circuit.
    pub circuit: Circuit,
    /// Calls that passed, failed and were rejected.
    pub counts: [u64; 3],
}

/// All that the gateway keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// The backends, in the order in which they were registered.
    pub backends: Vec<Known>,
    /// The last sixteen changes of circuits: when, of which backend, to which state.
    pub changes: Vec<(u64, String, String)>,
    /// The milliseconds that have passed.
    pub now: u64,
}

#[derive(Serialize)]
struct Backend<'m> {
    name: &'m str,
    state: &'m str,
    passed: u64,
    failed: u64,
    rejected: u64,
}

#[derive(Serialize)]
struct Changed<'m> {
    at: u64,
    backend: &'m str,
    to: &'m str,
}

#[derive(Serialize)]
struct Report<'m> {
    now: u64,
    backends: Vec<Backend<'m>>,
    changes: Vec<Changed<'m>>,
}

type Text = Bytes<Vec<u8>>;

fn name_of(circuit: Circuit) -> &'static str {
    match circuit {
        Circuit::Closed { .. } => "closed",
        Circuit::Open { .. } => "open",
        Circuit::HalfOpen { .. } => "half-open",
    }
}

fn state_of(circuit: Circuit) -> State {
    match circuit {
        Circuit::Closed { .. } => State::Closed,
        Circuit::Open { .. } => State::Open,
        Circuit::HalfOpen { .. } => State::HalfOpen,
    }
}

impl Model {
    /// Does an operation.
    pub(super) fn handle(&mut self, op: &Op) -> Reply<Text> {
        let done = match op {
            Op::Register { backend, policy } => self.register(backend, *policy),
            Op::Call { backend, request, behaviour } => self.call(backend, request, *behaviour),
            Op::Close { backend } => self.find(backend).map(|at| {
                let before = state_of(self.backends[at].circuit);
                self.set(at, Circuit::Closed { failures: 0 });
                Reply::Was(before)
            }),
            Op::Circuit { backend } => {
                self.find(backend).map(|at| Reply::Circuit(self.backends[at].circuit))
            }
            Op::Advance(milliseconds) => {
                self.now += u64::from(*milliseconds);
                Ok(Reply::Now(self.now))
            }
            Op::Report => Ok(self.report()),
        };
        done.unwrap_or_else(Reply::Refused)
    }

    fn find(&self, name: &str) -> Result<usize, Refusal> {
        self.backends.iter().position(|known| known.name == name).ok_or(Refusal::Unknown)
    }

    fn set(&mut self, at: usize, circuit: Circuit) {
        let known = &mut self.backends[at];
        if name_of(known.circuit) != name_of(circuit) {
            self.changes.push((self.now, known.name.clone(), name_of(circuit).to_owned()));
            if self.changes.len() > 16 {
                self.changes.remove(0);
            }
        }
        known.circuit = circuit;
    }

    fn register(&mut self, name: &str, policy: Policy) -> Result<Reply<Text>, Refusal> {
        if name.is_empty() || name.len() > 128 {
            return Err(Refusal::Length);
        }
        if policy.failures.min(policy.trials) == 0 {
            return Err(Refusal::Policy);
        }
        if self.find(name).is_ok() {
            return Err(Refusal::Exists);
        }
        if self.backends.len() >= 64 {
            return Err(Refusal::Full);
        }
        let circuit = Circuit::Closed { failures: 0 };
        self.backends.push(Known { name: name.to_owned(), policy, circuit, counts: [0; 3] });
        Ok(Reply::Registered(self.backends.len()))
    }

    fn call(
        &mut self,
        backend: &str,
        request: &str,
        behaviour: Behaviour,
    ) -> Result<Reply<Text>, Refusal> {
        let at = self.find(backend)?;
        if let Circuit::Open { until } = self.backends[at].circuit {
            if until > self.now {
                self.backends[at].counts[2] += 1;
                return Ok(Reply::Rejected(until - self.now));
            }
            self.set(at, Circuit::HalfOpen { successes: 0 });
        }
        let reply = match behaviour {
            Behaviour::Fail | Behaviour::FailAfter(_) => return Ok(self.failed(at)),
            Behaviour::Body(times) => {
                Reply::Passed(Bytes(request.repeat(usize::from(times)).into_bytes()))
            }
            Behaviour::Echo => {
                let fnv =
                    |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                let checksum = request.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
                Reply::Echoed { bytes: request.len(), checksum }
            }
        };
        self.passed(at);
        Ok(reply)
    }

    fn passed(&mut self, at: usize) {
        let known = &mut self.backends[at];
        known.counts[0] += 1;
        let next = match known.circuit {
            Circuit::HalfOpen { successes } if successes + 1 != known.policy.trials => {
                Circuit::HalfOpen { successes: successes + 1 }
            }
            _ => Circuit::Closed { failures: 0 },
        };
        self.set(at, next);
    }

    fn failed(&mut self, at: usize) -> Reply<Text> {
        let known = &mut self.backends[at];
        known.counts[1] += 1;
        let opened = Circuit::Open { until: self.now + u64::from(known.policy.open_ms) };
        let next = match known.circuit {
            Circuit::Closed { failures } if failures + 1 != known.policy.failures => {
                Circuit::Closed { failures: failures + 1 }
            }
            _ => opened,
        };
        self.set(at, next);
        Reply::Failed(state_of(next))
    }

    fn report(&self) -> Reply<Text> {
        let backends = self.backends.iter().map(|known| {
            let [passed, failed, rejected] = known.counts;
            Backend { name: &known.name, state: name_of(known.circuit), passed, failed, rejected }
        });
        let changes = self.changes.iter().map(|(at, backend, to)| Changed { at: *at, backend, to });
        let (backends, changes) = (backends.collect(), changes.collect());
        let report = Report { now: self.now, backends, changes };
        Reply::Report(Bytes(serde_json::to_vec(&report).unwrap_or_default()))
    }
}
