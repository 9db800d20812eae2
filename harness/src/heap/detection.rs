//! How a run's state turns what it sees into evidence: it shows the detectors what they need, and
//! keeps what they find. All of it is cold: a run without a bug never gets here.
//!
//! It is an `impl State` apart from `state.rs` because both halves call each other: recording a new
//! block may find one, and finding one records an event.

use std::alloc::Layout;

use crate::detect;
use crate::detect::block::{BadFree, Block, BlockTable, Damage};
use crate::heap::ledger::RecordSlot;
use crate::heap::state::{ForeignCall, State};
use crate::heap::unknown_frees::UnknownFree;
use crate::printable;
use crate::report::evidence::{BlockInfo, Evidence, Moment, Role};
use crate::report::format::count;
use crate::report::kind::Kind;
use crate::trace::{End, Op};

/// The largest number of findings kept of one run. Any more most likely share a root cause with
/// one of them.
const EVIDENCE_MAX: usize = 64;

impl State {
    /// Checks a new block: is its address another live block's (`twin`), and is the budget kept?
    #[cold]
    #[inline(never)]
    pub(crate) fn check_new_block(
        &mut self,
        address: usize,
        heap: u16,
        layout: Layout,
        number: u64,
        twin: Option<u64>,
    ) {
        if let Some(other) = twin {
            let subject = self.block_info(address, heap, layout, number);
            self.accuse(detect::overlapping(other, subject, self.events));
        }
        let Some(budget) = self.options.budget.filter(|_| !self.over_budget) else { return };
        let subject = self.block_info(address, heap, layout, number);
        if let Some(evidence) = detect::over_budget(self.live, budget, subject, self.events) {
            // Reported once per run: every later request would be over the budget as well.
            self.over_budget = true;
            self.accuse(evidence);
        }
    }

    pub(crate) fn block_info(
        &self,
        address: usize,
        heap: u16,
        layout: Layout,
        number: u64,
    ) -> BlockInfo {
        let (size, align) = (layout.size(), layout.align());
        self.info_of(&Block { address, heap, size, align, number, tainted: false })
    }

