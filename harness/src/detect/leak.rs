//! A block still live when the subject is done.

use crate::report::evidence::{Evidence, Subject};
use crate::report::kind::Kind;

pub(crate) fn check(block: Subject) -> Evidence {
    Evidence::new(Kind::Leak).about(block)
}
