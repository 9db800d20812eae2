//! One request fails, once: a transient shortage.

pub(super) fn refuses(nth: u64, n: u64) -> bool {
    nth == n
}
