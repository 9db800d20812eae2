//! Frees of blocks that no run has allocated, under the global allocator: those from before the run,
//! and those of C's `malloc`. Each is legal once. The block is not freed at once, so that its address
//! is not handed out again, and a second free is known to be one.

use std::alloc::Layout;

/// The most blocks that are kept in a run. Those after them are freed at once.
const BLOCKS_MAX: usize = 4_096;

/// The blocks of a run, in the order of their frees.
#[derive(Debug, Default)]
pub(crate) struct UnknownFrees {
    kept: Vec<(usize, Layout)>,
}

/// What becomes of a free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnknownFree {
    /// It is the first of its block, and has this number.
    Kept(u64),
    /// The block was freed by the free of this number.
    Again(u64),
    /// There is no room to keep it.
    Passed,
}

impl UnknownFrees {
    /// Takes note of a free.
    pub(crate) fn free(&mut self, address: usize, layout: Layout) -> UnknownFree {
        if let Some(nth) = self.kept.iter().position(|(kept, _)| *kept == address) {
            return UnknownFree::Again(nth as u64 + 1);
        }
        if self.kept.len() == BLOCKS_MAX {
            return UnknownFree::Passed;
        }
        self.kept.push((address, layout));
        UnknownFree::Kept(self.kept.len() as u64)
    }

    /// Takes out all blocks, for their real free.
    pub(crate) fn take(&mut self) -> Vec<(usize, Layout)> {
        std::mem::take(&mut self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_free_names_the_first_one() {
        let mut frees = UnknownFrees::default();
        let layout = Layout::new::<u64>();
        assert_eq!(frees.free(16, layout), UnknownFree::Kept(1));
        assert_eq!(frees.free(32, layout), UnknownFree::Kept(2));
        assert_eq!(frees.free(16, layout), UnknownFree::Again(1));
        assert_eq!(frees.take(), [(16, layout), (32, layout)]);
        assert_eq!(frees.free(16, layout), UnknownFree::Kept(1));
        for nth in 1..BLOCKS_MAX {
            assert_eq!(frees.free(16 + 16 * nth, layout), UnknownFree::Kept(nth as u64 + 1));
        }
        assert_eq!(frees.free(1, layout), UnknownFree::Passed);
    }
}
