//! How one faulted run ended, and how a sweep reached it.

/// How one faulted run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// `Err`, and it was out of memory.
    Propagated,
    /// `Ok`, and the result is the fault-free one.
    Absorbed,
    /// `Ok`, and the result is another one.
    SilentWrong,
    /// `Err`, and it was not out of memory.
    WrongError,
    /// The subject panicked.
    Panicked,
    /// The process aborted.
    Aborted,
    /// The process died of a signal.
    Crashed,
    /// The subject ended the process.
    Exited,
    /// The subject asked for memory without end, or did nothing for ever.
    Hung,
    /// The request that was to fail never came.
    Unreached,
}

impl Outcome {
    /// Every outcome, in the order in which reports count them.
    pub const ALL: [Outcome; 10] = [
        Outcome::Propagated,
        Outcome::Absorbed,
        Outcome::SilentWrong,
        Outcome::WrongError,
        Outcome::Panicked,
        Outcome::Aborted,
        Outcome::Crashed,
        Outcome::Exited,
        Outcome::Hung,
        Outcome::Unreached,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Outcome::Propagated => "propagated",
            Outcome::Absorbed => "absorbed",
            Outcome::SilentWrong => "silent_wrong",
            Outcome::WrongError => "wrong_error",
            Outcome::Panicked => "panicked",
            Outcome::Aborted => "aborted",
            Outcome::Crashed => "crashed",
            Outcome::Exited => "exited",
            Outcome::Hung => "hung",
            Outcome::Unreached => "unreached",
        }
    }
}

/// How a sweep comes to each of its points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// The faster of the two, as far as a few runs tell.
    #[default]
    Auto,
    /// Each point is a run of its own, from the beginning, in a worker.
    Rerun,
    /// One pass through the subject forks a child at each request, which fails it. Needs a subject
    /// with one thread that holds nothing open for writing.
    Fork,
}
