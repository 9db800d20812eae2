//! A freed block was written to: its poison is damaged. This is found while the block is in
//! quarantine.

use crate::report::evidence::{BlockInfo, Evidence, Moment, Role};
use crate::report::kind::Kind;

pub(crate) fn check(offset: Option<usize>, block: &BlockInfo, freed: u64) -> Option<Evidence> {
    let offset = offset?;
    Some(
        Evidence::new(Kind::UseAfterFree)
            .about(block.clone())
            .step(Role::Freed, Moment::Event(freed))
            .note(format!("a write after it was freed, {offset} bytes into it")),
    )
}
