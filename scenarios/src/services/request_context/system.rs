//! The board as a system: each operation is one request. Threads of a script make theirs at the same
//! time, and share the pools.

use std::fmt::Debug;

use mallory::system::{ApplyShared, World};
use mallory::{Heap, Refused, System};

use super::board::{Board, Player};
use super::model::{Model, Standing};
use super::operation::{Json, Op, Reply};
use super::reply::text;

impl System for Board {
    const NAME: &'static str = "request-context";

    type Op = Op;
    type Reply = Reply<Json>;
    type Error = Refused;
    type Model = Model;

    fn open(heap: &Heap, _world: &World<'_>) -> Result<Self, Refused> {
        Ok(Board::new(heap))
    }

    fn apply(&mut self, op: &Op, _world: &World<'_>) -> Result<Reply<Json>, Refused> {
        self.handle(op)
    }

    fn shared() -> Option<ApplyShared<Self>> {
        Some(|board, op, _world| board.handle(op))
    }

    fn is_oom(_: &Refused) -> bool {
        true
    }

    fn snapshot(&self) -> Model {
        let standing = |Player { faction, region, score, .. }: &Player| Standing {
            faction: text(faction).to_owned(),
            region: text(region).to_owned(),
            score: *score,
        };
        let players = self.players();
        let players =
            players.iter().map(|player| (text(&player.name).to_owned(), standing(player)));
        Model { players: players.collect() }
    }

    fn model(model: &mut Model, op: &Op, _world: &World<'_>) -> impl Debug {
        model.handle(op)
    }
}
