//! The builder of a conformance suite: what is checked, how hard, and the report of it.

use std::path::PathBuf;
use std::time::Duration;

use crate::conformance::call::{HeldBytes, on_one_thread, on_threads};
use crate::conformance::clause::{Clause, Rules};
use crate::conformance::finding::FindingSource;
use crate::conformance::generate::SequenceRange;
use crate::conformance::operation;
use crate::conformance::operation::{Operation, SequenceStep};
use crate::conformance::search::search;
use crate::conformance::stress;
use crate::conformance::suite::{BrokenSequence, DeathNotes, Drive, Stress, Suite};
use crate::conformance::syntax;
use crate::env::Env;
use crate::error::Error;
use crate::port::Port;
use crate::printable;
use crate::report::finding::Finding;
use crate::report::format::count;
use crate::report::token::{Token, is_name};
use crate::report::{Replayed, Report};
use crate::trace::hash_bytes;

/// Checks a port against its contract: see [`Conformance`].
///
/// `make` returns a fresh port without live blocks. It is called for every sequence.
///
/// ```
/// mallory::conformance(mallory::SystemPort::new).run().assert_clean();
/// ```
pub fn conformance<'a, P: Port>(make: impl Fn() -> P + 'a) -> Conformance<'a, P> {
    let env = Env::read();
    let (error, env) = match env {
        Ok(env) => (None, env),
        Err(error) => (Some(error), Env::default()),
    };
    Conformance {
        make: Box::new(make),
        name: "conformance".to_owned(),
        seed: env.seed.unwrap_or(0),
        operations: 8192,
        max_size: 64 << 10,
        max_align: 64 << 10,
        frees: true,
        fixed: None,
        held: None,
        clones: 1,
        clone: None,
        threads: 1,
        drive: on_one_thread,
        stress: None,
        patience: Duration::from_secs(5),
        text: None,
        file: env.sequence,
        program: None,
        token: env.replay,
        error,
    }
}

/// Runs seeded sequences of requests and frees on a [`Port`], compares it with a naive model of its
/// contract, and reports each promise that it breaks as a `port-contract` finding with the smallest
/// sequence that shows it.
///
/// Sizes range from 0 to the largest possible one, alignments from 1 to far beyond
/// [`max_align`](Self::max_align). Blocks are freed last in first out, first in first out, at random,
/// and so that holes are left. They are passed with the requested layout, or with the returned size.
/// Most resizes keep the alignment, and many come right after the allocation.
///
/// The id of a finding stands for the promise and the function that broke it, whatever the sequence.
/// [`Port`] lists what every port promises. [`fixed`](Self::fixed) and [`held`](Self::held) add checks
/// that freed memory can be allocated again.
///
/// On Unix, sequences are run in child processes, so a port that crashes, aborts or hangs is a finding.
/// The same seed gives the same report, if the port itself is deterministic.
///
/// A finding's sequence is a few lines of text. To run them again, put them into a file and set
/// `MALLORY_SEQUENCE=FILE` for the test or the program, or pass them to [`replay`](Self::replay):
///
/// ```
/// let report = mallory::conformance(mallory::SystemPort::new).name("system").replay(
///     "a1 = alloc 64 align 8
///      grow a1 to max align 8    # refused, and a1 is as it was
///      free a1",
/// );
/// report.run().assert_clean();
/// ```
#[must_use = "nothing is done until it is run"]
pub struct Conformance<'a, P> {
    make: Box<dyn Fn() -> P + 'a>,
    name: String,
    seed: u64,
    operations: usize,
    max_size: usize,
    max_align: usize,
    frees: bool,
    fixed: Option<usize>,
    held: Option<Box<HeldBytes<'a, P>>>,
    clones: u8,
    clone: Option<fn(&P) -> P>,
    threads: u8,
    drive: Drive<P>,
    stress: Option<Stress<P>>,
    patience: Duration,
    text: Option<String>,
    file: Option<PathBuf>,
    program: Option<String>,
    token: Option<Token>,
    error: Option<Error>,
}

impl<'a, P: Port> Conformance<'a, P> {
    /// The name in reports and tokens (`[a-z0-9][a-z0-9/_-]{0,39}`): `conformance` unless set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The seed of everything random. Unless set it is `MALLORY_SEED`, or 0 without that variable.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The number of operations, in sequences of up to 512, each on a fresh port. 8,192 unless set.
    pub fn operations(mut self, operations: usize) -> Self {
        self.operations = operations;
        self
    }

    /// The largest requested size in bytes that the port may grant: 64 KiB unless set. Sizes beyond any
    /// machine's memory are requested as well, and have to be refused.
    pub fn max_size(mut self, bytes: usize) -> Self {
        self.max_size = bytes.min(isize::MAX as usize / 4);
        self
    }

