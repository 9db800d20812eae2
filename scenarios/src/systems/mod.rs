//! The memory parts and the heap itself as systems, so that they can be driven by scripts, property
//! tests and fuzzers. The model of each uses only standard collections.

mod arena;
mod blocks;
mod damage;
mod intern;
mod regions;

pub use arena::{Arenas, Op as ArenaOp};
pub use blocks::{Blocks, BlocksOf, Op as BlocksOp, Slabs};
pub use damage::Damage;
pub use intern::{Interns, Op as InternOp};
pub use regions::{Op as RegionOp, Part, Regions};
