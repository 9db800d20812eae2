//! One sequence on one port, beside a naive model of what the port promises.
//!
//! The model knows every live block by where it stands and what was written into it. It lives
//! apart from the port's memory and believes nothing that the port says before it was checked.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::collections::BTreeMap;

use crate::conformance::call;
use crate::conformance::call::{BlockAddress, Call, CallResult, Caller};
use crate::conformance::operation::{ExhaustOrder, Operation, SequenceStep, SizeRequest};
use crate::report::format::{count, thousands};

/// What a port promises, or a caller says that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Clause {
    Aligned,
    LongEnough,
    Possible,
    Overlap,
    Beyond,
    Zeroed,
    Kept,
    Unaltered,
    Untouched,
    Empty,
    GivenBack,
    Unwinds,
    Crashes,
    Aborts,
    Exits,
    Hangs,
}

impl Clause {
    pub(crate) const ALL: [Clause; 16] = [
        Clause::Aligned,
        Clause::LongEnough,
        Clause::Possible,
        Clause::Overlap,
        Clause::Beyond,
        Clause::Zeroed,
        Clause::Kept,
        Clause::Unaltered,
        Clause::Untouched,
        Clause::Empty,
        Clause::GivenBack,
        Clause::Unwinds,
        Clause::Crashes,
        Clause::Aborts,
        Clause::Exits,
        Clause::Hangs,
    ];

    /// The promise that is broken.
    pub(crate) fn promise(self) -> &'static str {
        match self {
            Clause::Aligned => "a block is aligned as asked",
            Clause::LongEnough => "a block is at least as long as asked",
            Clause::Possible => "what nobody has is refused",
            Clause::Overlap => "blocks that are alive are disjoint",
            Clause::Beyond => "a fixed region holds no more than it is long",
            Clause::Zeroed => "a zeroed block is zero over its whole returned length",
            Clause::Kept => "a grow or shrink keeps the first min(old, new) bytes",
            Clause::Unaltered => "a refused grow or shrink leaves the old block unaltered",
            Clause::Untouched => "a port keeps out of blocks that are alive",
            Clause::Empty => "a request of zero bytes is legal",
            Clause::GivenBack => "memory that was given back is there again",
            Clause::Unwinds => "nothing unwinds",
            Clause::Crashes | Clause::Aborts | Clause::Exits => "a call comes back",
            Clause::Hangs => "a call comes to an end",
        }
    }
}

/// A promise that was broken, and by which step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) clause: Clause,
    pub(crate) note: String,
    pub(crate) step: usize,
}

/// What a sequence is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Every live block is looked at after every step.
    pub(crate) strict: bool,
    pub(crate) frees: bool,
    pub(crate) fixed: Option<usize>,
}

/// What a trial did, for the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) granted: u64,
    pub(crate) peak: u64,
}

/// A live block.
#[derive(Clone, Copy)]
struct ModelBlock {
    place: BlockAddress,
    length: usize,
    layout: Layout,
    tag: u64,
}

impl ModelBlock {
    /// The layout to hand it in with: as it was asked for, or as long as was answered.
    fn fitting(&self, whole: bool) -> Layout {
        let whole = whole.then(|| Layout::from_size_align(self.length, self.layout.align()).ok());
        whole.flatten().unwrap_or(self.layout)
    }
}

/// Blocks that a step takes for itself are named from here on.
const NAMELESS: u32 = 1 << 31;
/// How often all live blocks are looked at where it isn't after every step.
const LOOK: usize = 32;
/// Rounds before a port's bytes are read for the first time, rounds after that, blocks in each.
const WARM: usize = 4;
const ROUNDS: usize = 28;
const CHURNED: u32 = 16;

type CheckResult<T> = Result<T, (Clause, String)>;

struct SequenceRun<'a, 'b> {
    call: &'a mut Caller<'b>,
    rules: Rules,
    live: BTreeMap<u32, ModelBlock>,
    /// Where blocks stand: begin to end and name. Empty blocks stand nowhere.
    places: BTreeMap<usize, (usize, u32)>,
    bytes: usize,
    tag: u64,
    tally: Tally,
    by: u8,
}

