//! The services' hash function: FNV-1a with a final mix, under a fixed seed. A random seed would
//! make collisions, and with them requests for memory, differ from run to run.

use std::hash::{BuildHasherDefault, Hasher};

/// Hashes under the fixed seed; as a map's `S` it is [`FixedState`].
#[derive(Clone, Copy, Debug)]
pub struct Fnv(u64);

/// The hasher of the services' maps: `HashMap<K, V, FixedState, Heap>`.
pub type FixedState = BuildHasherDefault<Fnv>;

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// The sum of FNV-1a itself, as other programs compute it.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// FNV's high bits are weak on short keys, and hashbrown's tags are made of them: hence the
    /// mix (the finaliser of MurmurHash3).
    fn finish(&self) -> u64 {
        let mut hash = self.0;
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ (hash >> 33)
    }
}

/// The hash of bytes.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = Fnv::default();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_in_every_process() {
        // From the reference implementations of FNV-1a and MurmurHash3's finaliser.
        assert_eq!(Fnv::default().0, 0xcbf2_9ce4_8422_2325);
        let mut hasher = Fnv::default();
        hasher.write(b"foobar");
        assert_eq!(hasher.0, 0x8594_4171_f739_67e8);
        assert_eq!(hash(b"foobar"), hasher.finish());
    }
}
