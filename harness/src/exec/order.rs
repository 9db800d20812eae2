//! What the command line and the preloaded library say to each other, as messages on a socket.

#[cfg(feature = "exec")]
use crate::error::Error;
use crate::process::codec::{Codec, codec_struct};
use crate::process::test_scope::TestProgram;
use crate::report::kind::Kind;
use crate::sweep::settings::Allowance;

/// The variable that tells the library the number of its socket. The library removes it before the
/// program can see it.
pub(crate) const VARIABLE: &str = "MALLORY_EXEC";

/// The folder of the library's file, whose name is the number of a descriptor. The library closes it.
pub(crate) const PRELOADED: &str = "/proc/self/fd/";

/// The bytes that a run may write to one file by default.
#[cfg(feature = "exec")]
pub(crate) const OUTPUT_MAX: u64 = 32 << 20;

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    /// The name of the sweep, as tokens have it.
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) jobs: usize,
    pub(crate) limit: Option<u64>,
    /// The most requests of each call stack that are made to fail; `None` for all.
    pub(crate) per_stack: Option<u64>,
    /// Whether the user chose that number.
    pub(crate) asks_per_stack: bool,
    pub(crate) strict: bool,
    /// Whether only the ledger watches: no guards, no poison.
    pub(crate) ledger: bool,
    /// Whether every block has inaccessible pages around it.
    pub(crate) guard: bool,
    /// Whether no request is made to fail.
    pub(crate) no_faults: bool,
    /// The token to replay.
    pub(crate) replay: Option<String>,
    /// The command in front of a token that replays it, and behind it.
    pub(crate) rerun: (String, String),
    /// The folder of the journal, and whether to go on from it.
    pub(crate) journal: Option<(String, bool)>,
    /// The file that each run reads as its standard input.
    pub(crate) stdin: Option<String>,
    /// The folder of which each run gets a copy to work in.
    pub(crate) folder: Option<String>,
    /// Files that belong to the result.
    pub(crate) compared: Vec<String>,
    /// The command that judges whether two results mean the same.
    pub(crate) judge: Option<String>,
    /// How many runs are timed instead of a sweep.
    pub(crate) timed: Option<u64>,
    /// How many milliseconds a run may go without a request.
    pub(crate) patience: Option<u64>,
    /// The most bytes that a run may write to one file, its standard output among them.
    pub(crate) output_max: u64,
    /// What of the program is not watched.
    pub(crate) unwatched: Vec<String>,
    /// Functions or modules whose requests alone are made to fail, or are not.
    pub(crate) only: Vec<String>,
    pub(crate) skip: Vec<String>,
    /// Whether the C library is held to account for what it does by itself.
    pub(crate) c_library: bool,
    /// Findings that are accepted.
    pub(crate) allowances: Vec<Allowance>,
    /// The functions of the program, if it runs one test: then only the test's requests count.
    pub(crate) test: Option<TestProgram>,
}

codec_struct!(Order {
    name,
    seed,
    jobs,
    limit,
    per_stack,
    asks_per_stack,
    strict,
    ledger,
    guard,
    no_faults,
    replay,
    rerun,
    journal,
    stdin,
    folder,
    compared,
    judge,
    timed,
    patience,
    output_max,
    unwatched,
    only,
    skip,
    c_library,
    allowances,
    test,
});

codec_struct!(Allowance { kind, site, max, reason, place });

/// What the library answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// The program has reached `main`, and the sweep begins.
    Started,
    /// How many runs are done, and how many there are.
    Progress(u64, u64),
    /// The sweep is over.
    Report(SentReport),
}

/// A report as it is printed.
#[derive(Clone, Debug, Default)]
pub(crate) struct SentReport {
    pub(crate) exit_code: u8,
    pub(crate) text: String,
    /// One line of JSON; empty if there is an error instead of a result.
    pub(crate) json: String,
    /// Whether the text is that of an error.
    pub(crate) is_error: bool,
    /// The requests, their call sites, and the faulted runs.
    pub(crate) requests: u64,
    pub(crate) sites: u64,
    pub(crate) runs: u64,
    /// Faulted runs by outcome.
    pub(crate) outcomes: Vec<u64>,
    /// Whether every run was made.
    pub(crate) is_complete: bool,
    pub(crate) findings: Vec<SentFinding>,
}

codec_struct!(SentReport {
    exit_code,
    text,
    json,
    is_error,
    requests,
    sites,
    runs,
    outcomes,
    is_complete,
    findings,
});

impl SentReport {
    /// The report of a sweep that could not be made.
    #[cfg(feature = "exec")]
    pub(crate) fn failed(name: &str, error: &Error) -> SentReport {
        SentReport {
            exit_code: 2,
            text: format!("error: {name}: {error}\n"),
            is_error: true,
            ..SentReport::default()
        }
    }
}

/// A finding as it is printed.
#[derive(Clone, Debug)]
pub(crate) struct SentFinding {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) text: String,
    /// What it is counted by if it is an abort for want of memory: a hash of the function that asked.
    pub(crate) place: String,
    /// The line of that place in a file of allowed aborts.
    pub(crate) line: String,
    /// Whether the program aborted because it had no memory and no way to say so.
    pub(crate) is_out_of_memory: bool,
    /// The crate that asked for the memory.
    pub(crate) krate: String,
    /// The function that promises an error instead, if there is one on the call stack.
    pub(crate) promise: Option<String>,
}

impl SentFinding {
    /// Whether it is only counted: code that can't report an error aborts when memory runs out, unless
    /// one of its functions promises to.
    #[cfg(feature = "exec")]
    pub(crate) fn is_counted(&self) -> bool {
        // These two promise an error of another kind.
        let is_promise = |name: &String| !["try_from", "try_into"].contains(&&**name);
        self.is_out_of_memory && !self.promise.as_ref().is_some_and(is_promise)
    }

    /// What it is counted by.
    #[cfg(feature = "exec")]
    pub(crate) fn key(&self) -> &str {
        if self.is_counted() { &self.place } else { &self.id }
    }
}

codec_struct!(SentFinding { kind, id, text, place, line, is_out_of_memory, krate, promise });

impl Codec for Answer {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Answer::Started => 0_u64.put(out),
            Answer::Progress(done, total) => {
                1_u64.put(out);
                (*done, *total).put(out);
            }
            Answer::Report(report) => {
                2_u64.put(out);
                report.put(out);
            }
        }
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        Some(match u64::get(from)? {
            0 => Answer::Started,
            1 => {
                let (done, total) = Codec::get(from)?;
                Answer::Progress(done, total)
            }
            2 => Answer::Report(Codec::get(from)?),
            _ => return None,
        })
    }
}
