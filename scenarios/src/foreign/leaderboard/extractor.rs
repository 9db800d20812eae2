//! The extractor of a context and a connection, and the pools that it takes them from. They belong
//! to one thread, as SQLite does here.

use std::cell::RefCell;
use std::ffi::CStr;
use std::ops::Deref;
use std::rc::Rc;

use allocator_api2::vec::Vec;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use mallory::Heap;
use send_wrapper::SendWrapper;

use super::Failure;
use super::store::{self, Player};
use crate::foreign::sqlite::library::{Connection, Library};
use crate::memory::bytes::{try_push, try_with_capacity};
use crate::memory::{Pool, PoolStats, Pooled, RequestContext};

/// The most contexts that wait for a request.
const CONTEXTS: usize = 10;

/// A context of this service. It has no pools of its own.
pub(super) type Context = RequestContext<()>;

struct Pools {
    contexts: Pool<Context>,
    /// Connections that wait. There is room for all that were opened.
    connections: RefCell<Vec<Connection, Heap>>,
}

/// The state of the service on one thread. Any other thread that uses it panics.
#[derive(Clone)]
pub struct Leaderboard(SendWrapper<Rc<Pools>>);

impl Leaderboard {
    /// Opens the database with this name on this heap, with as many connections, and puts the
    /// players into it.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says.
    pub fn open<'p>(
        heap: &Heap,
        name: &CStr,
        connections: usize,
        players: impl IntoIterator<Item = Player<'p>>,
    ) -> Result<Self, Failure> {
        let library = Library::begin(heap)?;
        let mut idle = try_with_capacity(connections, heap.clone())?;
        for _ in 0..connections {
            try_push(&mut idle, Connection::open(&library, name)?)?;
        }
        idle.first().map_or(Ok(()), |first| store::fill(first, players))?;
        let pools = Pools { contexts: Pool::new(heap, CONTEXTS), connections: RefCell::new(idle) };
        Ok(Leaderboard(SendWrapper::new(Rc::new(pools))))
    }

    /// A connection from the pool, which goes back there when it is dropped.
    pub(super) fn connection(&self) -> Result<Lent, Failure> {
        let connection = self.0.connections.borrow_mut().pop().ok_or(Failure::Busy)?;
        Ok(Lent(SendWrapper::new((Some(connection), Rc::clone(&self.0)))))
    }

    /// What became of the contexts.
    #[must_use]
    pub fn contexts(&self) -> PoolStats {
        self.0.contexts.stats()
    }
}

impl std::fmt::Debug for Leaderboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaderboard").finish_non_exhaustive()
    }
}

/// A connection of the pool. It is `Some` until it is dropped.
pub(super) struct Lent(SendWrapper<(Option<Connection>, Rc<Pools>)>);

impl Deref for Lent {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0.0.as_ref().expect("it is given back only by `drop`")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let (connection, pools) = &mut *self.0;
        if let Some(connection) = connection.take() {
            // There is room for it: it came from there.
            drop(pools.connections.borrow_mut().push_within_capacity(connection));
        }
    }
}

/// What a request needs: a context, and a connection. Both go back to their pools when they are
/// dropped.
pub struct Contextual {
    pub(super) context: Pooled<Context>,
    pub(super) connection: Lent,
}

impl<S: Send + Sync> FromRequestParts<S> for Contextual
where
    Leaderboard: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Self, Failure> {
        let board = Leaderboard::from_ref(state);
        let connection = board.connection()?;
        let context = board.0.contexts.take_or(|heap| RequestContext::new(heap, ()))?;
        Ok(Contextual { context, connection })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lent_connection_comes_back() {
        let board = Leaderboard::open(&Heap::new(), c":memory:", 1, []).expect("there is memory");
        let connection = board.connection().expect("there is one");
        assert_eq!(board.connection().err(), Some(Failure::Busy));
        drop(connection);
        assert!(board.connection().is_ok());
    }
}
