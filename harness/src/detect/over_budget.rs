//! More bytes are live than the budget allows.

use crate::report::evidence::{BlockInfo, Evidence, Moment, Role};
use crate::report::format::count;
use crate::report::kind::Kind;

pub(crate) fn check(live: usize, budget: usize, block: BlockInfo, event: u64) -> Option<Evidence> {
    if live <= budget {
        return None;
    }
    Some(
        Evidence { block: Some(block), ..Evidence::new(Kind::OverBudget) }
            .step(Role::Requested, Moment::Event(event))
            .note(format!(
                "{} live, {} over the budget of {}",
                count(live as u64, "byte"),
                count((live - budget) as u64, "byte"),
                count(budget as u64, "byte"),
            )),
    )
}