/// How a block is called in a note.
fn called(name: u32) -> String {
    if name >= NAMELESS { "a block of this step".to_owned() } else { format!("a{name}") }
}

/// Runs a sequence to its end or to the first breach. `tick` is called before each step.
pub(crate) fn run(
    call: &mut Caller<'_>,
    rules: Rules,
    steps: &[SequenceStep],
    tick: &mut dyn FnMut(),
) -> (Option<Breach>, Tally) {
    let mut trial = SequenceRun {
        call,
        rules,
        live: BTreeMap::new(),
        places: BTreeMap::new(),
        bytes: 0,
        tag: 0,
        tally: Tally::default(),
        by: 0,
    };
    for (nth, step) in steps.iter().enumerate() {
        tick();
        trial.by = step.by;
        let is_last = nth + 1 == steps.len();
        let looks = rules.strict || is_last || nth % LOOK == LOOK - 1;
        let done = trial.step(&step.act);
        let done = done.and_then(|()| if looks { trial.look() } else { Ok(()) });
        if let Err((clause, note)) = done {
            return (Some(Breach { clause, note, step: nth }), trial.tally);
        }
    }
    (None, trial.tally)
}

impl SequenceRun<'_, '_> {
    fn call(&mut self, call: Call) -> CheckResult<CallResult> {
        match (self.call)(self.by, call) {
            CallResult::Panicked(text) => {
                let line = text.lines().next().unwrap_or("").to_owned();
                Err((Clause::Unwinds, format!("it panicked: {line}")))
            }
            answer => Ok(answer),
        }
    }

    fn step(&mut self, act: &Operation) -> CheckResult<()> {
        match *act {
            Operation::Alloc { name, ask, zeroed } => self.alloc(name, ask, zeroed).map(|_| ()),
            Operation::Resize { name, ask, grows, whole } => self.resize(name, ask, grows, whole),
            Operation::Free { name, whole } => self.free(name, whole),
            Operation::Exhaust { ask, order } => self.exhaust(ask, order),
            Operation::Churn { ask } => self.churn(ask),
            Operation::Reclaim => self.reclaim().map(|_| ()),
        }
    }

    /// Asks for a block. Answers whether there is one.
    fn alloc(&mut self, name: u32, ask: SizeRequest, zeroed: bool) -> CheckResult<bool> {
        let Some(layout) = ask.layout() else { return Ok(false) };
        self.tally.requests += 1;
        let answer = self.call(if zeroed { Call::Zeroed(layout) } else { Call::Alloc(layout) })?;
        let CallResult::Block(place, length) = answer else {
            return self.refused(layout).map(|()| false);
        };
        self.check(name, place, length, layout)?;
        if zeroed {
            // SAFETY: the port says that these bytes are the caller's and zero, and nothing that
            // can be seen from outside speaks against it.
            if let Some(at) = unsafe { call::nonzero(place, length) } {
                let of = count(length as u64, "byte");
                let note = format!("byte {at} of {} is not zero, of {of}", called(name));
                return Err((Clause::Zeroed, note));
            }
        }
        self.keep(name, place, length, layout);
        Ok(true)
    }

    /// An empty request may be refused only where one byte is refused as well.
    fn refused(&mut self, layout: Layout) -> CheckResult<()> {
        let Ok(one) = Layout::from_size_align(1, layout.align()) else { return Ok(()) };
        if layout.size() > 0 {
            return Ok(());
        }
        if let CallResult::Block(place, length) = self.call(Call::Alloc(one))? {
            self.check(NAMELESS, place, length, one)?;
            let note = format!(
                "zero bytes (align {}) were refused, and one byte was granted right after",
                layout.align()
            );
            return Err((Clause::Empty, note));
        }
        Ok(())
    }

