//! The gateway: simulated backends, called through the breakers.

use std::hash::Hasher;

use mallory::{Heap, Refused};

use super::backend::{Served, serve};
use super::breakers::{CircuitBreakers, Outcome};
use super::operation::{Body, Op, Refusal, Reply};
use super::report;
use crate::memory::bytes::Bytes;
use crate::memory::hash::Fnv;

/// Backends behind circuit breakers.
pub struct Gateway {
    heap: Heap,
    /// The breakers.
    pub breakers: CircuitBreakers,
}

impl Gateway {
    /// A gateway without backends on this heap; takes no memory of the heap yet.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        Gateway { heap: heap.clone(), breakers: CircuitBreakers::new(heap) }
    }

    /// Does an operation. The text in its reply, if there is one, is freed when it is dropped.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; nothing has changed then.
    pub fn handle(&mut self, op: &Op) -> Result<Reply<Body>, Refused> {
        let Gateway { heap, breakers } = self;
        let known = |reply: Option<Reply<Body>>| reply.ok_or(Refusal::Unknown);
        let done = match op {
            Op::Register { backend, policy } => {
                breakers.register(backend, *policy)?.map(Reply::Registered)
            }
            Op::Call { backend, request, behaviour } => {
                known(breakers.call(backend, || serve(*behaviour, request, heap))?.map(replied))
            }
            Op::Close { backend } => known(breakers.close(backend).map(Reply::Was)),
            Op::Circuit { backend } => known(breakers.circuit(backend).map(Reply::Circuit)),
            Op::Advance(milliseconds) => Ok(Reply::Now(breakers.advance(*milliseconds))),
            Op::Report => Ok(Reply::Report(Bytes(report::json(breakers, heap)?))),
        };
        Ok(done.unwrap_or_else(Reply::Refused))
    }
}

/// A request that a backend echoes is the caller's own, so it is replied as its checksum.
fn replied<E>(outcome: Outcome<Served<'_>, E>) -> Reply<Body> {
    match outcome {
        Outcome::Passed(Served::Body(body)) => Reply::Passed(Bytes(body)),
        Outcome::Passed(Served::Echo(text)) => {
            let mut hasher = Fnv::default();
            hasher.write(text.as_bytes());
            Reply::Echoed { bytes: text.len(), checksum: hasher.sum() }
        }
        Outcome::Failed(_, state) => Reply::Failed(state),
        Outcome::Rejected(left) => Reply::Rejected(left),
    }
}