    fn info_of(&self, block: &Block) -> BlockInfo {
        detect::block::subject(self.heaps.infos(), block)
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

    /// For a free or resize that fits no block at the first look. Returns the live block that it is
    /// right for after all (of an alias, or with its size in the side table). Otherwise
    /// reports what is wrong, unless the block has its finding already.
    #[cold]
    #[inline(never)]
    pub(crate) fn find_or_report(
        &mut self,
        address: usize,
        layout: Layout,
        heap: u16,
        op: Op,
    ) -> Option<RecordSlot> {
        let owner = self
            .heaps
            .family_of(heap)
            .find(|id| self.ledger.find(address, *id).is_some())
            .unwrap_or(heap);
        if let Some(slot) = self.ledger.find(address, owner) {
            let block = self.ledger.block(slot);
            if (block.size, block.align) == (layout.size(), layout.align()) {
                return Some(slot);
            }
            if block.tainted {
                self.record_event(op, layout, heap, End::Refused, 0);
                self.accuse_again(block.number);
                return None;
            }
        }
        self.record_event(op, layout, heap, End::Refused, 0);
        let owners = self.ledger.owners(address);
        let owns = |block: &&Block| block.address == address || block.heap == owner;
        if let Some(block) = owners.first().filter(owns).filter(|block| block.tainted) {
            self.accuse_again(block.number);
            return None;
        }
        let evidence = detect::bad_free(&BadFree {
            blocks: &self.ledger,
            heaps: self.heaps.infos(),
            address,
            layout,
            heap: owner,
            event: self.events,
            role: if op == Op::Free { Role::Freed } else { Role::Requested },
        });
        // One root finding per block: the block stays live and is not reported as a leak.
        let number = evidence.block.as_ref().map(|block| block.number);
        let named = owners.into_iter().find(|block| Some(block.number) == number);
        if let Some(slot) = named.and_then(|block| self.ledger.find(block.address, block.heap)) {
            self.ledger.taint(slot);
        }
        self.accuse(evidence);
        None
    }

    /// Counts one more bad free of a block that has its finding: it is the same root cause, wherever
    /// it comes from.
    fn accuse_again(&mut self, number: u64) {
        let is_same = |evidence: &&Evidence| {
            let is_free = [Kind::InvalidFree, Kind::CrossAllocatorFree, Kind::LayoutMismatch]
                .contains(&evidence.kind);
            is_free && evidence.block.as_ref().is_some_and(|block| block.number == number)
        };
        if let Some(again) = self.evidence.iter().find(is_same).cloned() {
            self.accuse(again);
        }
    }

    /// Reports a call on an address that can be no block's.
    #[cold]
    pub(crate) fn report_wild(&mut self, op: Op, layout: Layout, reason: &str) {
        self.record_event(op, layout, 0, End::Refused, 0);
        let role = if op == Op::Free { Role::Freed } else { Role::Requested };
        self.accuse(detect::wild_free(role, self.events, layout, reason));
    }

    /// A free of a block that was not allocated in the run. Returns whether that was all: the block
    /// is kept, or it was freed before and is reported.
    #[cold]
    pub(crate) fn free_unknown(&mut self, address: usize, layout: Layout) -> bool {
        match self.unknown_frees.free(address, layout) {
            UnknownFree::Passed => return false,
            UnknownFree::Kept(nth) => {
                let moment = Moment::UnknownFree(nth);
                let stack = self.capture.as_mut().and_then(|capture| capture.see(moment));
                if let (Some(stack), Some(sink)) = (stack, &self.sink) {
                    sink.taken(moment, stack);
                }
            }
            UnknownFree::Again(first) => {
                self.record_event(Op::Free, layout, 0, End::Refused, 0);
                self.accuse(detect::double_free_of_unknown(first, self.events, layout));
            }
        }
        true
    }

    /// Reports damaged guards of a block that is live or was just freed. `freed` is the event of
    /// the free.
    #[inline]
    pub(crate) fn check_guards(&mut self, damage: Damage, block: &Block, freed: Option<u64>) {
        if damage != Damage::default() {
            self.report_damage(damage, block, freed);
        }
    }

    #[cold]
    #[inline(never)]
    fn report_damage(&mut self, damage: Damage, block: &Block, freed: Option<u64>) {
        let subject = self.info_of(block);
        for evidence in
            [detect::overflow(damage, &subject, freed), detect::underflow(damage, &subject, freed)]
                .into_iter()
                .flatten()
        {
            self.accuse(evidence);
        }
        if let Some(slot) = self.ledger.find(block.address, block.heap) {
            self.ledger.taint(slot);
        }
    }

    /// Reports a write into a freed block, at this offset.
    #[cold]
    #[inline(never)]
    pub(crate) fn report_write_after_free(
        &mut self,
        offset: Option<usize>,
        block: &Block,
        freed: u64,
    ) {
        if let Some(evidence) = detect::use_after_free(offset, &self.info_of(block), freed) {
            self.accuse(evidence);
        }
    }

    /// Reports every block that is still live and has no finding yet.
    pub(crate) fn report_leaks(&mut self) {
        for block in self.ledger.live() {
            if !block.tainted {
                self.report_leak(&block);
            }
        }
    }

    pub(crate) fn report_leak(&mut self, block: &Block) {
        self.accuse(detect::leak(self.info_of(block)));
    }

    /// Reports a block that nothing leads to, with the number and the bytes of the blocks that only it
    /// leads to.
    pub(crate) fn report_lost(&mut self, block: &Block, (blocks, bytes): (u64, u64)) {
        let mut evidence = detect::leak(self.info_of(block));
        if blocks > 0 {
            let (blocks, bytes) = (count(blocks, "block"), count(bytes, "byte"));
            evidence = evidence.note(format!("{blocks} more, {bytes}, that only it leads to"));
        }
        self.accuse(evidence);
    }

    /// Reports a parked call of a foreign thread, the `nth` of the run.
    pub(crate) fn report_foreign_call(&mut self, foreign: &ForeignCall, nth: u64) {
        let name = printable::line(self.heaps.name(foreign.heap));
        let slot = self.ledger.find(foreign.address, foreign.heap);
        let block = slot.map(|slot| self.info_of(&self.ledger.block(slot)));
        self.accuse(detect::wrong_thread(foreign.op, foreign.layout, &name, block, nth));
        if let Some(slot) = slot {
            self.ledger.taint(slot);
        }
    }
}
