//! Replies: written into a context's scratch buffer, and copied from there to the caller.

use std::ops::Deref;

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::board::{Context, Player, Region};
use super::operation::{Json, SHOWN_MAX};
use crate::memory::bytes::{
    Appending, Bytes, Text, refused, try_copy, try_push, try_with_capacity,
};
use crate::memory::context::Scope;
use crate::memory::{PoolString, RequestArena};
use crate::services::json_writer::JsonWriter;

/// The region that means all of them.
const EVERYWHERE: &str = "global";

/// A player as a reply shows it.
struct Row<'c> {
    name: &'c str,
    score: i64,
}

/// A name as text: it was stored as text.
pub(super) fn text(name: &PoolString) -> &str {
    std::str::from_utf8(name).unwrap_or_default()
}

/// A region's name in lower case, without the spaces around it, in this buffer.
pub(super) fn normalised<'b>(buffer: &'b mut Text<Heap>, region: &str) -> Result<&'b str, Refused> {
    buffer.clear();
    for character in region.trim().chars() {
        buffer.format(format_args!("{}", character.to_ascii_lowercase()))?;
    }
    Ok(std::str::from_utf8(buffer).unwrap_or_default())
}

/// The best players of a region. They are locked while they are chosen, not while the reply is
/// written.
pub(super) fn top<P: Deref<Target = Vec<Player, Heap>>>(
    context: &mut Context,
    region: &str,
    limit: usize,
    players: impl FnOnce() -> P,
) -> Result<Json, Refused> {
    let Context { arena, string_buffer, scratch_buffer, pools } = context;
    let region = arena.alloc_str(normalised(string_buffer, region)?)?;
    let mut ranking = pools.rankings.take()?;
    let rows = {
        let players = players();
        for (place, player) in players.iter().enumerate() {
            if region == EVERYWHERE || text(&player.region) == region {
                try_push(&mut ranking, (player.score, place))?;
            }
        }
        ranking.sort_unstable_by(|(score, place), (other_score, other_place)| {
            let name = |place: usize| &*players[place].name;
            other_score.cmp(score).then_with(|| name(*place).cmp(name(*other_place)))
        });
        ranking.truncate(limit.min(SHOWN_MAX));
        rows(arena, &ranking, &players)?
    };
    let mut json = JsonWriter::new(Appending(scratch_buffer));
    let written = json.object(|json| {
        json.key("region")?;
        json.string(region)?;
        json.key("players")?;
        json.array(|json| {
            rows.iter().zip(1_usize..).try_for_each(|(row, rank)| {
                json.object(|json| {
                    json.key("rank")?;
                    json.literal(rank)?;
                    json.key("name")?;
                    json.string(row.name)?;
                    json.key("score")?;
                    json.literal(row.score)
                })
            })
        })
    });
    written.map_err(refused)?;
    copied(scratch_buffer)
}

fn rows<'c>(
    arena: &'c RequestArena,
    ranking: &[(i64, usize)],
    players: &[Player],
) -> Result<Vec<Row<'c>, Scope<'c>>, Refused> {
    let mut rows = try_with_capacity(ranking.len(), arena.scope())?;
    for (score, place) in ranking {
        let Player { name, faction, .. } = &players[*place];
        let name = arena.alloc_fmt(format_args!("[{}] {}", text(faction), text(name)))?;
        try_push(&mut rows, Row { name, score: *score })?;
    }
    Ok(rows)
}

/// The players and the points of each region, in the order of their names.
pub(super) fn totals<P: Deref<Target = Vec<Player, Heap>>>(
    context: &mut Context,
    players: impl FnOnce() -> P,
) -> Result<Json, Refused> {
    let Context { arena, scratch_buffer, pools, .. } = context;
    let mut totals = pools.totals.take()?;
    {
        let players = players();
        for Player { region, score, .. } in players.iter() {
            if let Some((count, sum)) = totals.get_mut(&**region) {
                *count += 1;
                *sum = i64::saturating_add(*sum, *score);
                continue;
            }
            let key = try_copy(region, totals.allocator().clone())?;
            totals.try_reserve(1).map_err(refused)?;
            totals.insert(Region(key), (1, *score));
        }
    }
    let mut sorted = try_with_capacity(totals.len(), arena.scope())?;
    for (Region(region), total) in totals.iter() {
        try_push(&mut sorted, (std::str::from_utf8(region).unwrap_or_default(), *total))?;
    }
    sorted.sort_unstable();
    let mut json = JsonWriter::new(Appending(scratch_buffer));
    let written = json.object(|json| {
        json.key("totals")?;
        json.array(|json| {
            sorted.iter().try_for_each(|(region, (count, sum))| {
                json.object(|json| {
                    json.key("region")?;
                    json.string(region)?;
                    json.key("players")?;
                    json.literal(count)?;
                    json.key("score")?;
                    json.literal(sum)
                })
            })
        })
    });
    written.map_err(refused)?;
    copied(scratch_buffer)
}

/// What is written, as the caller's own copy.
fn copied(written: &Vec<u8, Heap>) -> Result<Json, Refused> {
    try_copy(written, written.allocator().clone()).map(Bytes)
}
