//! The promises of a port: what a sequence is checked for, and what it means that one is broken.

/// One promise of a port. Some are promised by every port, others only if the caller of the suite says
/// so. The texts of the promises are hashed into the ids of findings, so changing one changes ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Clause {
    Aligned,
    LongEnough,
    /// Requests for more than any machine has are refused.
    Possible,
    /// Live blocks are disjoint.
    Overlap,
    /// Live blocks fit into the fixed region.
    Beyond,
    /// Blocks, and what a port writes, are inside of the region that it was given.
    Outside,
    Zeroed,
    /// A grow or shrink keeps the contents.
    Kept,
    /// A refused grow or shrink keeps the contents.
    Unaltered,
    /// Other calls keep the contents of live blocks.
    Untouched,
    /// Requests of zero bytes are granted like others.
    Empty,
    /// Freed memory can be allocated again.
    GivenBack,
    Unwinds,
    // A call that kills the process. These come last: they are shrunk in child processes.
    Crashes,
    Aborts,
    Exits,
    Hangs,
}

impl Clause {
    pub(crate) const ALL: [Clause; 17] = [
        Clause::Aligned,
        Clause::LongEnough,
        Clause::Possible,
        Clause::Overlap,
        Clause::Beyond,
        Clause::Outside,
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

    /// The promise in words.
    pub(crate) fn promise(self) -> &'static str {
        match self {
            Clause::Aligned => "a block is aligned as asked",
            Clause::LongEnough => "a block is at least as long as asked",
            Clause::Possible => "what nobody has is refused",
            Clause::Overlap => "blocks that are alive are disjoint",
            Clause::Beyond => "a fixed region holds no more than it is long",
            Clause::Outside => "a port keeps to the region that it was given",
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

/// The function of a port that was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Function {
    /// The caller's closure that makes a port.
    #[default]
    Make,
    Alloc,
    Zeroed,
    Grow,
    Shrink,
    Free,
    Reclaim,
    Held,
    Drop,
}

impl Function {
    pub(crate) const ALL: [Function; 9] = [
        Function::Make,
        Function::Alloc,
        Function::Zeroed,
        Function::Grow,
        Function::Shrink,
        Function::Free,
        Function::Reclaim,
        Function::Held,
        Function::Drop,
    ];

    /// Its name, which is hashed into the ids of findings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Function::Make => "make",
            Function::Alloc => "alloc",
            Function::Zeroed => "alloc_zeroed",
            Function::Grow => "grow",
            Function::Shrink => "shrink",
            Function::Free => "free",
            Function::Reclaim => "reclaim",
            Function::Held => "held",
            Function::Drop => "drop",
        }
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) clause: Clause,
    /// The function that was called last before it was seen.
    pub(crate) function: Function,
    /// What was seen.
    pub(crate) note: String,
    /// The index of the step that broke it.
    pub(crate) step: usize,
    /// Whether the process died of it.
    pub(crate) is_death: bool,
}

/// What tells one broken promise from another: breaches with the same root are one finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BreachRoot {
    pub(crate) clause: Clause,
    /// `None` if many calls together break the promise.
    pub(crate) function: Option<Function>,
}

impl Breach {
    pub(crate) fn root(&self) -> BreachRoot {
        let is_one_call = self.clause != Clause::GivenBack;
        BreachRoot { clause: self.clause, function: is_one_call.then_some(self.function) }
    }

    /// Whether it is this breach, or the same one of a simpler function: a resize that allocates and frees
    /// shows what is wrong with allocating and freeing.
    pub(crate) fn is_at_most(&self, root: BreachRoot) -> bool {
        let is_simple = matches!(self.function, Function::Alloc | Function::Free);
        self.root() == root || self.clause == root.clause && is_simple
    }
}

/// What a sequence is checked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Whether all live blocks are checked after every step, instead of after every 32nd one.
    pub(crate) strict: bool,
    /// Whether the port takes single frees.
    pub(crate) frees: bool,
    /// The bytes of the fixed region below the port, if it has one.
    pub(crate) fixed: Option<usize>,
}

/// What sequences did, for the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) granted: u64,
    /// The most live bytes.
    pub(crate) peak: u64,
    /// Whether the port was given a region that is guarded on both sides.
    pub(crate) guarded: bool,
}

impl Tally {
    /// Adds what another sequence did.
    pub(crate) fn add(&mut self, other: &Tally) {
        self.requests += other.requests;
        self.granted += other.granted;
        self.peak = self.peak.max(other.peak);
        self.guarded |= other.guarded;
    }
}
