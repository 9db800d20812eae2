//! Property tests: proptest generates operations and faults, the system is compared with its model, and
//! a failing script is shrunk and written as a case.

use std::path::PathBuf;
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde::Serialize;

use crate::env::Env;
use crate::error::Error;
use crate::process::scratch_dir::ScratchDir;
use crate::report::Report;
use crate::script::arbitrary as generate;
use crate::script::arbitrary::ScriptRange;
use crate::script::bounds::{DrawnOperation, ScriptOperation};
use crate::script::case::{report_failure, shrink_failure};
use crate::script::failing_script::FailingScript;
use crate::script::failure_search::find_failure;
use crate::script::runner::ScriptRunner;
use crate::script::shrink::Limits;
use crate::system::System;
use crate::system::script::Script;
use crate::trace::mix;

/// Random bytes for each operation: about as many as an operation consumes on average.
const BYTES_PER_OPERATION: usize = 16;
/// The most operations of a script with several threads: each is run in several schedules.
const OPERATIONS_THREADS: usize = 24;

/// Compares a system with its model under random operations and faults: see [`Property`].
///
/// ```no_run
/// # use mallory::System;
/// # fn check<S: System>() where for<'a> S::Op: arbitrary::Arbitrary<'a> + serde::Serialize + serde::de::DeserializeOwned {
/// # type Queue<S> = S;
/// mallory::proptest::property::<Queue<S>>().cases_in("tests/cases").run().assert_clean();
/// # }
/// ```
#[track_caller]
pub fn property<S: System>() -> Property<S>
where
    S::Op: DrawnOperation,
{
    let env = Env::read();
    let seed = env.as_ref().ok().and_then(|env| env.seed).unwrap_or(0);
    Property {
        runner: env.and_then(|_| ScriptRunner::new(Arc::from([]))),
        cases: 256,
        operations: 100,
        seed,
        folder: None,
        limits: Limits::default(),
        accepts_no_requests: false,
    }
}

/// Runs random scripts of one system: with faults that happen once, for good, in bursts or by a budget,
/// with the kill switch on and off, and some on the adversarial heap.
///
/// A run has to satisfy all that the [`System`] says of itself: replies and end state are the model's,
/// an atomic operation that fails changes nothing, and a failed operation succeeds when it is repeated.
/// No detector may find anything. If the system is [shared](System::shared) and the feature `shuttle`
/// is on, one script in four has two or three threads and is run in random schedules; replies and end
/// state then have to be the model's for some order of the operations. Runs are made in a child process.
///
/// A failing script is shrunk: see [`cases_in`](Self::cases_in).
#[must_use = "nothing is done until it is run"]
pub struct Property<S: System> {
    runner: Result<ScriptRunner<S>, Error>,
    cases: u32,
    operations: usize,
    seed: u64,
    folder: Option<PathBuf>,
    limits: Limits,
    accepts_no_requests: bool,
}

impl<S: System> Property<S>
where
    S::Op: DrawnOperation,
{
    /// How many scripts are run: 256 unless set.
    pub fn cases(mut self, cases: u32) -> Self {
        self.cases = cases;
        self
    }

    /// The most operations of a script: 100 unless set. A script with several threads has at most 24.
    pub fn operations(mut self, operations: usize) -> Self {
        self.operations = operations;
        self
    }

    /// The seed of everything random. Unless set it is `MALLORY_SEED`, or 0 without that variable.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What the system reads, nothing unless set: see [`World::input`](crate::system::World::input).
    pub fn input(mut self, input: impl Into<Arc<[u8]>>) -> Self {
        if let Ok(runner) = &mut self.runner {
            runner.inner.settings.input = input.into();
        }
        self
    }

    /// The folder, relative to the package's, into which the smallest failing script is written as
    /// `<finding id>.ron`. A committed case is a test: see [`ScriptTests`](crate::script::ScriptTests).
    pub fn cases_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// How long to shrink a failing script.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Accepts a system that asks for no memory in any script. Otherwise that is an error: where no
    /// request is made, none fails, and only the comparison with the model is left.
    pub fn allow_no_requests(mut self) -> Self {
        self.accepts_no_requests = true;
        self
    }

    /// Runs the property. Random scripts are only a sample, so without a finding the verdict is
    /// [`Sampled`](crate::Verdict::Sampled). A caller's mistake is the report's
    /// [error](Report::error).
    #[must_use]
    pub fn run(self) -> Report {
        let seed = self.seed;
        self.try_run().unwrap_or_else(|error| Report::failed(S::NAME, seed, error))
    }

    fn try_run(self) -> Result<Report, Error> {
        let runner = self.runner?;
        let (operations, seed) = (self.operations, self.seed);
        let script = |nth: u64| {
            let threads = cfg!(feature = "shuttle") && nth % 4 == 3 && S::shared().is_some();
            let most = if threads { operations.min(OPERATIONS_THREADS) } else { operations };
            let range = ScriptRange { operations: most, modes: true, threads };
            random_script::<S::Op>(S::NAME, range, mix(seed) ^ nth)
        };
        let found = find_failure(&runner, u64::from(self.cases), &script)?;
        let asks = found.requests > 0 || found.failure.is_some() || self.accepts_no_requests;
        if !asks {
            return Err(Error::new("no request reached the heap; did the system use it?").help(
                "make collections on the heap that `open` is given, as Vec::new_in(heap.clone()); \
                 .allow_no_requests() accepts this",
            ));
        }
        let mut report = match found.failure {
            None => Report::empty(S::NAME, seed),
            Some(failure) => {
                let failure = shrink_failure(&runner, failure, self.limits)?;
                let path = match &self.folder {
                    Some(folder) if failure.removed.is_some() => {
                        failure.write(folder)?;
                        // The report names the path relative to the package, as on every machine.
                        Some(folder.join(format!("{}.ron", failure.id)))
                    }
                    _ => None,
                };
                report_failure(&runner, &failure, path.as_deref())?
            }
        };
        (report.seed, report.sampled) = (seed, true);
        report.coverage.runs = found.runs;
        report.coverage.runs_total = u64::from(self.cases);
        report.coverage.complete = true;
        Ok(report)
    }
}

