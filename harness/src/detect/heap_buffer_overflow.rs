//! Bytes behind a block were written: its rear guard is damaged.

use crate::detect::block::Damage;
use crate::report::evidence::{BlockInfo, Evidence, Moment, Role};
use crate::report::format::count;
use crate::report::kind::Kind;

pub(crate) fn check(damage: Damage, block: &BlockInfo, noticed: Option<u64>) -> Option<Evidence> {
    let far = damage.behind? as u64;
    let evidence = Evidence::new(Kind::HeapBufferOverflow)
        .about(block.clone())
        .note(format!("a write behind the block: {} past its end", count(far + 1, "byte")));
    Some(match noticed {
        Some(event) => evidence.step(Role::Freed, Moment::Event(event)),
        None => evidence,
    })
}
