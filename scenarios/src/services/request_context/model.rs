//! The plain model: std's collections, and serde's JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::operation::{NAME_MAX, Op, Reply, SHOWN_MAX};
use crate::memory::bytes::Bytes;

/// What is known of a player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The faction's code.
    pub faction: String,
    /// The region.
    pub region: String,
    /// The points.
    pub score: i64,
}

/// The players by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// Each player's standing.
    pub players: BTreeMap<String, Standing>,
}

#[derive(Serialize)]
struct Ranked {
    rank: usize,
    name: String,
    score: i64,
}

#[derive(Serialize)]
struct Top {
    region: String,
    players: Vec<Ranked>,
}

#[derive(Serialize)]
struct Total<'m> {
    region: &'m str,
    players: usize,
    score: i64,
}

#[derive(Serialize)]
struct Totals<'m> {
    totals: Vec<Total<'m>>,
}

fn json(value: &impl Serialize) -> Reply<Bytes<Vec<u8>>> {
    Reply::Json(Bytes(serde_json::to_vec(value).unwrap_or_default()))
}

impl Model {
    /// Handles a request.
    pub(super) fn handle(&mut self, request: &Op) -> Reply<Bytes<Vec<u8>>> {
        match request {
            Op::Score { player, faction, region, points } => {
                if player.len().max(faction.len()).max(region.len()) > NAME_MAX {
                    return Reply::TooLong;
                }
                let before = self.players.get(player).map_or(0, |standing| standing.score);
                let score = before.saturating_add(i64::from(*points));
                let (faction, region) = (faction.clone(), region.trim().to_ascii_lowercase());
                self.players.insert(player.clone(), Standing { faction, region, score });
                Reply::Scored(score)
            }
            Op::Retire { player } => Reply::Retired(self.players.remove(player).is_some()),
            Op::Top { region, .. } if region.len() > NAME_MAX => Reply::TooLong,
            Op::Top { region, limit } => self.top(&region.trim().to_ascii_lowercase(), *limit),
            Op::Totals => self.totals(),
            Op::Count => Reply::Counted(self.players.len()),
        }
    }

    fn top(&self, region: &str, limit: usize) -> Reply<Bytes<Vec<u8>>> {
        let mut chosen: Vec<_> = self.players.iter().collect();
        chosen.retain(|(_, standing)| region == "global" || standing.region == region);
        // They are in the order of their names already, and the sort keeps that.
        chosen.sort_by_key(|(_, standing)| std::cmp::Reverse(standing.score));
        let ranked = |(at, (name, standing)): (usize, (&String, &Standing))| Ranked {
            rank: at + 1,
            name: format!("[{}] {name}", standing.faction),
            score: standing.score,
        };
        let shown = chosen.into_iter().take(limit).take(SHOWN_MAX);
        let players = shown.enumerate().map(ranked).collect();
        json(&Top { region: region.to_owned(), players })
    }

    fn totals(&self) -> Reply<Bytes<Vec<u8>>> {
        let mut regions: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for Standing { region, score, .. } in self.players.values() {
            regions.entry(region).or_default().push(*score);
        }
        let totals = regions.iter().map(|(region, scores)| Total {
            region,
            players: scores.len(),
            score: scores.iter().fold(0, |sum, score| i64::saturating_add(sum, *score)),
        });
        let totals = totals.collect();
        json(&Totals { totals })
    }
}
