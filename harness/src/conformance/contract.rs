//! Runs one sequence on one port, and compares the port with a naive model of its contract. Everything
//! that the port returns is checked before it is relied on.
#![allow(unsafe_code)]

use std::alloc::Layout;

use crate::adapters::region_memory::{HandedRegion, outside};
use crate::conformance::call;
use crate::conformance::call::{BlockAddress, Call, CallFn, CallResult};
use crate::conformance::clause::{Breach, Clause, Function, Rules, Tally};
use crate::conformance::model::{ModelBlock, NAMELESS, PortModel, display_name};
use crate::conformance::operation::{ExhaustOrder, Operation, SequenceStep, SizeRequest};
use crate::report::format::{count, thousands};

/// Steps between two checks of all live blocks, unless the rules are strict.
const CHECK_INTERVAL: usize = 32;
/// A churn: rounds before the port's bytes are read for the first time, rounds after that, and blocks
/// of each round.
const WARM_UP_ROUNDS: usize = 4;
const ROUNDS: usize = 28;
const BLOCKS_PER_ROUND: u32 = 16;

type CheckResult<T> = Result<T, (Clause, String)>;

/// A sequence while it is run.
struct SequenceRun<'a, 'b> {
    call: &'a mut CallFn<'b>,
    rules: Rules,
    /// The regions that the port was given, if they are known.
    regions: &'a [HandedRegion],
    model: PortModel,
    /// The tag of the last block.
    tag: u64,
    tally: Tally,
    /// The thread or clone of the present step.
    caller: u8,
    /// The function that was called last.
    last: Function,
}

/// Runs a sequence, up to its first breach. `regions` are those that the port was given, and `tick` is
/// called before each step.
pub(crate) fn run(
    call: &mut CallFn<'_>,
    rules: Rules,
    regions: &[HandedRegion],
    steps: &[SequenceStep],
    tick: &mut dyn FnMut(),
) -> (Option<Breach>, Tally) {
    let mut run = SequenceRun {
        call,
        rules,
        regions,
        model: PortModel::default(),
        tag: 0,
        tally: Tally { guarded: !regions.is_empty(), ..Tally::default() },
        caller: 0,
        last: Function::Make,
    };
    let breach = |run: &SequenceRun<'_, '_>, (clause, note), step| {
        (Some(Breach { clause, function: run.last, note, step, is_death: false }), run.tally)
    };
    if let Err(broken) = run.check_regions() {
        return breach(&run, broken, 0);
    }
    for (nth, step) in steps.iter().enumerate() {
        tick();
        run.caller = step.caller;
        let is_last = nth + 1 == steps.len();
        let checks_all = rules.strict || is_last || nth % CHECK_INTERVAL == CHECK_INTERVAL - 1;
        let result = run.step(&step.operation);
        let result = result.and_then(|()| if checks_all { run.check_all() } else { Ok(()) });
        if let Err(broken) = result {
            return breach(&run, broken, nth);
        }
    }
    (None, run.tally)
}

impl SequenceRun<'_, '_> {
    fn call(&mut self, call: Call) -> CheckResult<CallResult> {
        self.last = call.function();
        match (self.call)(self.caller, call) {
            CallResult::Panicked(text) => {
                let line = text.lines().next().unwrap_or("").to_owned();
                Err((Clause::Unwinds, format!("it panicked: {line}")))
            }
            result if self.rules.strict => self.check_regions().map(|()| result),
            result => Ok(result),
        }
    }

    fn step(&mut self, operation: &Operation) -> CheckResult<()> {
        match *operation {
            Operation::Alloc { name, request, zeroed } => {
                self.alloc(name, request, zeroed).map(|_| ())
            }
            Operation::Resize { name, request, grows, whole } => {
                self.resize(name, request, grows, whole)
            }
            Operation::Free { name, whole } => self.free(name, whole),
            Operation::Exhaust { request, order } => self.exhaust(request, order),
            Operation::Churn { request } => self.churn(request),
            Operation::Reclaim => self.reclaim().map(|_| ()),
        }
    }

