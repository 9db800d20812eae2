//! A block still live when the subject is done.

use crate::finding::{Evidence, Kind, Subject};

pub(crate) fn check(block: Subject) -> Evidence {
    Evidence::new(Kind::Leak).about(block)
}
