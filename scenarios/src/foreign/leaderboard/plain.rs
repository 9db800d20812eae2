//! The same reply without a context: a `String` for each name, a `Vec` of players, and serde's JSON
//! in a buffer that grows. The service is compared with it, in tests and by the benchmark.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{Failure, store};
use crate::foreign::sqlite::library::Connection;

#[derive(Serialize)]
struct Ranked {
    rank: usize,
    name: String,
    score: i64,
}

#[derive(Serialize)]
struct Best<'r> {
    region: &'r str,
    players: Vec<Ranked>,
}

/// The best players of a region.
pub(super) fn reply(connection: &Connection, region: &str) -> Result<Response, Failure> {
    let mut players = Vec::new();
    store::best(connection, region, |name, faction, score| {
        let rank = players.len() + 1;
        players.push(Ranked { rank, name: format!("[{faction}] {name}"), score });
        Ok(())
    })?;
    Ok(Json(Best { region, players }).into_response())
}
