//! Conformance: drives any port with seeded sequences beside a naive model of its contract, and
//! answers each promise that it breaks with the smallest sequence that shows it.

pub(crate) mod call;
pub(crate) mod contract;
#[cfg(feature = "arbitrary")]
pub(crate) mod fuzz;
pub(crate) mod generate;
pub(crate) mod operation;
pub(crate) mod shrink;
pub(crate) mod stress;
pub(crate) mod suite;

use std::path::PathBuf;
use std::time::Duration;

use crate::conformance::call::{HeldBytes, alone, together};
use crate::conformance::contract::{Clause, Rules};
use crate::conformance::generate::SequenceRange;
use crate::conformance::operation::{Operation, SequenceStep};
use crate::conformance::suite::{BrokenSequence, Drive, Storm, Suite};
use crate::env::{Env, started};
use crate::error::Error;
use crate::port::Port;
use crate::report::finding::Finding;
use crate::report::kind::Kind;
use crate::report::rerun::Rerun;
use crate::report::token::{Token, is_name};
use crate::report::{Replayed, Report};
use crate::trace::{Fingerprint, hash_bytes};

/// Holds a port to its contract: see [`Conformance`].
///
/// `make` gives a fresh port, of which nothing is in use; it is called for every sequence.
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
        drive: alone,
        storm: None,
        patience: Duration::from_secs(5),
        text: None,
        file: env.sequence,
        program: None,
        token: env.replay,
        error,
    }
}

/// Drives a [`Port`] with seeded sequences of requests and frees, beside a naive model of its
/// contract, and reports each promise that it breaks as a `port-contract` finding with the
/// smallest sequence that shows it.
///
/// Sizes go from 0 to the largest that there is, alignments from 1 to far beyond
/// [`max_align`](Self::max_align); frees come last in first out, first in first out, at random,
/// and so that holes are left. Layouts are handed in as they were asked for, or as long as was
/// answered. What the port promises is written down at [`Port`]; beyond that
/// [`fixed`](Self::fixed) and [`held`](Self::held) ask whether memory that was given back is there
/// again.
///
/// Sequences are run in child processes (on Unix), so a port that crashes, aborts or hangs is a
/// finding. The same seed gives the same report, as far as the port itself does the same.
///
/// A finding's sequence is a few lines of text. In a file they are run again by
/// `MALLORY_SEQUENCE=FILE` before the test or the program; in a test of their own by
/// [`replay`](Self::replay):
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
    storm: Option<Storm<P>>,
    patience: Duration,
    text: Option<String>,
    file: Option<PathBuf>,
    program: Option<String>,
    token: Option<Token>,
    error: Option<Error>,
}

impl<'a, P: Port> Conformance<'a, P> {
    /// The name in reports and tokens (`[a-z0-9][a-z0-9/_-]{0,39}`); `conformance` unless given.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The one number that all chance comes from. 0 unless given; `MALLORY_SEED` as well.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many operations are made, in sequences of 512, each on a fresh port. 8,192 unless
    /// given.
    pub fn operations(mut self, operations: usize) -> Self {
        self.operations = operations;
        self
    }

    /// The largest size in bytes that is asked for in earnest; 64 KiB unless given. Sizes that
    /// nobody has are asked for all the same, and have to be refused.
    pub fn max_size(mut self, bytes: usize) -> Self {
        self.max_size = bytes.min(isize::MAX as usize / 4);
        self
    }

    /// The largest alignment that is asked for in earnest, as a power of two; 64 KiB unless given.
    pub fn max_align(mut self, align: usize) -> Self {
        if !align.is_power_of_two() {
            let wrong = Error::new(format!("max_align({align}): that is no alignment"));
            self.error.get_or_insert(wrong.help("give a power of two"));
            return self;
        }
        self.max_align = align;
        self
    }

    /// For ports that take no single frees, such as arenas: blocks go by
    /// [`reclaim`](Port::reclaim), or with the port.
    pub fn no_free(mut self) -> Self {
        self.frees = false;
        self
    }

    /// For ports over a region of so many bytes: it is filled up until it refuses, and what is
    /// given back has to be there again. Live blocks that come to more are a finding.
    pub fn fixed(mut self, bytes: usize) -> Self {
        self.fixed = Some(bytes);
        self
    }

    /// Says how many bytes a port holds of whatever it stands on. The same requests and frees
    /// again and again must not make it more.
    pub fn held(mut self, held: impl Fn(&P) -> usize + 'a) -> Self {
        self.held = Some(Box::new(held));
        self
    }

