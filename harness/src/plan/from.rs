//! One request fails and all after it: a persistent shortage.

pub(crate) fn refuses(nth: u64, n: u64) -> bool {
    nth >= n
}
