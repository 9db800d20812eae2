//! A block still live when the subject is done.

use crate::evidence::{Evidence, Subject};
use crate::finding::Kind;

pub(crate) fn check(block: Subject) -> Evidence {
    Evidence::new(Kind::Leak).about(block)
}
