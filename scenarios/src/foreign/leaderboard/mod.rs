//! A leaderboard as an axum service over SQLite, whose requests are handled in a context.
//!
//! ```text
//!  GET /leaderboard/{region} ─▶ extractor ─┬─ a context from the pool: arena, scratch buffer
//!                                          └─ a connection from the pool
//!  rows of SQLite ─▶ names in the arena ─▶ JSON in the scratch buffer ─▶ the body lends the buffer
//! ```
//!
//! The reply is not copied: the body holds the context, which goes back to its pool when the last
//! byte is sent. `plain` is the same reply as most programs make it, with a `String` for each name.
//! `sweep` asks the service within the process, and fails each of its requests for memory.

mod extractor;
mod plain;
mod reply;
mod store;
pub mod sweep;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http_body::Frame;

use super::sqlite::library::SqliteFailure;

pub use extractor::{Contextual, Leaderboard};
pub use reply::Written;
pub use store::Player;

/// No reply shows more players than this.
pub const SHOWN_MAX: i64 = 100;

/// Why a request has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Out of memory.
    NoMemory,
    /// Every connection is lent.
    Busy,
    /// Another error of the database.
    Database(SqliteFailure),
}

impl From<mallory::Refused> for Failure {
    fn from(_: mallory::Refused) -> Self {
        Failure::NoMemory
    }
}

impl From<SqliteFailure> for Failure {
    fn from(failure: SqliteFailure) -> Self {
        if failure.is_oom() { Failure::NoMemory } else { Failure::Database(failure) }
    }
}

impl IntoResponse for Failure {
    /// A status alone, which needs no memory: the client hears of the failure even if there is none.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::new(Nothing));
        *response.status_mut() = match self {
            Failure::NoMemory => StatusCode::INSUFFICIENT_STORAGE,
            Failure::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        response
    }
}

/// A body without a byte that doesn't tell its length: for a length axum would make a header, and
/// abort if there is no memory for that.
struct Nothing;

impl HttpBody for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

async fn in_context(
    Path(region): Path<String>,
    Contextual { context, connection }: Contextual,
) -> Result<Written, Failure> {
    reply::write(context, &connection, &region)
}

async fn without_context(
    Path(region): Path<String>,
    State(board): State<Leaderboard>,
) -> Result<Response, Failure> {
    let connection = board.connection()?;
    plain::reply(&connection, &region)
}

/// The routes. `/plain/{region}` has the same replies without a context. Only the thread that opened
/// the leaderboard may handle requests: each thread of a server opens its own.
pub fn routes(board: Leaderboard) -> Router {
    Router::new()
        .route("/leaderboard/{region}", get(in_context))
        .route("/plain/{region}", get(without_context))
        .with_state(board)
}
