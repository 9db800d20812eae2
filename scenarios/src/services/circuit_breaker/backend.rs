//! A simulated backend: it does with a request what the operation says.

use allocator_api2::vec::Vec;
use arbitrary::Arbitrary;
use mallory::Heap;
use serde::{Deserialize, Serialize};

use super::breakers::Trouble;
use crate::memory::bytes::try_extend;

/// What a backend does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Behaviour {
    /// Returns the request.
    Echo,
    /// Returns a body: the request, this often.
    Body(u8),
    /// Fails at once.
    Fail,
    /// Fails after a part of the body: the request, this often.
    FailAfter(u8),
}

/// That a backend has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure;

/// What a backend returns.
#[derive(Debug)]
pub enum Served<'r> {
    /// The request, lent by the caller.
    Echo(&'r str),
    /// A body, freed when it is dropped.
    Body(Vec<u8, Heap>),
}

/// Serves a request. A body is freed when it is dropped.
///
/// # Errors
/// The backend fails, or there is no memory for a body.
pub fn serve<'r>(
    behaviour: Behaviour,
    request: &'r str,
    heap: &Heap,
) -> Result<Served<'r>, Trouble<Failure>> {
    let body = |times: u8| -> Result<Vec<u8, Heap>, Trouble<Failure>> {
        let mut body = Vec::new_in(heap.clone());
        for _ in 0..times {
            try_extend(&mut body, request.as_bytes())?;
        }
        Ok(body)
    };
    match behaviour {
        Behaviour::Echo => Ok(Served::Echo(request)),
        Behaviour::Body(times) => body(times).map(Served::Body),
        Behaviour::Fail => Err(Trouble::Backend(Failure)),
        Behaviour::FailAfter(times) => {
            body(times)?;
            Err(Trouble::Backend(Failure))
        }
    }
}