    /// Requests a block, and returns whether the port granted it.
    fn alloc(&mut self, name: u32, request: SizeRequest, zeroed: bool) -> CheckResult<bool> {
        let Some(layout) = request.layout() else { return Ok(false) };
        self.tally.requests += 1;
        let result = self.call(if zeroed { Call::Zeroed(layout) } else { Call::Alloc(layout) })?;
        let CallResult::Block(address, length) = result else {
            return self.check_refusal(layout).map(|()| false);
        };
        self.check_block(name, address, length, layout)?;
        if zeroed {
            // SAFETY: `check_block` found the block aligned, long enough and disjoint from all others, so
            // its `length` bytes are readable if the port keeps its promise.
            if let Some(at) = unsafe { call::nonzero(address, length) } {
                let of = count(length as u64, "byte");
                let note = format!("byte {at} of {} is not zero, of {of}", display_name(name));
                return Err((Clause::Zeroed, note));
            }
        }
        self.keep(name, address, length, layout);
        Ok(true)
    }

    /// Checks a refusal: an empty request may be refused only if one byte is refused as well.
    fn check_refusal(&mut self, layout: Layout) -> CheckResult<()> {
        let Ok(one) = Layout::from_size_align(1, layout.align()) else { return Ok(()) };
        if layout.size() > 0 {
            return Ok(());
        }
        if let CallResult::Block(address, length) = self.call(Call::Alloc(one))? {
            self.check_block(NAMELESS, address, length, one)?;
            let note = format!(
                "zero bytes (align {}) were refused, and one byte was granted right after",
                layout.align()
            );
            return Err((Clause::Empty, note));
        }
        Ok(())
    }

    /// Checks a granted block against the request and against all live blocks.
    fn check_block(
        &mut self,
        name: u32,
        address: BlockAddress,
        length: usize,
        layout: Layout,
    ) -> CheckResult<()> {
        let start = address.addr();
        let name = || display_name(name);
        let asked = || count(layout.size() as u64, "byte");
        if !start.is_multiple_of(layout.align()) {
            let note = format!("{} is not aligned to {}", name(), thousands(layout.align() as u64));
            return Err((Clause::Aligned, note));
        }
        // No machine has half of its address space free.
        let has_room = usize::BITS < 64 || layout.size() <= isize::MAX as usize / 2;
        let end = start.checked_add(length.max(layout.size())).filter(|_| has_room);
        let Some(end) = end else {
            let what = "were granted, more than there are addresses";
            return Err((Clause::Possible, format!("{}: {} {what}", name(), asked())));
        };
        if length < layout.size() {
            let is = count(length as u64, "byte");
            let asked = format!("and {} were asked for", asked());
            return Err((Clause::LongEnough, format!("{} is {is} long, {asked}", name())));
        }
        if let Some(place) = outside(self.regions, start, end).filter(|_| length > 0) {
            return Err((Clause::Outside, format!("{} {place}", name())));
        }
        if let Some(other) = self.model.overlapping(start, end).filter(|_| length > 0) {
            let note = format!("{} overlaps {}, which is alive", name(), display_name(other));
            return Err((Clause::Overlap, note));
        }
        let bytes = self.model.bytes() + length;
        if let Some(fixed) = self.rules.fixed.filter(|fixed| bytes > *fixed) {
            let note = format!(
                "with {}, {} are alive, of a region of {}",
                name(),
                count(bytes as u64, "byte"),
                thousands(fixed as u64)
            );
            return Err((Clause::Beyond, note));
        }
        Ok(())
    }

    /// Adds a checked block to the model, and fills it.
    fn keep(&mut self, name: u32, address: BlockAddress, length: usize, layout: Layout) {
        self.tag += 1;
        self.tally.granted += 1;
        // SAFETY: `check_block` found the block long enough and disjoint from all others of the model, so
        // its `length` bytes are the caller's if the port keeps its promise.
        unsafe { call::fill(address, length, self.tag) }
        self.model.add(name, ModelBlock { address, length, layout, tag: self.tag });
        self.tally.peak = self.tally.peak.max(self.model.bytes() as u64);
    }