/// The random script with this number, always the same one for a range.
fn random_script<Op: Clone + Serialize + for<'a> Arbitrary<'a>>(
    system: &str,
    range: ScriptRange,
    number: u64,
) -> Script<Op> {
    let mut bytes = [0; 32];
    for (nth, word) in bytes.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&mix(number.wrapping_add(nth as u64)).to_le_bytes());
    }
    let config = Config { failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let tree = scripts(system, range).new_tree(&mut runner);
    tree.map_or_else(|_| Script::of(system, Vec::new()), |tree| tree.current().0)
}

/// A generated script for proptest's own macros. Its `Debug` text is the script's text.
#[derive(Clone)]
pub struct Drawn<Op>(pub Script<Op>);

impl<Op: Serialize> std::fmt::Debug for Drawn<Op> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.print().unwrap_or_default())
    }
}

fn scripts<Op: Clone + Serialize + for<'a> Arbitrary<'a>>(
    system: &str,
    range: ScriptRange,
) -> impl Strategy<Value = Drawn<Op>> + use<Op> {
    let system = system.to_owned();
    let bytes = vec(any::<u8>(), 0..=range.operations * BYTES_PER_OPERATION);
    bytes
        .prop_map(move |bytes| {
            let script = generate::script(&system, range, &mut Unstructured::new(&bytes));
            Drawn(script.unwrap_or_else(|_| Script::of(&system, Vec::new())))
        })
        .no_shrink()
}

/// A strategy for `proptest!`: scripts of a system with at most `operations` operations. Proptest
/// doesn't shrink them; [`check`] does, and reports the smallest.
///
/// ```no_run
/// # use mallory::System;
/// use mallory::proptest::{check, strategy};
/// # fn queue<Queue: System>() -> Result<(), proptest::test_runner::TestError<mallory::proptest::Drawn<Queue::Op>>>
/// # where Queue::Op: for<'a> arbitrary::Arbitrary<'a> + serde::Serialize + serde::de::DeserializeOwned {
/// let mut runner = proptest::test_runner::TestRunner::default();
/// runner.run(&strategy::<Queue>(50), |drawn| check::<Queue>(&drawn))
/// # }
/// ```
pub fn strategy<S: System>(operations: usize) -> impl Strategy<Value = Drawn<S::Op>>
where
    S::Op: DrawnOperation,
{
    scripts(S::NAME, ScriptRange { operations, modes: true, threads: false })
}

/// Runs a script in this process and compares it with the model, for use inside `proptest!`.
///
/// # Errors
/// If the script shows anything: the report, with the smallest script that shows it.
pub fn check<S: System>(drawn: &Drawn<S::Op>) -> Result<(), TestCaseError>
where
    S::Op: ScriptOperation,
{
    let report = |script: &Script<S::Op>| -> Result<Option<Report>, Error> {
        let mut runner = ScriptRunner::<S>::new(Arc::from([]))?;
        runner.inner.settings.in_process = true;
        let run = runner.run_here(script, &ScratchDir::new(std::process::id()), None)?;
        let Some(failure) = FailingScript::new(&runner, script.clone(), run) else {
            return Ok(None);
        };
        let failure = shrink_failure(&runner, failure, Limits::default())?;
        report_failure(&runner, &failure, None).map(Some)
    };
    match report(&drawn.0) {
        Ok(None) => Ok(()),
        Ok(Some(report)) => Err(TestCaseError::fail(report.to_string())),
        Err(error) => Err(TestCaseError::fail(error.to_string())),
    }
}
