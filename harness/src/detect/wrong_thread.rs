//! A heap was used on a thread that it doesn't belong to. The call was refused and parked, and
//! never reached the ledger.

use std::alloc::Layout;

use crate::report::evidence::{BlockInfo, Evidence, Moment, Role};
use crate::report::kind::Kind;
use crate::trace::Op;

/// `call` is the number of the parked call, by which its backtrace is found.
pub(crate) fn check(
    op: Op,
    layout: Layout,
    heap: &str,
    block: Option<BlockInfo>,
    call: u64,
) -> Evidence {
    let mut evidence = Evidence::new(Kind::WrongThread);
    if let Some(block) = block {
        evidence = evidence.about(block);
    }
    let role = if op == Op::Free { Role::Freed } else { Role::Requested };
    evidence.step(role, Moment::Foreign(call)).note(format!(
        "{op} of {} bytes (align {}) on heap `{heap}` from a thread that it does not belong to",
        layout.size(),
        layout.align(),
    ))
}