    /// How long one operation may take before it counts as hung, by the clock: five seconds unless
    /// given. Nothing else is timed.
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Runs this sequence, as a finding printed it, instead of drawing any. The one in the file that
    /// `MALLORY_SEQUENCE` names comes before it.
    pub fn replay(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// How the program is started again, where it has no command line of Mallory's.
    #[cfg(feature = "c")]
    pub(crate) fn program(mut self, program: String) -> Self {
        self.program = Some(program);
        self
    }

    /// Runs it.
    #[must_use]
    pub fn run(self) -> Report {
        let report = self.explore();
        report.unwrap_or_else(|error| Report::failed(&self.name, self.seed, error))
    }

    /// What sequences are drawn from.
    fn range(&self, seed: u64) -> SequenceRange {
        let fits = self.fixed.map_or(usize::MAX, |bytes| (bytes / 8).max(1));
        SequenceRange {
            seed,
            operations: self.operations,
            max_size: self.max_size.min(fits),
            max_align: self.max_align.min(1 << fits.ilog2()),
            hands: self.clones.max(self.threads),
            frees: self.frees,
            fixed: self.fixed,
            churns: self.held.is_some(),
        }
    }

    /// What the caller got wrong, if anything.
    fn check(&self, steps: &[SequenceStep]) -> Result<(), Error> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        if !is_name(&self.name) {
            return Err(Error::new(format!("{:?} is no name for a port", self.name))
                .help("lower-case letters, digits, and /, _ or - after the first; at most 40"));
        }
        let hands = self.clones.max(self.threads);
        for (number, step) in (1..).zip(steps) {
            let wrong = |what: &str, help: &str| {
                let what = format!("sequence, operation {number} (`{step}`): {what}");
                Err(Error::new(what).help(help))
            };
            if step.by >= hands {
                return wrong(
                    "there is nobody of this number",
                    "ask for .threads(n) or .clones(n)",
                );
            }
            if matches!(step.act, Operation::Exhaust { .. }) && self.fixed.is_none() {
                return wrong("nothing says when the port is full", "say it: .fixed(bytes)");
            }
        }
        Ok(())
    }

    fn explore(&self) -> Result<Report, Error> {
        let token = self.token.as_ref().filter(|token| token.scenario() == self.name);
        let seed = token.map_or(self.seed, |token| token.seed);
        let range = &self.range(seed);
        let steps = match (&self.file, &self.text) {
            (Some(file), _) => Some(operation::read(file)?),
            (None, Some(text)) => Some(operation::parse(text)?),
            (None, None) => None,
        };
        self.check(steps.as_deref().unwrap_or(&[]))?;
        let suite = Suite {
            make: &*self.make,
            clones: self.clones,
            clone: self.clone,
            threads: self.threads,
            drive: self.drive,
            storm: self.storm,
            held: self.held.as_deref(),
            range,
            rules: Rules { strict: false, frees: self.frees, fixed: self.fixed },
            patience: self.patience,
            in_process: !cfg!(unix) || cfg!(miri),
        };
        let mut report = Report::empty(&self.name, seed);
        let (caught, tally) = match &steps {
            Some(steps) => {
                let (breach, tally) = suite.confirm(steps)?;
                let caught = breach.map(|breach| {
                    let steps = steps[..steps.len().min(breach.step + 1)].to_vec();
                    BrokenSequence { steps: operation::tidy(&steps), breach }
                });
                (caught.into_iter().collect(), tally)
            }
            None => suite.search()?,
        };
        report.sampled = self.threads > 1 && steps.is_none();
        report.findings = caught.iter().map(|caught| self.finding(caught, seed)).collect();
        if steps.is_none() {
            let known = |clause| caught.iter().any(|caught| caught.breach.clause == clause);
            let met = suite.storm()?.filter(|(clause, _)| !known(*clause));
            report.findings.extend(met.map(|(clause, note)| self.met(clause, &note, seed)));
            let sequences: Vec<String> =
                (0..range.sequences()).map(|nth| operation::print(&range.sequence(nth))).collect();
            report.fingerprint = hash_bytes(sequences.concat().as_bytes());
            report.notes = self.notes(range);
        }
        report.findings.sort_by(|a, b| a.id.cmp(&b.id));
        report.coverage.requests = tally.requests;
        report.coverage.complete = true;
        report.peak = tally.peak;
        if steps.is_none() && report.findings.is_empty() && tally.granted == 0 {
            return Err(Error::new("the port refused every request: nothing was tried")
                .help("give it memory, or ask for less: .max_size(bytes), .max_align(align)"));
        }
        report.replayed = token.map(|token| {
            let same = |found: &Finding| found.token.fingerprint == token.fingerprint;
            match report.findings.as_slice() {
                [] => Replayed::NoFailure,
                findings if findings.iter().any(same) => Replayed::Reproduced,
                _ => Replayed::Different,
            }
        });
        Ok(report)
    }

