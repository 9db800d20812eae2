//! A block is still live when the subject is done.

use crate::report::evidence::{BlockInfo, Evidence};
use crate::report::kind::Kind;

pub(crate) fn check(block: BlockInfo) -> Evidence {
    Evidence::new(Kind::Leak).about(block)
}
