//! The systems `blocks` and `slab`: blocks of a heap and of a slab, modelled by a map from places
//! to contents. The bytes that the heap's ledger counts are part of the state of `blocks`.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ptr::NonNull;

use arbitrary::Arbitrary;
use mallory::system::World;
use mallory::{Heap, Port, Refused, System};
use serde::{Deserialize, Serialize};

use crate::memory::slab_over;

/// One operation. Places are counted from 0, modulo sixteen; sizes modulo 1,024.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Allocates a block, unless the place has one.
    Alloc {
        /// Its place.
        place: u8,
        /// Its size.
        size: u16,
        /// The power of two that it is aligned to, modulo thirteen.
        align: u8,
        /// Whether it is to be zeroes.
        zeroed: bool,
    },
    /// Grows or shrinks a block.
    Resize {
        /// Its place.
        place: u8,
        /// Its new size.
        size: u16,
    },
    /// Grows a block, with zeroes.
    GrowZeroed {
        /// Its place.
        place: u8,
        /// By how much.
        by: u8,
    },
    /// Fills a block.
    Fill {
        /// Its place.
        place: u8,
        /// With this byte.
        with: u8,
    },
    /// Frees a block.
    Free {
        /// Its place.
        place: u8,
    },
}

/// A block: its layout, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its alignment.
    pub align: usize,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// All blocks, and their total size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// The blocks by place.
    pub blocks: BTreeMap<u8, Content>,
    /// Live bytes. Not counted for a slab, whose superblocks are live as well.
    pub live: usize,
}

/// What a fresh byte is set to, so that the state doesn't depend on uninitialized memory.
const FRESH: u8 = 0x5A;

fn place(place: u8) -> u8 {
    place % 16
}

/// Sizes are counted modulo this: the model copies all contents again and again.
const SIZES: u16 = 1024;

fn bytes(size: u16) -> usize {
    usize::from(size % SIZES)
}

fn layout(size: u16, align: u8) -> Layout {
    let align = 1 << (align % 13);
    Layout::from_size_align(bytes(size), align).unwrap_or(Layout::new::<u8>())
}

/// The system: blocks of the heap itself, or of a slab over it.
pub struct BlocksOf<const SLAB: bool> {
    pub(super) heap: Heap,
    pub(super) blocks: BTreeMap<u8, (NonNull<u8>, Layout)>,
}

/// Blocks of the heap itself.
pub type Blocks = BlocksOf<false>;

/// Blocks of a slab: those of its bins, and larger ones.
pub type Slabs = BlocksOf<true>;

impl<const SLAB: bool> BlocksOf<SLAB> {
    /// What is in a block.
    fn bytes(&self, block: NonNull<u8>, layout: Layout) -> Vec<u8> {
        // SAFETY: `blocks` holds live blocks with their layouts, and every byte of one is written
        // before it is put there.
        unsafe { std::slice::from_raw_parts(block.as_ptr(), layout.size()) }.to_vec()
    }

    fn fill(start: NonNull<u8>, from: usize, to: usize, with: u8) {
        if from < to {
            // SAFETY: called for live blocks that are `to` bytes long.
            unsafe { start.add(from).write_bytes(with, to - from) };
        }
    }

    fn resize(&mut self, at: u8, size: usize, zeroed: bool) -> Result<bool, Refused> {
        let Some((block, old)) = self.blocks.get(&at).copied() else { return Ok(false) };
        let new = Layout::from_size_align(size, old.align()).map_err(|_| Refused)?;
        // SAFETY: the block is live and `old` is its layout: both are in `blocks`.
        let fresh = unsafe {
            if zeroed {
                self.heap.grow_zeroed(block, old, new)
            } else if size >= old.size() {
                self.heap.grow(block, old, new)
            } else {
                self.heap.shrink(block, old, new)
            }
        }?;
        let fresh = fresh.cast();
        if !zeroed {
            Self::fill(fresh, old.size(), size, FRESH);
        }
        self.blocks.insert(at, (fresh, new));
        Ok(true)
    }
}

