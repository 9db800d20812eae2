//! Deliberate damage to a heap's blocks, for the detectors: each kind of damage must be found as
//! itself and as nothing else, whatever comes before and after it.
#![allow(unsafe_code)]

use std::alloc::Layout;

use arbitrary::Arbitrary;
use mallory::system::World;
use mallory::{Heap, Kind, Port, System};

use super::blocks::{Blocks, Op};

/// Damage to one block. Only what guard bytes and quarantine detect: nothing outside of the heap's
/// memory is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Damage {
    /// A byte behind it is written, at this distance from its end, modulo sixteen.
    Overrun(u8),
    /// A byte before it is written, at this distance from its start, modulo the length of the guard
    /// bytes, which is the alignment, but at least sixteen and at most sixty-four.
    Underrun(u8),
    /// It is freed and then written to.
    WriteFreed,
    /// It is freed twice.
    DoubleFree,
    /// An address inside of it is freed.
    FreeInside,
    /// It is freed with another size.
    OtherSize,
    /// It is not freed.
    Lose,
}

impl Blocks {
    /// Applies operations, does this damage before one of them, and returns the kind that must be
    /// found; `None` if there is no block to damage.
    #[must_use]
    pub fn damaged(heap: &Heap, ops: &[Op], before: usize, damage: Option<Damage>) -> Option<Kind> {
        let world = World::new(&[], std::path::Path::new("."));
        let mut blocks = Blocks::open(heap, &world).ok()?;
        let mut kind = None;
        for (nth, op) in ops.iter().enumerate() {
            if let Some(damage) = damage.filter(|_| nth == before) {
                kind = blocks.damage(damage);
            }
            // There is memory: an operation is refused only for an impossibly large size.
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
