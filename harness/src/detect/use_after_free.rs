//! A freed block was written to: its poison is damaged. `check_poison` in `heap/node.rs` reads the poison
//! when the block leaves quarantine.

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
