//! Damage to a heap's blocks on purpose, for the detectors: what each is has to be found, as
//! itself and as nothing else, whatever comes before and after it.
#![allow(unsafe_code)]

use std::alloc::Layout;

use arbitrary::Arbitrary;
use mallory::system::World;
use mallory::{Heap, Kind, Port, System};

use super::blocks::{Blocks, Op};

/// What is done to one block. Only what guard bytes and quarantine see: nothing leaves the heap's
/// own memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Damage {
    /// A byte behind it is written: so many behind its end, modulo sixteen.
    Overrun(u8),
    /// A byte before it is written: so many before its begin, modulo the guard's length, which is
    /// its alignment, but no less than sixteen and no more than sixty-four.
    Underrun(u8),
    /// It is given back and written to.
    WriteFreed,
    /// It is given back twice.
    DoubleFree,
    /// An address inside of it is given back.
    FreeInside,
    /// It is given back with another size.
    OtherSize,
    /// It is not given back.
    Lose,
}

impl Blocks {
    /// Applies operations, does this damage before one of them, and answers what has to be found;
    /// `None` where there is no block that it could be done to.
    #[must_use]
    pub fn damaged(heap: &Heap, ops: &[Op], before: usize, damage: Option<Damage>) -> Option<Kind> {
        let world = World::new(&[], std::path::Path::new("."));
        let mut blocks = Blocks::open(heap, &world).ok()?;
        let mut kind = None;
        for (nth, op) in ops.iter().enumerate() {
            if let Some(damage) = damage.filter(|_| nth == before) {
                kind = blocks.damage(damage);
            }
            // Nothing fails: each is refused only where a size is beyond what anybody has.
            let _ = blocks.apply(op, &world);
        }
        kind
    }

    fn damage(&mut self, damage: Damage) -> Option<Kind> {
        let (place, (block, layout)) = self.blocks.iter().next().map(|(at, held)| (*at, *held))?;
        let needs_byte = matches!(damage, Damage::WriteFreed | Damage::FreeInside);
        if needs_byte && layout.size() < 2 {
            return None;
        }
        if !matches!(damage, Damage::Overrun(_) | Damage::Underrun(_)) {
            self.blocks.remove(&place);
        }
        let longer = Layout::from_size_align(layout.size() + 1, layout.align()).ok()?;
        // SAFETY: the block was live and `layout` its own; what is written lies in it or in the
        // guard bytes that the heap keeps around it (16 behind, 16 to 64 before), or in quarantine,
        // where it is the newest; what is given back wrongly is refused, and is in no map of ours
        // any more.
        unsafe {
            let flip = |at: *mut u8| at.write(at.read() ^ 0xFF);
            match damage {
                Damage::Overrun(by) => {
                    flip(block.as_ptr().add(layout.size() + usize::from(by % 16)));
                    Some(Kind::HeapBufferOverflow)
                }
                Damage::Underrun(by) => {
                    let guard = layout.align().clamp(16, 64);
                    flip(block.as_ptr().sub(1 + usize::from(by) % guard));
                    Some(Kind::HeapBufferUnderflow)
                }
                Damage::WriteFreed => {
                    self.heap.free(block, layout);
                    flip(block.as_ptr().add(layout.size() / 2));
                    Some(Kind::UseAfterFree)
                }
                Damage::DoubleFree => {
                    self.heap.free(block, layout);
                    self.heap.free(block, layout);
                    Some(Kind::DoubleFree)
                }
                Damage::FreeInside => {
                    self.heap.free(block.add(1), Layout::new::<u8>());
                    self.heap.free(block, layout);
                    Some(Kind::InvalidFree)
                }
                Damage::OtherSize => {
                    self.heap.free(block, longer);
                    Some(Kind::LayoutMismatch)
                }
                Damage::Lose => Some(Kind::Leak),
            }
        }
    }
}
