//! What the board is asked, and what it replies.

use allocator_api2::vec::Vec;
use arbitrary::Arbitrary;
use mallory::Heap;
use serde::{Deserialize, Serialize};

use crate::memory::bytes::Bytes;
use crate::services::generate;

/// No name, faction or region is longer than this.
pub const NAME_MAX: usize = 512;
/// No reply shows more players than this.
pub const SHOWN_MAX: usize = 100;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Adds points to a player, who then plays for this faction in this region. Regions are named
    /// without regard to case and to the spaces around them.
    Score {
        /// The player's name.
        #[arbitrary(with = generate::name)]
        player: String,
        /// The faction's code.
        #[arbitrary(with = generate::name)]
        faction: String,
        /// The region.
        #[arbitrary(with = generate::region)]
        region: String,
        /// The points.
        points: i32,
    },
    /// Forgets a player.
    Retire {
        /// The player's name.
        #[arbitrary(with = generate::name)]
        player: String,
    },
    /// The best players of a region, as JSON; those of all regions if it is `global`.
    Top {
        /// The region.
        #[arbitrary(with = generate::region)]
        region: String,
        /// How many, at most [`SHOWN_MAX`].
        #[arbitrary(with = generate::count)]
        limit: usize,
    },
    /// The points of each region, as JSON.
    Totals,
    /// Counts the players.
    Count,
}

/// What a request returns. The board allocates its text on its heap; the model uses std's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<Text> {
    /// The player's points.
    Scored(i64),
    /// Whether there was such a player.
    Retired(bool),
    /// JSON.
    Json(Text),
    /// How many players there are.
    Counted(usize),
    /// A name is longer than [`NAME_MAX`].
    TooLong,
}

/// JSON that a request returns.
pub(super) type Json = Bytes<Vec<u8, Heap>>;
