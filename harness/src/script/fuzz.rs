//! Fuzz targets: a fuzzer's bytes become a script. If the script shows anything, it is shrunk, written
//! as a case, and the process ends by a panic, as fuzzers expect it.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use serde::Serialize;

use crate::error::Error;
use crate::heap::Heap;
use crate::heap::thread_context::ours;
use crate::options::Options;
use crate::process::scratch_dir::ScratchDir;
use crate::report::Report;
use crate::report::kind::Kind;
use crate::run::outcome::SubjectEnd;
use crate::run::{Stage, Subject, execute};
use crate::script::arbitrary as generate;
use crate::script::arbitrary::ScriptRange;
use crate::script::bounds::{DrawnOperation, ScriptOperation};
use crate::script::case::{report_failure, shrink_failure};
use crate::script::failing_script::FailingScript;
use crate::script::runner::ScriptRunner;
use crate::script::shrink::Limits;
use crate::sweep::builder::Sweep;
use crate::sweep::journal_text;
use crate::system::System;
use crate::system::script::Script;

/// The most operations of a fuzzed script.
const OPERATIONS_MAX: usize = 512;

/// A script from a fuzzer's bytes. Its `Debug` text is the script's text.
pub struct Input<S: System>(pub Script<S::Op>);

impl<'a, S: System> Arbitrary<'a> for Input<S>
where
    S::Op: Arbitrary<'a>,
{
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let range = ScriptRange { operations: OPERATIONS_MAX, modes: true, threads: false };
        generate::script(S::NAME, range, u).map(Input)
    }
}

impl<S: System> fmt::Debug for Input<S>
where
    S::Op: Serialize,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.print().unwrap_or_default())
    }
}

/// A fuzz target for a system: one line of a file in `fuzz/fuzz_targets`, below `#![no_main]`. The
/// second argument, if any, is what the system reads. The crate needs `libfuzzer-sys`.
///
/// ```text
/// #![no_main]
/// mallory::fuzz::fuzz_target!(Queue);
/// ```
///
/// A finding ends the process by a panic, as fuzzers expect it. Environment variables:
/// - `MALLORY_CASES`: a folder into which the smallest script is written as a case.
/// - `MALLORY_KNOWN`: ids of findings that are ignored, separated by commas.
/// - `MALLORY_TRIAGE=1`: runs are made in child processes, so that a crash becomes a case as well.
#[doc(hidden)]
#[macro_export]
macro_rules! __fuzz_target {
    ($system:ty) => {
        $crate::fuzz::fuzz_target!($system, ::std::sync::Arc::from([]));
    };
    (|$bytes:ident| $run:expr) => {
        ::libfuzzer_sys::fuzz_target!(|$bytes: &[u8]| $run);
    };
    ($system:ty, $input:expr) => {
        ::libfuzzer_sys::fuzz_target!(|input: $crate::fuzz::Input<$system>| {
            $crate::fuzz::attack::<$system>(&input, || $input);
        });
    };
}

thread_local! {
    /// The target of each system in this process. They are kept since making one reads the environment.
    static TARGETS: RefCell<BTreeMap<&'static str, Box<dyn Any>>> =
        const { RefCell::new(BTreeMap::new()) };
}

/// How one system is fuzzed.
struct FuzzTarget<S> {
    runner: ScriptRunner<S>,
    scratch: ScratchDir,
    /// Whether runs are made in child processes.
    triage: bool,
    /// Ids of findings that are ignored.
    known: Vec<String>,
}

/// Runs a script. `world` returns what the system reads; it is called once in a process, for the first
/// script of a system.
///
/// # Panics
/// If the script shows anything: with the report. If an environment variable is wrong, or a case can't
/// be written: with that error.
pub fn attack<S: System + 'static>(input: &Input<S>, world: impl FnOnce() -> Arc<[u8]>)
where
    S::Op: ScriptOperation,
{
    TARGETS.with_borrow_mut(|targets| {
        let target = targets.entry(S::NAME).or_insert_with(|| {
            let mut runner =
                ScriptRunner::<S>::new(world()).unwrap_or_else(|error| panic!("{error}"));
            let triage = std::env::var_os("MALLORY_TRIAGE").is_some_and(|set| set == "1");
            runner.inner.settings.in_process = !triage;
            let scratch = ScratchDir::new(std::process::id());
            let known = std::env::var("MALLORY_KNOWN").unwrap_or_default();
            let known = known.split(',').map(str::to_owned).collect();
            Box::new(FuzzTarget { runner, scratch, triage, known })
        });
        let target = target.downcast_ref::<FuzzTarget<S>>();
        let target = target.expect("[mallory bug] two systems have one name");
        match target.report(&input.0) {
            Ok(None) => {}
            Ok(Some(report)) => panic!("{report}"),
            Err(error) => panic!("{error}"),
        }
    });
}

