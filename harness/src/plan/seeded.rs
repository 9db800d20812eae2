//! A share of the requests fails, chosen by a hash, so that neither order nor speed matters.

use crate::trace::{Coordinate, mix};

pub(crate) fn refuses(at: Coordinate, seed: u64, numerator: u32, denominator: u32) -> bool {
    let hash = mix(mix(seed ^ u64::from(at.thread) << 48) ^ at.ordinal);
    // Scales 32 bits of the hash down to 0..denominator without a division's bias mattering.
    ((hash >> 32) * u64::from(denominator)) >> 32 < u64::from(numerator)
}
