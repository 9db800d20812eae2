//! The memory parts, and the heap itself, as systems: their operations are scripts, properties and
//! fuzz inputs, and each has a model that is nothing but standard collections.

mod arena;
mod blocks;
mod damage;
mod intern;

pub use arena::{Arenas, Op as ArenaOp};
pub use blocks::{Blocks, BlocksOf, Op as BlocksOp, Slabs};
pub use damage::Damage;
pub use intern::{Interns, Op as InternOp};