    /// Whether what was answered can be what was asked for.
    fn check(
        &mut self,
        name: u32,
        place: BlockAddress,
        length: usize,
        layout: Layout,
    ) -> CheckResult<()> {
        let (start, name) = (place.address(), called(name));
        let asked = count(layout.size() as u64, "byte");
        if !start.is_multiple_of(layout.align()) {
            let note = format!("{name} is not aligned to {}", thousands(layout.align() as u64));
            return Err((Clause::Aligned, note));
        }
        // No machine has half of all addresses to give.
        let has_room = usize::BITS < 64 || layout.size() <= isize::MAX as usize / 2;
        let end = start.checked_add(length.max(layout.size())).filter(|_| has_room);
        let Some(end) = end else {
            let note = format!("{name}: {asked} were granted, and there are not so many");
            return Err((Clause::Possible, note));
        };
        if length < layout.size() {
            let note = format!(
                "{name} is {} long, and {asked} were asked for",
                count(length as u64, "byte")
            );
            return Err((Clause::LongEnough, note));
        }
        // The last block that begins before this one's end is the only one that can reach it:
        // those in the model are disjoint.
        let before = self.places.range(..end).next_back().filter(|_| length > 0);
        if let Some((_, (_, other))) = before.filter(|(_, (its_end, _))| *its_end > start) {
            let note = format!("{name} overlaps {}, which is alive", called(*other));
            return Err((Clause::Overlap, note));
        }
        let bytes = self.bytes + length;
        if let Some(fixed) = self.rules.fixed.filter(|fixed| bytes > *fixed) {
            let note = format!(
                "with {name}, {} are alive, of a region of {}",
                count(bytes as u64, "byte"),
                thousands(fixed as u64)
            );
            return Err((Clause::Beyond, note));
        }
        Ok(())
    }

    /// Takes a block that was checked into the model, and writes it full.
    fn keep(&mut self, name: u32, place: BlockAddress, length: usize, layout: Layout) {
        self.tag += 1;
        self.tally.granted += 1;
        // SAFETY: the port says so, and the block is disjoint from all others of the model.
        unsafe { call::fill(place, length, self.tag) }
        if length > 0 {
            self.places.insert(place.address(), (place.address() + length, name));
        }
        self.bytes += length;
        self.tally.peak = self.tally.peak.max(self.bytes as u64);
        self.live.insert(name, ModelBlock { place, length, layout, tag: self.tag });
    }

    fn forget(&mut self, name: u32) -> Option<ModelBlock> {
        let block = self.live.remove(&name)?;
        if block.length > 0 {
            self.places.remove(&block.place.address());
        }
        self.bytes -= block.length;
        Some(block)
    }

    /// Whether a live block is as it was written.
    fn intact(&self, name: u32, block: &ModelBlock) -> CheckResult<()> {
        // SAFETY: the block is alive and was filled with its tag.
        match unsafe { call::changed(block.place, block.length, block.length, block.tag) } {
            None => Ok(()),
            Some(at) => {
                let note = format!("byte {at} of {} changed while it was alive", called(name));
                Err((Clause::Untouched, note))
            }
        }
    }

    fn look(&self) -> CheckResult<()> {
        self.live.iter().try_for_each(|(name, block)| self.intact(*name, block))
    }

    fn resize(&mut self, name: u32, ask: SizeRequest, grows: bool, whole: bool) -> CheckResult<()> {
        let Some(block) = self.live.get(&name).copied() else { return Ok(()) };
        let Some(asked) = ask.layout() else { return Ok(()) };
        let old = block.fitting(whole);
        let size = if grows { asked.size().max(old.size()) } else { asked.size().min(old.size()) };
        let Ok(new) = Layout::from_size_align(size, asked.align()) else { return Ok(()) };
        self.intact(name, &block)?;
        self.tally.requests += 1;
        let (verb, call) = if grows {
            ("grow", Call::Grow(block.place, old, new))
        } else {
            ("shrink", Call::Shrink(block.place, old, new))
        };
        let CallResult::Block(place, length) = self.call(call)? else {
            // SAFETY: the old block is still alive, as the port promises, and as it was filled.
            let at = unsafe { call::changed(block.place, block.length, block.length, block.tag) };
            return at.map_or(Ok(()), |at| {
                let note =
                    format!("byte {at} of {} changed, and the {verb} was refused", called(name));
                Err((Clause::Unaltered, note))
            });
        };
        self.forget(name);
        self.check(name, place, length, new)?;
        let common = old.size().min(new.size());
        // SAFETY: the port says that so many bytes are there, and that they are the old ones.
        if let Some(at) = unsafe { call::changed(place, block.length, common, block.tag) } {
            let (from, to) = (thousands(old.size() as u64), count(new.size() as u64, "byte"));
            let note =
                format!("byte {at} of {} is lost on the way from {from} to {to}", called(name));
            return Err((Clause::Kept, note));
        }
        self.keep(name, place, length, new);
        Ok(())
    }

