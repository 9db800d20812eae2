//! The heaps of a run by number: their names, and whose blocks each of them may free.

use crate::detect::block::HeapInfo;
use crate::heap::record::HEAPS_MAX;

/// The heaps of a run, dead ones included: evidence names them.
#[derive(Default)]
pub(crate) struct HeapTable {
    heaps: Vec<HeapInfo>,
    /// Numbers of dead heaps that a new heap of the same name may take over.
    reusable: Vec<u16>,
}

impl HeapTable {
    /// The number of a new heap with this name. If more than [`HEAPS_MAX`] heaps are alive at once,
    /// the last ones share a number.
    pub(crate) fn add(&mut self, name: &'static str) -> u16 {
        let reused = self.reusable.iter().position(|id| self.name(*id) == name);
        if let Some(place) = reused {
            return self.reusable.swap_remove(place);
        }
        let id = self.heaps.len();
        if id == HEAPS_MAX {
            return id as u16 - 1;
        }
        self.heaps.push(HeapInfo { name, family: id as u16 });
        id as u16
    }

    /// Notes that a heap is dead. A later one of its name takes over its number, unless the dead
    /// one has left live blocks.
    pub(crate) fn remove(&mut self, heap: u16, live: usize) {
        if live == 0 && usize::from(heap) != HEAPS_MAX - 1 {
            self.reusable.push(heap);
        }
    }

    pub(crate) fn infos(&self) -> &[HeapInfo] {
        &self.heaps
    }

    pub(crate) fn name(&self, heap: u16) -> &'static str {
        self.heaps[usize::from(heap)].name
    }

    /// Lets the heaps of both families free each other's blocks.
    pub(crate) fn alias(&mut self, one: u16, other: u16) {
        let (to, from) = (self.family(one), self.family(other));
        for heap in self.heaps.iter_mut().filter(|heap| heap.family == from) {
            heap.family = to;
        }
    }

    /// The heaps whose blocks this one may free, itself included, by number.
    pub(crate) fn family_of(&self, heap: u16) -> impl Iterator<Item = u16> + '_ {
        let family = self.family(heap);
        (0..self.heaps.len() as u16).filter(move |id| self.family(*id) == family)
    }

    fn family(&self, heap: u16) -> u16 {
        self.heaps[usize::from(heap)].family
    }
}