    /// The largest requested alignment in bytes, a power of two: 64 KiB unless set. A few requests have a
    /// far larger one. Any other number is an [error](Report::error) of the report.
    pub fn max_align(mut self, align: usize) -> Self {
        if !align.is_power_of_two() {
            let wrong = Error::new(format!("max_align({align}) is not a power of two"));
            self.error.get_or_insert(wrong.help("pass a power of two"));
            return self;
        }
        self.max_align = align;
        self
    }

    /// For ports without single frees, such as arenas: blocks are freed by
    /// [`reclaim`](Port::reclaim), or with the port.
    pub fn no_free(mut self) -> Self {
        self.frees = false;
        self
    }

    /// For a port over a region of `bytes` bytes. The port is filled until it refuses; after frees the
    /// same blocks have to fit again. Live blocks with more bytes than the region are a finding. If the
    /// port is made over a [`guarded_region`](crate::adapters::guarded_region), as a
    /// [`RegionPort`](crate::adapters::RegionPort) is, so are blocks and writes outside of it.
    pub fn fixed(mut self, bytes: usize) -> Self {
        self.fixed = Some(bytes);
        self
    }

    /// Sets a function that returns how many bytes a port holds of what it allocates from. Repeating the
    /// same requests and frees must not raise it.
    pub fn held(mut self, held: impl Fn(&P) -> usize + 'a) -> Self {
        self.held = Some(Box::new(held));
        self
    }

    /// How long one operation may take, by the clock, before it counts as hung: five seconds unless set.
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Runs this sequence, as a finding printed it, instead of generated ones. A file that
    /// `MALLORY_SEQUENCE` names is run instead of it. A line that can't be read is an
    /// [error](Report::error) of the report.
    pub fn replay(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// How this program is started again, for replay lines.
    #[cfg(feature = "c")]
    pub(crate) fn program(mut self, program: String) -> Self {
        self.program = Some(program);
        self
    }

    /// Runs the suite. A caller's mistake is the report's [error](Report::error).
    #[must_use]
    pub fn run(self) -> Report {
        let report = self.try_run();
        report.unwrap_or_else(|error| Report::failed(&self.name, self.seed, error))
    }

    /// Which sequences are generated.
    fn range(&self, seed: u64) -> SequenceRange {
        let fits = self.fixed.map_or(usize::MAX, |bytes| (bytes / 8).max(1));
        SequenceRange {
            seed,
            operations: self.operations,
            max_size: self.max_size.min(fits),
            max_align: self.max_align.min(1 << fits.ilog2()),
            callers: self.clones.max(self.threads),
            frees: self.frees,
            fixed: self.fixed,
            churns: self.held.is_some(),
        }
    }

    /// The caller's mistake, if there is one.
    fn check(&self, steps: &[SequenceStep]) -> Result<(), Error> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        if !is_name(&self.name) {
            return Err(Error::new(format!(
                "{} is not a valid name for a port",
                printable::debug(&self.name)
            ))
            .help("use at most 40 lower-case letters, digits, and after the first /, _ or -"));
        }
        let callers = self.clones.max(self.threads);
        for (number, step) in (1..).zip(steps) {
            let wrong = |what: &str, help: &str| {
                let place = format!("operation {number} of the sequence: {step}");
                Err(Error::new(what).at(place).help(help))
            };
            if step.caller >= callers {
                return wrong(
                    "no thread or clone has this number",
                    "call .threads(n) or .clones(n)",
                );
            }
            if matches!(step.operation, Operation::Exhaust { .. }) && self.fixed.is_none() {
                return wrong("the size of the region is unknown", "call .fixed(bytes)");
            }
        }
        Ok(())
    }

