//! A run in a process of its own: a fork of this one, so that every such run begins in the same
//! state. For subjects that keep state from run to run.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::process::codec::{Codec, codec_struct};
use crate::process::forked_call;
use crate::run::execute;
use crate::run::finished_run::Run;
use crate::run::job::Job;
use crate::run::outcome::{ModelMismatch, ScheduledEnd};
use crate::run::stage::Subject;
use crate::trace::{Event, Fingerprint};

/// How often a fork is tried before the system's refusal is final.
const FORKS_MAX: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

codec_struct!(Event { op, heap, thread, align, size, end });
codec_struct!(ModelMismatch { kind, operation, note });

/// The fields of a [`Run`] whose threads no scheduler drives.
impl Codec for Run {
    fn put(&self, out: &mut Vec<u8>) {
        (self.outcome, self.failure.clone()).put(out);
        (self.mismatch.clone(), self.starts.clone()).put(out);
        (self.evidence.clone(), self.fingerprint.0).put(out);
        (self.requests.clone(), self.injected).put(out);
        (self.peak, self.leaked).put(out);
        (self.text.clone(), self.trace.clone()).put(out);
        (self.taken.clone(), self.census.clone()).put(out);
        (self.sizes.clone(), self.budget_used).put(out);
        (self.survived, self.unattributed).put(out);
        (self.running, self.threads).put(out);
        self.metrics.put(out);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let (outcome, failure) = Codec::get(from)?;
        let (mismatch, starts) = Codec::get(from)?;
        let (evidence, fingerprint) = <(_, u64)>::get(from)?;
        let (requests, injected) = Codec::get(from)?;
        let (peak, leaked) = Codec::get(from)?;
        let (text, trace) = Codec::get(from)?;
        let (taken, census) = <(BTreeMap<_, _>, _)>::get(from)?;
        let (sizes, budget_used) = Codec::get(from)?;
        let (survived, unattributed) = Codec::get(from)?;
        let (running, threads) = Codec::get(from)?;
        let metrics = Codec::get(from)?;
        Some(Run {
            outcome,
            failure,
            mismatch,
            starts,
            evidence,
            fingerprint: Fingerprint(fingerprint),
            requests,
            injected,
            peak,
            leaked,
            text,
            trace,
            taken,
            census,
            sizes,
            budget_used,
            survived,
            unattributed,
            running,
            threads,
            metrics,
            conducted: ScheduledEnd::default(),
            operations: Vec::new(),
        })
    }
}

/// Runs the subject once in a fork of this process, which is a child of the harness. Doesn't return
/// if the run kills its process.
///
/// # Panics
/// If the system refuses a process again and again.
pub(crate) fn execute_apart(subject: &dyn Subject, job: Job<'_>) -> Run {
    let mut job = Some(job);
    for _ in 0..FORKS_MAX {
        // The fork has its own copy of the job, so this process still has it if there is no fork.
        let run = forked_call::call(&mut || job.take().map(|job| execute(subject, job)));
        if let Ok(run) = run {
            return run.expect("[mallory bug] a fork without its job");
        }
        std::thread::sleep(PAUSE);
    }
    panic!("the system refused a process for a run");
}
