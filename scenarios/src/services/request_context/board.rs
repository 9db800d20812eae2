//! The board: players, and the pools that its requests share.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::operation::{Json, NAME_MAX, Op, Reply};
use super::reply;
use crate::memory::bytes::refused;
use crate::memory::{
    MapPool, Pool, PoolStats, PoolString, Pooled, RequestContext, StringPool, VecPool,
};
use crate::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The most contexts that wait for a request.
const CONTEXTS: usize = 10;
/// The most lists and maps that wait for one.
const COLLECTIONS: usize = 20;

/// The pools of collections that the contexts of one board share.
#[derive(Clone, Debug)]
pub struct BoardPools {
    /// Players in the order of a reply: their points, and their places on the board.
    pub rankings: VecPool<(i64, usize)>,
    /// The players and the points of each region.
    pub totals: MapPool<Region, (usize, i64)>,
}

/// A region's name, as a key of a map.
#[derive(Debug, PartialEq, Eq)]
pub struct Region(pub(super) Vec<u8, Heap>);

impl Hash for Region {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_slice().hash(state);
    }
}

impl Borrow<[u8]> for Region {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// A context of this service.
pub(super) type Context = RequestContext<BoardPools>;

/// A player of the board.
pub(super) struct Player {
    pub(super) name: PoolString,
    pub(super) faction: PoolString,
    pub(super) region: PoolString,
    pub(super) score: i64,
}

/// A board, for any number of threads.
pub struct Board {
    contexts: Pool<Context>,
    pools: BoardPools,
    strings: StringPool,
    players: RwLock<Vec<Player, Heap>>,
}

impl Board {
    /// An empty board on this heap; takes no memory of it yet.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        let rankings = VecPool::new(heap, COLLECTIONS);
        let totals = MapPool::new(heap, COLLECTIONS);
        Board {
            contexts: Pool::new(heap, CONTEXTS),
            pools: BoardPools { rankings, totals },
            strings: StringPool::new(heap),
            players: RwLock::new(Vec::new_in(heap.clone())),
        }
    }

    /// What became of the contexts, and of the blocks for names. A diagnostic, not part of the
    /// state: under the kill switch nothing is used again.
    #[must_use]
    pub fn stats(&self) -> [PoolStats; 2] {
        [self.contexts.stats(), self.strings.stats()]
    }

    /// Handles one request.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; the board is then as before.
    pub fn handle(&self, request: &Op) -> Result<Reply<Json>, Refused> {
        Ok(match request {
            Op::Score { player, faction, region, points } => {
                if [player, faction, region].iter().any(|name| name.len() > NAME_MAX) {
                    return Ok(Reply::TooLong);
                }
                Reply::Scored(self.score([player, faction, region], *points)?)
            }
            Op::Retire { player } => Reply::Retired(self.retire(player)),
            Op::Top { region, .. } if region.len() > NAME_MAX => Reply::TooLong,
            Op::Top { region, limit } => {
                let mut context = self.context()?;
                Reply::Json(reply::top(&mut context, region, *limit, || self.players())?)
            }
            Op::Totals => {
                let mut context = self.context()?;
                Reply::Json(reply::totals(&mut context, || self.players())?)
            }
            Op::Count => Reply::Counted(self.players().len()),
        })
    }

    /// A context from the pool, which goes back there when it is dropped.
    fn context(&self) -> Result<Pooled<Context>, Refused> {
        self.contexts.take_or(|heap| RequestContext::new(heap, self.pools.clone()))
    }

    fn score(&self, [name, faction, region]: [&str; 3], points: i32) -> Result<i64, Refused> {
        let mut context = self.context()?;
        let region = reply::normalised(&mut context.string_buffer, region)?;
        let copy = |text: &str| self.strings.copy(text.as_bytes());
        let fresh = Player {
            name: copy(name)?,
            faction: copy(faction)?,
            region: copy(region)?,
            score: points.into(),
        };
        let mut players = self.change();
        if let Some(player) = players.iter_mut().find(|player| *player.name == *fresh.name) {
            let score = player.score.saturating_add(fresh.score);
            let old = std::mem::replace(player, Player { score, ..fresh });
            drop(players);
            drop(old);
            return Ok(score);
        }
        players.try_reserve(1).map_err(refused)?;
        let score = fresh.score;
        players.push(fresh);
        Ok(score)
    }

    fn retire(&self, name: &str) -> bool {
        let mut players = self.change();
        let place = players.iter().position(|player| *player.name == *name.as_bytes());
        let gone = place.map(|place| players.swap_remove(place));
        // The names go back to their pool after the lock is free.
        drop(players);
        gone.is_some()
    }

    // A request that fails changes nothing, so poison means nothing.
    pub(super) fn players(&self) -> RwLockReadGuard<'_, Vec<Player, Heap>> {
        self.players.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Vec<Player, Heap>> {
        self.players.write().unwrap_or_else(PoisonError::into_inner)
    }
}