    fn try_run(&self) -> Result<Report, Error> {
        let token = self.token.as_ref().filter(|token| token.scenario() == self.name);
        let seed = token.map_or(self.seed, |token| token.seed);
        let range = &self.range(seed);
        let steps = match (&self.file, &self.text) {
            (Some(file), _) => Some(syntax::read(file)?),
            (None, Some(text)) => Some(syntax::parse(text)?),
            (None, None) => None,
        };
        self.check(steps.as_deref().unwrap_or(&[]))?;
        let suite = Suite {
            make: &*self.make,
            clones: self.clones,
            clone: self.clone,
            threads: self.threads,
            drive: self.drive,
            stress: self.stress,
            held: self.held.as_deref(),
            range,
            rules: Rules { strict: false, frees: self.frees, fixed: self.fixed },
            patience: self.patience,
            in_process: !cfg!(unix) || cfg!(miri),
        };
        let mut report = Report::empty(&self.name, seed);
        let (broken, tally) = match &steps {
            Some(steps) => {
                let (breach, tally) = suite.confirm(steps, DeathNotes::Full)?;
                let broken = breach.map(|breach| {
                    let steps = steps[..steps.len().min(breach.step + 1)].to_vec();
                    BrokenSequence { steps: operation::tidy(&steps), breach }
                });
                (broken.into_iter().collect(), tally)
            }
            None => search(&suite)?,
        };
        report.sampled = self.threads > 1 && steps.is_none();
        let source = FindingSource { name: &self.name, seed, program: self.program.as_deref() };
        report.findings = broken.iter().map(|broken| source.of_sequence(broken)).collect();
        if steps.is_none() {
            let known = |clause| broken.iter().any(|broken| broken.breach.clause == clause);
            let breach = suite.stress()?.filter(|(clause, _)| !known(*clause));
            let finding =
                breach.map(|(clause, note)| source.of_stress(clause, &note, self.threads));
            report.findings.extend(finding);
            let sequences: Vec<String> =
                (0..range.sequences()).map(|nth| operation::print(&range.sequence(nth))).collect();
            report.fingerprint = hash_bytes(sequences.concat().as_bytes());
            report.notes = self.notes(range, tally.guarded);
        }
        report.findings.sort_by(|a, b| a.id.cmp(&b.id));
        report.coverage.requests = tally.requests;
        report.coverage.complete = true;
        report.peak = tally.peak;
        if steps.is_none() && report.findings.is_empty() && tally.granted == 0 {
            return Err(Error::new("the port refused every request: nothing was tried")
                .help("give it memory, or request less: .max_size(bytes), .max_align(align)"));
        }
        report.replayed = token.map(|token| {
            let is_same = |found: &Finding| found.token.fingerprint == token.fingerprint;
            match report.findings.as_slice() {
                [] => Replayed::NoFailure,
                findings if findings.iter().any(is_same) => Replayed::Reproduced,
                _ => Replayed::Different,
            }
        });
        Ok(report)
    }

    /// The promises that are checked, each in the words of a finding that says it is broken. Most are
    /// promised by every port; others are added by [`fixed`](Self::fixed) and [`held`](Self::held). A
    /// port over a [`guarded_region`](crate::adapters::guarded_region) is checked for one more: that it
    /// keeps to its region.
    #[must_use]
    pub fn promises(&self) -> Vec<&'static str> {
        let is_checked = |clause: &Clause| match clause {
            Clause::Beyond => self.fixed.is_some(),
            Clause::Outside => false,
            Clause::GivenBack => self.fixed.is_some() || self.held.is_some(),
            _ => true,
        };
        let mut promises: Vec<_> =
            Clause::ALL.into_iter().filter(is_checked).map(Clause::promise).collect();
        promises.dedup();
        promises
    }

    fn notes(&self, range: &SequenceRange, is_guarded: bool) -> Vec<String> {
        let (sequences, all) = (range.sequences(), range.operations as u64);
        let mut notes = vec![format!(
            "{} in {}, checked for {}",
            count(all, "operation"),
            count(sequences, "sequence"),
            count(self.promises().len() as u64 + u64::from(is_guarded), "promise"),
        )];
        if self.fixed.is_none() && self.held.is_none() {
            let how = "see Conformance::fixed and Conformance::held";
            notes.push(format!("whether freed memory is used again: unverified; {how}"));
        }
        if self.fixed.is_some() && !is_guarded {
            let how = "see adapters::guarded_region";
            notes.push(format!("whether it writes outside of its region: unverified; {how}"));
        }
        if !cfg!(unix) || cfg!(miri) {
            notes.push("runs were made in process: a crash would have ended it".to_owned());
        }
        notes
    }
}

impl<P: Port + Clone> Conformance<'_, P> {
    /// Makes the calls through `clones` clones of the port, 1 to 64. A block of one clone may be freed
    /// through another.
    pub fn clones(mut self, clones: u8) -> Self {
        self.clones = clones.clamp(1, 64);
        self.clone = Some(P::clone);
        self
    }
}

impl<P: Port + Sync> Conformance<'_, P> {
    /// Makes the calls from `threads` threads, 1 to 64. In sequences one thread makes a call at a time, so
    /// that blocks are freed on other threads than they were allocated on. After that all threads use one
    /// port at the same time, which is only a sample, so that a clean verdict is
    /// [`Sampled`](crate::Verdict::Sampled).
    pub fn threads(mut self, threads: u8) -> Self {
        self.threads = threads.clamp(1, 64);
        if self.threads > 1 {
            self.drive = on_threads;
            self.stress = Some(stress::stress);
        }
        self
    }
}
