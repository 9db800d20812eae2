//! A run of consecutive requests fails: long enough to outlast a retry.

pub(crate) fn refuses(nth: u64, n: u64, k: u64) -> bool {
    nth >= n && nth - n < k
}
