//! The reply that is made in a context: names in its arena, JSON in its scratch buffer.

use allocator_api2::vec::Vec;
use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::extractor::Context;
use super::{Failure, store};
use crate::foreign::sqlite::library::Connection;
use crate::memory::Pooled;
use crate::memory::bytes::{Appending, refused, try_push};
use crate::services::json_writer::JsonWriter;

/// A player as the reply shows it.
struct Ranked<'c> {
    name: &'c str,
    score: i64,
}

/// A reply in the scratch buffer of its context.
#[derive(Debug)]
pub struct Written(Pooled<Context>);

impl AsRef<[u8]> for Written {
    fn as_ref(&self) -> &[u8] {
        &self.0.scratch_buffer
    }
}

impl IntoResponse for Written {
    /// The body lends the buffer: nothing is copied.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(Bytes::from_owner(self)));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}

/// Writes the best players of a region.
pub(super) fn write(
    mut context: Pooled<Context>,
    connection: &Connection,
    region: &str,
) -> Result<Written, Failure> {
    let Context { arena, scratch_buffer, .. } = &mut *context;
    let mut players = Vec::new_in(arena.scope());
    store::best(connection, region, |name, faction, score| {
        let name = arena.alloc_fmt(format_args!("[{faction}] {name}"))?;
        Ok(try_push(&mut players, Ranked { name, score })?)
    })?;
    let mut json = JsonWriter::new(Appending(scratch_buffer));
    let written = json.object(|json| {
        json.key("region")?;
        json.string(region)?;
        json.key("players")?;
        json.array(|json| {
            players.iter().zip(1_usize..).try_for_each(|(player, rank)| {
                json.object(|json| {
                    json.key("rank")?;
                    json.literal(rank)?;
                    json.key("name")?;
                    json.string(player.name)?;
                    json.key("score")?;
                    json.literal(player.score)
                })
            })
        })
    });
    written.map_err(refused)?;
    drop(players);
    Ok(Written(context))
}