    /// What the port is held to, each in the words of a finding that says it is broken. Most is
    /// promised by every port; the rest is asked for, as by [`fixed`](Self::fixed).
    #[must_use]
    pub fn promises(&self) -> Vec<&'static str> {
        let is_asked = |clause: &Clause| match clause {
            Clause::Beyond => self.fixed.is_some(),
            Clause::GivenBack => self.fixed.is_some() || self.held.is_some(),
            _ => true,
        };
        let mut promises: Vec<_> =
            Clause::ALL.into_iter().filter(is_asked).map(Clause::promise).collect();
        promises.dedup();
        promises
    }

    fn notes(&self, range: &SequenceRange) -> Vec<String> {
        let (sequences, all) = (range.sequences(), range.operations as u64);
        let mut notes = vec![format!(
            "{} in {}, held to {}",
            crate::report::format::count(all, "operation"),
            crate::report::format::count(sequences, "sequence"),
            crate::report::format::count(self.promises().len() as u64, "promise"),
        )];
        if self.fixed.is_none() && self.held.is_none() {
            let how = "see Conformance::fixed and Conformance::held";
            notes.push(format!(
                "whether memory that is given back is used again: unverified; {how}"
            ));
        }
        if !cfg!(unix) || cfg!(miri) {
            notes.push("it was run in process: a crash would have ended it".to_owned());
        }
        notes
    }

    fn finding(&self, caught: &BrokenSequence, seed: u64) -> Finding {
        let BrokenSequence { steps, breach } = caught;
        let lines = operation::print(steps);
        let indented: String = lines.lines().map(|line| format!("\n  {line}")).collect();
        let by = if steps.is_empty() {
            "by making and dropping it".to_owned()
        } else {
            format!("by this sequence, the smallest that shows it:{indented}")
        };
        self.broken(breach.clause, &breach.note, by, &lines, seed)
    }

    /// What was found by threads at once.
    fn met(&self, clause: Clause, note: &str, seed: u64) -> Finding {
        let by = format!("by {} threads at once: no sequence shows how they met", self.threads);
        self.broken(clause, note, by, "storm", seed)
    }

    fn broken(&self, clause: Clause, note: &str, by: String, lines: &str, seed: u64) -> Finding {
        let (kind, promise) = (Kind::PortContract, clause.promise());
        let hash = |text: String| hash_bytes(text.as_bytes());
        let root = hash(format!("{kind}{promise}")) >> 32;
        let fingerprint = hash(format!("{promise}\n{lines}"));
        let test = std::thread::current().name().filter(|name| *name != "main").map(str::to_owned);
        let program = || self.program.clone().unwrap_or_else(started);
        Finding {
            kind,
            id: format!("{}-{root:08x}", kind.letter()),
            scenario: self.name.clone(),
            block: None,
            blocks: 0,
            bytes: 0,
            steps: Vec::new(),
            notes: vec![format!("broken: {promise}"), note.to_owned(), by],
            fault: None,
            count: 1,
            of: 0,
            schedule: None,
            token: Token {
                turns: None,
                scenario: self.name.clone(),
                fault: None,
                seed,
                input: None,
                modes: Vec::new(),
                fingerprint: Fingerprint(fingerprint).short(),
            },
            rerun: test.map_or_else(|| Rerun::Program(program()), Rerun::Test),
        }
    }
}

impl<P: Port + Clone> Conformance<'_, P> {
    /// Makes the calls through so many clones in turn, at most 64: clones own each other's blocks.
    pub fn clones(mut self, clones: u8) -> Self {
        self.clones = clones.clamp(1, 64);
        self.clone = Some(P::clone);
        self
    }
}

impl<P: Port + Sync> Conformance<'_, P> {
    /// Makes the calls from so many threads, at most 64: one at a time in the sequences, so that
    /// blocks are freed on other threads than they were asked for on, and all at once after that,
    /// as sampled as real threads are.
    pub fn threads(mut self, threads: u8) -> Self {
        self.threads = threads.clamp(1, 64);
        if self.threads > 1 {
            self.drive = together;
            self.storm = Some(stress::storm);
        }
        self
    }
}