    /// Checks that a live block still has the bytes that were written.
    fn check_contents(&self, name: u32, block: &ModelBlock) -> CheckResult<()> {
        // SAFETY: the block is in the model, so it is live and `keep` filled it with its tag.
        match unsafe { call::changed(block.address, block.length, block.length, block.tag) } {
            None => Ok(()),
            Some(at) => {
                let note =
                    format!("byte {at} of {} changed while it was alive", display_name(name));
                Err((Clause::Untouched, note))
            }
        }
    }

    /// Checks that nothing was written before or behind the regions of the port.
    fn check_regions(&self) -> CheckResult<()> {
        let place = self.regions.iter().find_map(HandedRegion::written_outside);
        place.map_or(Ok(()), |place| Err((Clause::Outside, format!("{place} was written to"))))
    }

    fn check_all(&self) -> CheckResult<()> {
        self.check_regions()?;
        self.model.blocks().try_for_each(|(name, block)| self.check_contents(name, block))
    }

    fn resize(
        &mut self,
        name: u32,
        request: SizeRequest,
        grows: bool,
        whole: bool,
    ) -> CheckResult<()> {
        let Some(block) = self.model.get(name) else { return Ok(()) };
        let Some(asked) = request.layout() else { return Ok(()) };
        let old = block.fitting(whole);
        let size = if grows { asked.size().max(old.size()) } else { asked.size().min(old.size()) };
        let Ok(new) = Layout::from_size_align(size, asked.align()) else { return Ok(()) };
        self.check_contents(name, &block)?;
        self.tally.requests += 1;
        let call = if grows { Call::Grow } else { Call::Shrink };
        let CallResult::Block(address, length) = self.call(call(block.address, old, new))? else {
            // SAFETY: the call was refused, so the old block is still live, and `keep` filled it.
            let at = unsafe { call::changed(block.address, block.length, block.length, block.tag) };
            return at.map_or(Ok(()), |at| {
                let (name, verb) = (display_name(name), self.last.name());
                let note = format!("byte {at} of {name} changed, and the {verb} was refused");
                Err((Clause::Unaltered, note))
            });
        };
        self.model.remove(name);
        self.check_block(name, address, length, new)?;
        let common = old.size().min(new.size());
        // SAFETY: `check_block` found the new block at least `new.size()` long, and `common` is no more.
        if let Some(at) = unsafe { call::changed(address, block.length, common, block.tag) } {
            let (from, to) = (thousands(old.size() as u64), count(new.size() as u64, "byte"));
            let name = display_name(name);
            let note = format!("byte {at} of {name} is lost on the way from {from} to {to}");
            return Err((Clause::Kept, note));
        }
        self.keep(name, address, length, new);
        Ok(())
    }

    fn free(&mut self, name: u32, whole: bool) -> CheckResult<()> {
        let Some(block) = self.model.get(name) else { return Ok(()) };
        self.check_contents(name, &block)?;
        self.model.remove(name);
        if self.rules.frees {
            self.call(Call::Free(block.address, block.fitting(whole)))?;
        }
        Ok(())
    }

    /// Frees every block at once, and returns whether the port can.
    fn reclaim(&mut self) -> CheckResult<bool> {
        self.check_all()?;
        let caller = std::mem::take(&mut self.caller);
        let result = self.call(Call::Reclaim)?;
        self.caller = caller;
        let is_done = matches!(result, CallResult::Reclaimed(true));
        if is_done {
            self.model.clear();
        }
        Ok(is_done)
    }

    /// Allocates blocks until the port refuses one, and returns their number.
    fn fill_up(&mut self, request: SizeRequest) -> CheckResult<u32> {
        let size = request.layout().map_or(1, |layout| layout.size().max(1));
        let most = self.rules.fixed.unwrap_or(0) / size + 1;
        let mut granted = 0;
        while (granted as usize) < most && self.alloc(NAMELESS + granted, request, false)? {
            granted += 1;
        }
        Ok(granted)
    }

