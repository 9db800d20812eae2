//! How a run's state turns what it sees into evidence: it shows the detectors what they need, and
//! keeps what they say. Cold, all of it: a run without a bug never comes here.

use crate::detect::block::BlockTable;
use std::alloc::Layout;

use crate::detect;
use crate::detect::block::BadFree;
use crate::detect::block::Block;
use crate::detect::block::Damage;
use crate::heap::ledger::RecordSlot;
use crate::heap::state::{ForeignCall, State};
use crate::report::evidence::{BlockInfo, Evidence, Role};
use crate::trace::{End, Op};

/// Findings kept of one run; more than these share a root cause with one of them.
const EVIDENCE_MAX: usize = 64;

impl State {
    /// Looks at a new block: does it lie where another one does, is the budget kept?
    #[cold]
    #[inline(never)]
    pub(crate) fn look(
        &mut self,
        address: usize,
        heap: u16,
        layout: Layout,
        number: u64,
        twin: Option<u64>,
    ) {
        if let Some(other) = twin {
            let subject = self.subject(address, heap, layout, number);
            self.accuse(detect::overlapping(other, subject, self.events));
        }
        let Some(budget) = self.options.budget.filter(|_| !self.over_budget) else { return };
        let subject = self.subject(address, heap, layout, number);
        if let Some(evidence) = detect::over_budget(self.live, budget, subject, self.events) {
            // Once over, every request would say it again.
            self.over_budget = true;
            self.accuse(evidence);
        }
    }

    pub(crate) fn subject(
        &self,
        address: usize,
        heap: u16,
        layout: Layout,
        number: u64,
    ) -> BlockInfo {
        let (size, align) = (layout.size(), layout.align());
        detect::block::subject(
            &self.heaps,
            &Block { address, heap, size, align, number, tainted: false },
        )
    }

    /// Keeps evidence, if its detector is on.
    pub(crate) fn accuse(&mut self, evidence: Evidence) {
        if !self.options.detects(evidence.kind) {
            return;
        }
        if let Some(sink) = &self.sink {
            sink.evidence(&evidence);
        }
        if self.evidence.len() < EVIDENCE_MAX {
            self.evidence.push(evidence);
        }
    }

    /// A call whose block does not fit: finds a live block that it is right for all the same (a
    /// declared alias, a size that stands in the side table, one that has its finding already),
    /// or says what is wrong.
    #[cold]
    #[inline(never)]
    pub(crate) fn settle(
        &mut self,
        address: usize,
        layout: Layout,
        heap: u16,
        op: Op,
    ) -> Option<RecordSlot> {
        let family = self.heaps[usize::from(heap)].family;
        let of_family = |id: &u16| self.heaps[usize::from(*id)].family == family;
        let owner = (0..self.heaps.len() as u16)
            .filter(of_family)
            .find(|id| self.ledger.find(address, *id).is_some())
            .unwrap_or(heap);
        if let Some(slot) = self.ledger.find(address, owner) {
            let block = self.ledger.block(slot);
            if (block.size, block.align) == (layout.size(), layout.align()) {
                return Some(slot);
            }
            if block.tainted {
                self.note(op, layout, heap, End::Refused, 0);
                return None;
            }
        }
        self.note(op, layout, heap, End::Refused, 0);
        let inner = self.ledger.owners(address);
        if inner
            .first()
            .is_some_and(|block| block.tainted && (block.address == address || block.heap == owner))
        {
            return None;
        }
        let evidence = detect::bad_free(&BadFree {
            blocks: &self.ledger,
            heaps: &self.heaps,
            address,
            layout,
            heap: owner,
            event: self.events,
            role: if op == Op::Free { Role::Freed } else { Role::Requested },
        });
        // One root finding per block: it stays as it is, and is no leak as well.
        let named = evidence.block.as_ref().map(|block| block.number);
        let hit = inner.into_iter().find(|b| Some(b.number) == named);
        if let Some(slot) = hit.and_then(|block| self.ledger.find(block.address, block.heap)) {
            self.ledger.taint(slot);
        }
        self.accuse(evidence);
        None
    }

    /// Judges the guards of a live or just freed block.
    #[inline]
    pub(crate) fn judge(&mut self, damage: Damage, block: &Block, noticed: Option<u64>) {
        if damage != Damage::default() {
            self.accuse_damage(damage, block, noticed);
        }
    }

    #[cold]
    #[inline(never)]
    fn accuse_damage(&mut self, damage: Damage, block: &Block, noticed: Option<u64>) {
        let subject = detect::block::subject(&self.heaps, block);
        for evidence in [
            detect::overflow(damage, &subject, noticed),
            detect::underflow(damage, &subject, noticed),
        ]
        .into_iter()
        .flatten()
        {
            self.accuse(evidence);
        }
        if let Some(slot) = self.ledger.find(block.address, block.heap) {
            self.ledger.taint(slot);
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn accuse_written(&mut self, offset: Option<usize>, block: &Block, freed: u64) {
        let subject = detect::block::subject(&self.heaps, block);
        if let Some(evidence) = detect::use_after_free(offset, &subject, freed) {
            self.accuse(evidence);
        }
    }

    /// Accuses every block that is still live and has no finding yet.
    pub(crate) fn accuse_leaks(&mut self) {
        for block in self.ledger.live() {
            if !block.tainted {
                self.accuse_leak(&block);
            }
        }
    }

    pub(crate) fn accuse_leak(&mut self, block: &Block) {
        let subject = detect::block::subject(&self.heaps, block);
        self.accuse(detect::leak(subject));
    }

    pub(crate) fn accuse_foreign(&mut self, foreign: &ForeignCall, call: u64) {
        let name = self.heaps[usize::from(foreign.heap)].name;
        let slot = self.ledger.find(foreign.address, foreign.heap);
        let block = slot.map(|slot| self.ledger.block(slot));
        let subject = block.map(|block| detect::block::subject(&self.heaps, &block));
        self.accuse(detect::wrong_thread(foreign.op, foreign.layout, name, subject, call));
        if let Some(slot) = slot {
            self.ledger.taint(slot);
        }
    }
}