/// Like [`attack`], on a fuzzer's bytes: replays a committed input.
///
/// # Panics
/// Like [`attack`].
pub fn replay<S: System + 'static>(bytes: &[u8], world: impl FnOnce() -> Arc<[u8]>)
where
    S::Op: DrawnOperation,
{
    if let Ok(input) = Input::<S>::arbitrary_take_rest(Unstructured::new(bytes)) {
        attack(&input, world);
    }
}

/// The kinds of what a closure shows on a watched heap, in this process: each once, sorted.
#[doc(hidden)]
#[must_use]
pub fn kinds(run: impl Fn(&Heap)) -> Vec<Kind> {
    struct HeapClosure<F>(F);

    impl<F: Fn(&Heap)> Subject for HeapClosure<F> {
        fn call(&self, stage: &mut Stage<'_>) -> SubjectEnd {
            let heap = stage.heap.clone();
            stage.arm();
            ours(|| (self.0)(&heap));
            stage.disarm();
            SubjectEnd::Ok { differs: None }
        }
    }

    let settings = Sweep::new("kinds").into_settings().unwrap_or_else(|error| panic!("{error}"));
    let scratch = ScratchDir::new(std::process::id());
    let job = crate::run::Job { lifeline: None, ..settings.job(&scratch) };
    let run = execute(&HeapClosure(run), job);
    let kinds: BTreeSet<Kind> = run.evidence.iter().map(|evidence| evidence.kind).collect();
    kinds.into_iter().collect()
}

/// Reads these bytes as a sweep's journal, and returns the number of points in it.
///
/// # Errors
/// If they are none.
#[doc(hidden)]
pub fn read_journal(bytes: &[u8]) -> Result<usize, Error> {
    journal_text::check(bytes)
}

/// Runs scripts like [`attack`], with other options and in this process, for measurements.
#[doc(hidden)]
pub struct Measured<S>(FuzzTarget<S>);

impl<S: System> Measured<S> {
    /// With these options.
    ///
    /// # Panics
    /// If an environment variable is wrong.
    #[must_use]
    pub fn new(world: Arc<[u8]>, options: Options) -> Self {
        let mut runner = ScriptRunner::<S>::new(world).unwrap_or_else(|error| panic!("{error}"));
        runner.inner.settings.in_process = true;
        runner.inner.settings.options = options;
        let scratch = ScratchDir::new(std::process::id());
        Measured(FuzzTarget { runner, scratch, triage: false, known: Vec::new() })
    }

    /// Whether a script shows nothing.
    #[must_use]
    pub fn is_clean(&self, input: &Input<S>) -> bool {
        let run = self.0.runner.run_here(&input.0, &self.0.scratch, None);
        run.is_ok_and(|run| run.evidence.is_empty())
    }
}

impl<S: System> FuzzTarget<S>
where
    S::Op: ScriptOperation,
{
    /// The report of a script; `None` if it shows nothing, or what is ignored.
    fn report(&self, script: &Script<S::Op>) -> Result<Option<Report>, Error> {
        let run = if self.triage {
            self.runner.run_isolated(script)?.0
        } else {
            self.runner.run_here(script, &self.scratch, None)?
        };
        if run.evidence.is_empty() {
            return Ok(None);
        }
        let Some(failure) = FailingScript::new(&self.runner, script.clone(), run) else {
            return Ok(None);
        };
        if self.known.contains(&failure.id) {
            return Ok(None);
        }
        let failure = shrink_failure(&self.runner, failure, Limits::default())?;
        let folder = std::env::var_os("MALLORY_CASES").filter(|folder| !folder.is_empty());
        let path = folder.map(|folder| failure.write(&PathBuf::from(folder))).transpose()?;
        report_failure(&self.runner, &failure, path.as_deref()).map(Some)
    }
}
