//! The server: each call runs in its own arena. Only the reply and the store's changes leave it,
//! and the changes are committed last: a call that fails has changed nothing.

use std::fmt::Display;

use mallory::{Heap, Refused};

use super::fault::{Error, Fault};
use super::response::{Reply, Response};
use super::store::Store;
use super::{batch, object};
use crate::memory::bytes::try_copy;
use crate::memory::{Recent, with_arena};

/// The most memory that one call takes for itself. A request at its limits of length and of
/// objects needs about half of it, guard bytes and all.
pub const ARENA_CAP: usize = 8 << 20;

/// How many of the clients' latest faults are kept for the server's operator.
const FAULTS: usize = 8;

/// What a client calls the server for.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// How to transfer objects? With a batch request's JSON.
    Batch(&'a [u8]),
    /// Has an upload arrived? With a verify request's JSON.
    Verify(&'a [u8]),
    /// Here is the content of an object that was announced.
    Upload {
        /// The object's id.
        oid: &'a str,
        /// The content type that the client names.
        content_type: Option<&'a str>,
        /// The content.
        content: &'a [u8],
    },
    /// Look up, or announce, what this pointer file names.
    Pointer(&'a str),
    /// Forget the object with this id.
    Remove(&'a str),
    /// What objects are there? All at once: the arena has room for some thousands.
    List,
}

/// A Git LFS server over a metadata store.
#[derive(Debug)]
pub struct Server<S> {
    heap: Heap,
    store: S,
    faults: Recent<Fault, FAULTS>,
}

impl<S: Store> Server<S> {
    /// A server that takes its memory from this heap.
    #[must_use]
    pub fn new(heap: &Heap, store: S) -> Self {
        Server { heap: heap.clone(), store, faults: Recent::new(heap) }
    }

    /// The store, which the server lends.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The store, which the server lends, for example to close and reopen it between calls.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// The latest mistakes of clients, the newest last. A diagnostic, not part of the state.
    pub fn faults(&self) -> impl Iterator<Item = impl Display> {
        self.faults.iter()
    }

    /// Replies to a call. A client's mistake becomes an error reply.
    ///
    /// # Errors
    /// Out of memory; nothing has changed.
    pub fn answer(&mut self, call: Call<'_>) -> Result<Reply, Refused> {
        let Server { heap, store, faults } = self;
        with_arena(heap, ARENA_CAP, |arena| {
            let mut recorded = None;
            let response = match respond(store, call, arena) {
                Ok(response) => response,
                Err(Error::Fault(fault)) => {
                    recorded = Some(faults.prepare(fault)?);
                    Response::message(arena, fault.status(), fault)?
                }
                Err(Error::Refused) => return Err(Refused),
            };
            let body = try_copy(&response.body, heap.clone())?;
            // The last step that can fail, and it is all or nothing.
            store.commit(arena, &response.changes)?;
            recorded.into_iter().for_each(|fault| faults.record(fault));
            Ok(Reply::new(response.status, body))
        })
    }
}

fn respond<'a>(store: &impl Store, call: Call<'a>, arena: &'a Heap) -> Result<Response<'a>, Error> {
    match call {
        Call::Batch(request) => batch::answer(store, request, arena),
        Call::Verify(request) => object::verify(store, request, arena),
        Call::Upload { oid, content_type, content } => {
            object::upload(store, oid, content_type, content, arena)
        }
        Call::Pointer(text) => object::pointer(store, text, arena),
        Call::Remove(oid) => object::remove(store, oid, arena),
        Call::List => object::list(store, arena),
    }
}