    /// Frees the blocks of a step, and returns whether the port can.
    fn empty(&mut self, count: u32, order: ExhaustOrder) -> CheckResult<bool> {
        if !self.rules.frees {
            return self.reclaim();
        }
        let names: Vec<u32> = (NAMELESS..NAMELESS + count).collect();
        order.arrange(names).into_iter().try_for_each(|name| self.free(name, false))?;
        Ok(true)
    }

    /// Grows the last block of a full port, which has no room behind it, and shrinks it again.
    fn grow_and_shrink(&mut self, last: u32, request: SizeRequest) -> CheckResult<()> {
        let Some(layout) = request.layout() else { return Ok(()) };
        for more in [layout.size(), 1] {
            let larger = SizeRequest::plain(layout.size().saturating_add(more), layout.align());
            self.resize(last, larger, true, false)?;
            self.resize(last, request, false, false)?;
        }
        Ok(())
    }

    /// Fills the port until it refuses, frees one block, and then all: each time the same blocks have to
    /// fit again. A grow that the full port refuses must alter nothing.
    fn exhaust(&mut self, request: SizeRequest, order: ExhaustOrder) -> CheckResult<()> {
        let first = self.fill_up(request)?;
        if first > 0 {
            self.grow_and_shrink(NAMELESS + first - 1, request)?;
        }
        let size = || format!("{request}").replace(" align ", " bytes, align ");
        if first > 0 && self.rules.frees {
            let whole = SizeRequest::plain(self.rules.fixed.unwrap_or(0), request.align);
            self.resize(NAMELESS, whole, true, false)?;
            let last = NAMELESS + first - 1;
            let is_as_asked = |name: u32| {
                self.model.get(name).is_some_and(|block| Some(block.layout) == request.layout())
            };
            if is_as_asked(NAMELESS) && is_as_asked(last) {
                self.free(last, false)?;
                if !self.alloc(last, request, false)? {
                    let note =
                        format!("full: a block was freed, and the same refused ({})", size());
                    return Err((Clause::GivenBack, note));
                }
            }
        }
        if !self.empty(first, order)? {
            return Ok(());
        }
        let again = self.fill_up(request)?;
        self.empty(again, order)?;
        if again < first {
            let note = format!(
                "{} fitted at first ({}), and {} after all were freed",
                count(u64::from(first), "block"),
                size(),
                thousands(u64::from(again))
            );
            return Err((Clause::GivenBack, note));
        }
        Ok(())
    }

    /// How many bytes the port holds, if the caller of the suite can say so.
    fn held(&mut self) -> CheckResult<Option<usize>> {
        let caller = std::mem::take(&mut self.caller);
        let result = self.call(Call::Held)?;
        self.caller = caller;
        Ok(if let CallResult::Held(bytes) = result { Some(bytes) } else { None })
    }

    /// Repeats the same requests and frees. The bytes that the port holds must not grow.
    fn churn(&mut self, request: SizeRequest) -> CheckResult<()> {
        let round = |run: &mut Self| {
            for name in 0..BLOCKS_PER_ROUND {
                run.alloc(NAMELESS + name, request, false)?;
            }
            run.empty(BLOCKS_PER_ROUND, ExhaustOrder::Fifo)
        };
        for _ in 0..WARM_UP_ROUNDS {
            if !round(self)? {
                return Ok(());
            }
        }
        let first = self.held()?;
        for _ in 0..ROUNDS {
            round(self)?;
        }
        let (Some(first), Some(last)) = (first, self.held()?) else { return Ok(()) };
        if last <= first {
            return Ok(());
        }
        let note = format!(
            "it holds {} after {WARM_UP_ROUNDS} rounds of the same, and {} after {}",
            count(first as u64, "byte"),
            thousands(last as u64),
            WARM_UP_ROUNDS + ROUNDS
        );
        Err((Clause::GivenBack, note))
    }
}
