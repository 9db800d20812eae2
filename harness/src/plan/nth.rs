//! One request fails, once: a transient shortage.

pub(crate) fn refuses(nth: u64, n: u64) -> bool {
    nth == n
}