    fn free(&mut self, name: u32, whole: bool) -> CheckResult<()> {
        let Some(block) = self.live.get(&name).copied() else { return Ok(()) };
        self.intact(name, &block)?;
        self.forget(name);
        if self.rules.frees {
            self.call(Call::Free(block.place, block.fitting(whole)))?;
        }
        Ok(())
    }

    /// Gives every block back at once. Answers whether the port can.
    fn reclaim(&mut self) -> CheckResult<bool> {
        self.look()?;
        let by = std::mem::take(&mut self.by);
        let answer = self.call(Call::Reclaim)?;
        self.by = by;
        let is_done = matches!(answer, CallResult::Reclaimed(true));
        if is_done {
            self.live.clear();
            self.places.clear();
            self.bytes = 0;
        }
        Ok(is_done)
    }

    /// Takes as many blocks as there are. Answers how many that is.
    fn fill_up(&mut self, ask: SizeRequest) -> CheckResult<u32> {
        let size = ask.layout().map_or(1, |layout| layout.size().max(1));
        let most = self.rules.fixed.unwrap_or(0) / size + 1;
        let mut taken = 0;
        while (taken as usize) < most && self.alloc(NAMELESS + taken, ask, false)? {
            taken += 1;
        }
        Ok(taken)
    }

    fn empty(&mut self, taken: u32, order: ExhaustOrder) -> CheckResult<bool> {
        if !self.rules.frees {
            return self.reclaim();
        }
        let names: Vec<u32> = (NAMELESS..NAMELESS + taken).collect();
        order.arrange(names).into_iter().try_for_each(|name| self.free(name, false))?;
        Ok(true)
    }

    /// Fills the port up; what is full refuses and alters nothing, and what was freed is there
    /// again, one block or all of them.
    fn exhaust(&mut self, ask: SizeRequest, order: ExhaustOrder) -> CheckResult<()> {
        let first = self.fill_up(ask)?;
        let each = || format!("{ask}").replace(" align ", " bytes, align ");
        if first > 0 && self.rules.frees {
            let whole = SizeRequest::plain(self.rules.fixed.unwrap_or(0), ask.align);
            self.resize(NAMELESS, whole, true, false)?;
            if self.live.get(&NAMELESS).is_some_and(|block| Some(block.layout) == ask.layout()) {
                let last = NAMELESS + first - 1;
                self.free(last, false)?;
                if !self.alloc(last, ask, false)? {
                    let note =
                        format!("full: a block was freed, and the same refused ({})", each());
                    return Err((Clause::GivenBack, note));
                }
            }
        }
        if !self.empty(first, order)? {
            return Ok(());
        }
        let again = self.fill_up(ask)?;
        self.empty(again, order)?;
        if again < first {
            let note = format!(
                "{} fitted at first ({}), and {} after all were given back",
                count(u64::from(first), "block"),
                each(),
                thousands(u64::from(again))
            );
            return Err((Clause::GivenBack, note));
        }
        Ok(())
    }

    fn held(&mut self) -> CheckResult<Option<usize>> {
        let by = std::mem::take(&mut self.by);
        let answer = self.call(Call::Held)?;
        self.by = by;
        Ok(if let CallResult::Held(bytes) = answer { Some(bytes) } else { None })
    }

    /// The same requests and frees again and again must not take more and more.
    fn churn(&mut self, ask: SizeRequest) -> CheckResult<()> {
        let round = |trial: &mut Self| {
            for name in 0..CHURNED {
                trial.alloc(NAMELESS + name, ask, false)?;
            }
            trial.empty(CHURNED, ExhaustOrder::Fifo)
        };
        for _ in 0..WARM {
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
            "it holds {} after {WARM} rounds of the same, and {} after {}",
            count(first as u64, "byte"),
            thousands(last as u64),
            WARM + ROUNDS
        );
        Err((Clause::GivenBack, note))
    }
}
