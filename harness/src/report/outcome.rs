//! How a faulted run ended, and the strategies by which a sweep makes its runs.

/// How one faulted run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It returned `Err`, and that means out of memory.
    Propagated,
    /// It returned `Ok`, and the result is the fault-free one.
    Absorbed,
    /// It returned `Ok`, and the result differs from the fault-free one.
    SilentWrong,
    /// A program said on standard error that something went wrong, but exited with the usual status, and
    /// its output differs from the fault-free one.
    Degraded,
    /// It returned `Err`, and that doesn't mean out of memory.
    WrongError,
    /// The subject panicked.
    Panicked,
    /// The process aborted.
    Aborted,
    /// The process died of a signal.
    Crashed,
    /// The subject ended the process.
    Exited,
    /// The subject requested memory without end, or did nothing forever.
    Hung,
    /// The request that was to fail never came.
    Unreached,
}

impl Outcome {
    /// Every outcome, in the order in which reports count them.
    pub const ALL: [Outcome; 11] = [
        Outcome::Propagated,
        Outcome::Absorbed,
        Outcome::SilentWrong,
        Outcome::Degraded,
        Outcome::WrongError,
        Outcome::Panicked,
        Outcome::Aborted,
        Outcome::Crashed,
        Outcome::Exited,
        Outcome::Hung,
        Outcome::Unreached,
    ];

    /// The name as JSON and the journal have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Outcome::Propagated => "propagated",
            Outcome::Absorbed => "absorbed",
            Outcome::SilentWrong => "silent_wrong",
            Outcome::Degraded => "degraded",
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

/// How a sweep makes its faulted runs. The report is the same for any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// The faster of the two, by the time that a few runs of each take.
    #[default]
    Auto,
    /// Each run starts from the beginning, in a worker process that makes many.
    Rerun,
    /// One pass through the subject forks a child process at each request, which fails it. Needs a
    /// subject with one thread that holds no file open for writing.
    Fork,
}
