//! What one run of a script showed. Backtraces in it are addresses, which are valid in this process and
//! in its children only.

use std::collections::BTreeMap;

use crate::process::backtrace::Stack;
use crate::process::codec::codec_struct;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::Run;
use crate::schedule::Preemption;
use crate::script::shrink::RequestProfile;
use crate::trace::Injected;

/// What one run of a script showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScriptRun {
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) stacks: BTreeMap<Moment, Stack>,
    /// The first injected fault.
    pub(crate) injected: Option<Injected>,
    /// For each thread the number of its requests before each operation.
    pub(crate) starts: Vec<Vec<u64>>,
    /// For each thread the number of its requests.
    pub(crate) requests: Vec<u64>,
    /// The preemption of the schedule that could not be made.
    pub(crate) diverged: Option<Preemption>,
    pub(crate) fingerprint: u64,
    /// The most live bytes.
    pub(crate) peak: usize,
    /// Whether the fault was absorbed: the run ended as one without a fault.
    pub(crate) absorbed: bool,
}

codec_struct!(ScriptRun {
    evidence,
    stacks,
    injected,
    starts,
    requests,
    diverged,
    fingerprint,
    peak,
    absorbed,
});

impl ScriptRun {
    pub(crate) fn of(run: Run) -> ScriptRun {
        let mut result = ScriptRun {
            evidence: run.evidence,
            stacks: run.taken,
            injected: run.injected,
            starts: run.starts,
            requests: run.requests,
            diverged: run.conducted.diverged,
            fingerprint: run.fingerprint.0,
            peak: run.peak,
            absorbed: run.outcome == Outcome::Absorbed,
        };
        if let Some(difference) = run.mismatch {
            result.evidence.push(difference.evidence());
        } else if let (Outcome::Panicked, None, Some(failure)) =
            (run.outcome, run.injected, run.failure)
        {
            let note = format!("without any fault it {failure}");
            let evidence = Evidence::new(Kind::Panic).note(note);
            result.evidence.push(evidence.step(Role::Panicked, Moment::Panic));
        }
        result
    }

    pub(crate) fn profile(&self) -> RequestProfile {
        let injected = self.injected.map(|injected| injected.at);
        let (starts, requests) = (self.starts.clone(), self.requests.clone());
        RequestProfile { injected, starts, requests }
    }
}
