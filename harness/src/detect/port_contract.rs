//! The wrapped allocator broke its own contract.

use crate::report::evidence::{BlockInfo, Evidence, Moment, Role};
use crate::report::format::count;
use crate::report::kind::Kind;

fn contract_broken(block: BlockInfo, event: u64, note: String) -> Evidence {
    Evidence { block: Some(block), ..Evidence::new(Kind::PortContract) }
        .step(Role::Requested, Moment::Event(event))
        .note(note)
}

pub(crate) fn misaligned(block: BlockInfo, event: u64) -> Evidence {
    let note = format!("the port's block is not aligned to {}", block.align);
    contract_broken(block, event, note)
}

pub(crate) fn too_small(returned: usize, block: BlockInfo, event: u64) -> Evidence {
    let note = format!("the port's block is only {} long", count(returned as u64, "byte"));
    contract_broken(block, event, note)
}

pub(crate) fn overlapping(other: u64, block: BlockInfo, event: u64) -> Evidence {
    let note = format!("the port handed out the address of a{other}, which is alive");
    contract_broken(block, event, note)
}
