//! Bytes behind a block were overwritten: its rear guard is damaged.

use crate::detect::block::Damage;
use crate::report::evidence::{BlockInfo, Evidence, Moment, Role};
use crate::report::format::count;
use crate::report::kind::Kind;

/// `freed` is the event of the block's free, if that is when the guards were checked.
pub(crate) fn check(damage: Damage, block: &BlockInfo, freed: Option<u64>) -> Option<Evidence> {
    let distance = damage.behind? as u64;
    let evidence = Evidence::new(Kind::HeapBufferOverflow)
        .about(block.clone())
        .note(format!("a write behind the block: {} past its end", count(distance + 1, "byte")));
    Some(match freed {
        Some(event) => evidence.step(Role::Freed, Moment::Event(event)),
        None => evidence,
    })
}