impl<const SLAB: bool> Drop for BlocksOf<SLAB> {
    fn drop(&mut self) {
        for (block, layout) in std::mem::take(&mut self.blocks).into_values() {
            // SAFETY: the block is live and this is its layout; it has left `blocks`.
            unsafe { self.heap.free(block, layout) };
        }
    }
}

impl<const SLAB: bool> System for BlocksOf<SLAB> {
    const NAME: &'static str = if SLAB { "slab" } else { "blocks" };

    type Op = Op;
    /// Whether there was something to do.
    type Reply = bool;
    type Error = Refused;
    type Model = Model;

    fn open(heap: &Heap, _: &World<'_>) -> Result<Self, Refused> {
        let heap = if SLAB { slab_over(heap) } else { heap.clone() };
        Ok(BlocksOf { heap, blocks: BTreeMap::new() })
    }

    fn apply(&mut self, op: &Op, _: &World<'_>) -> Result<bool, Refused> {
        match *op {
            Op::Alloc { place: at, size, align, zeroed } => {
                let (at, layout) = (place(at), layout(size, align));
                if self.blocks.contains_key(&at) {
                    return Ok(false);
                }
                let block =
                    if zeroed { self.heap.alloc_zeroed(layout) } else { self.heap.alloc(layout) };
                let block = block?.cast();
                if !zeroed {
                    Self::fill(block, 0, layout.size(), FRESH);
                }
                self.blocks.insert(at, (block, layout));
                Ok(true)
            }
            Op::Resize { place: at, size } => self.resize(place(at), bytes(size), false),
            Op::GrowZeroed { place: at, by } => {
                let present = self.blocks.get(&place(at)).map_or(0, |(_, layout)| layout.size());
                self.resize(place(at), present + usize::from(by), true)
            }
            Op::Fill { place: at, with } => {
                let block = self.blocks.get(&place(at)).copied();
                if let Some((block, layout)) = block {
                    Self::fill(block, 0, layout.size(), with);
                }
                Ok(block.is_some())
            }
            Op::Free { place: at } => {
                let block = self.blocks.remove(&place(at));
                if let Some((block, layout)) = block {
                    // SAFETY: the block is live and this is its layout; it has left `blocks`.
                    unsafe { self.heap.free(block, layout) };
                }
                Ok(block.is_some())
            }
        }
    }

    fn is_oom(_: &Refused) -> bool {
        true
    }

    fn snapshot(&self) -> Model {
        let content = |(at, (block, layout)): (&u8, &(NonNull<u8>, Layout))| {
            (*at, Content { align: layout.align(), bytes: self.bytes(*block, *layout) })
        };
        let live = if SLAB { 0 } else { self.heap.live_bytes() };
        Model { blocks: self.blocks.iter().map(content).collect(), live }
    }

    fn model(model: &mut Model, op: &Op, _: &World<'_>) -> impl Debug {
        let done = match *op {
            Op::Alloc { place: at, size, align, zeroed } => {
                let layout = layout(size, align);
                let fill = if zeroed { 0 } else { FRESH };
                let is_free = !model.blocks.contains_key(&place(at));
                if is_free {
                    let bytes = vec![fill; layout.size()];
                    model.blocks.insert(place(at), Content { align: layout.align(), bytes });
                }
                is_free
            }
            Op::Resize { place: at, size } => change(model, at, |bytes| {
                bytes.resize(self::bytes(size), FRESH);
            }),
            Op::GrowZeroed { place: at, by } => change(model, at, |bytes| {
                bytes.resize(bytes.len() + usize::from(by), 0);
            }),
            Op::Fill { place: at, with } => change(model, at, |bytes| bytes.fill(with)),
            Op::Free { place: at } => model.blocks.remove(&place(at)).is_some(),
        };
        if !SLAB {
            model.live = model.blocks.values().map(|content| content.bytes.len()).sum();
        }
        done
    }
}

fn change(model: &mut Model, at: u8, change: impl FnOnce(&mut Vec<u8>)) -> bool {
    let content = model.blocks.get_mut(&place(at));
    content.map(|content| change(&mut content.bytes)).is_some()
}
