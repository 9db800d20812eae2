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

    /// The promise in words.
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

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) clause: Clause,
    /// What was seen.
    pub(crate) note: String,
    /// The index of the step that broke it.
    pub(crate) step: usize,
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
}

impl Tally {
    /// Adds what another sequence did.
    pub(crate) fn add(&mut self, other: &Tally) {
        self.requests += other.requests;
        self.granted += other.granted;
        self.peak = self.peak.max(other.peak);
    }
}
