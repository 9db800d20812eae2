//! Properties: proptest draws operations and faults, the model says what shall come of them, and
//! what breaks is made small and written down as a case.

use std::path::PathBuf;
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::env::Env;
use crate::error::Error;
use crate::process::scratch_dir::ScratchDir;
use crate::report::Report;
use crate::script::arbitrary as draw;
use crate::script::arbitrary::ScriptRange;
use crate::script::runner::Player;
use crate::script::shrink::Limits;
use crate::system::System;
use crate::system::script::Script;
use crate::trace::mix;

/// Bytes that an operation takes in the mean: how many are drawn for a script.
const BYTES_PER_OPERATION: usize = 16;
/// Operations at the most where several threads share them: each script is run in several schedules.
const OPERATIONS_THREADS: usize = 24;

/// Holds a system to its model under random operations and faults: see [`Property`].
///
/// ```no_run
/// # use mallory::{Heap, System, World};
/// # fn check<S: System>() where for<'a> S::Op: arbitrary::Arbitrary<'a> + serde::Serialize + serde::de::DeserializeOwned {
/// # type Queue<S> = S;
/// mallory::proptest::property::<Queue<S>>().cases_in("tests/cases").run().assert_clean();
/// # }
/// ```
#[track_caller]
pub fn property<S: System>() -> Property<S> {
    let env = Env::read();
    let seed = env.as_ref().ok().and_then(|env| env.seed).unwrap_or(0);
    Property {
        player: env.and_then(|_| Player::new(Arc::from([]))),
        cases: 256,
        operations: 100,
        seed,
        folder: None,
        limits: Limits::default(),
    }
}

/// Random scripts of one system, each with faults that come once, for good, in bursts or by a
/// budget, with the kill switch on and off, and now and then on the adversarial heap. What is
/// held to is all that a [`System`] says of itself: replies and the end state are the model's, an
/// atomic operation that fails changes nothing, the operation goes through when it is repeated;
/// and no detector may find anything. Where a system is [shared](System::shared), and with the
/// feature `shuttle`, one script in four has two or three threads, and is run in schedules of
/// chance: then replies and the end state are the model's in some order of the operations. The runs
/// are made in a child process.
///
/// What breaks is made as small as it gets; see [`cases_in`](Self::cases_in).
#[must_use = "nothing is done until it is run"]
pub struct Property<S: System> {
    player: Result<Player<S>, Error>,
    cases: u32,
    operations: usize,
    seed: u64,
    folder: Option<PathBuf>,
    limits: Limits,
}

impl<S: System> Property<S>
where
    S::Op: Serialize + DeserializeOwned + for<'a> Arbitrary<'a>,
{
    /// How many scripts are tried: 256 unless given.
    pub fn cases(mut self, cases: u32) -> Self {
        self.cases = cases;
        self
    }

    /// How many operations a script has at the most: 100 unless given.
    pub fn operations(mut self, operations: usize) -> Self {
        self.operations = operations;
        self
    }

    /// The one number that all chance comes from. 0 unless given; `MALLORY_SEED` as well.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What the system reads: see [`World::input`](crate::system::World::input).
    pub fn input(mut self, input: impl Into<Arc<[u8]>>) -> Self {
        if let Ok(player) = &mut self.player {
            player.settings.input = input.into();
        }
        self
    }

    /// The folder, below the package's own, that the smallest script of a finding is written to.
    /// Committed, it is a test: see [`ScriptTests`](crate::script::ScriptTests).
    pub fn cases_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// How long to look for something smaller.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Runs it. The verdict is *sampled* where nothing was found: chance shows some scripts only.
    #[must_use]
    pub fn run(self) -> Report {
        let seed = self.seed;
        self.explore().unwrap_or_else(|error| Report::failed(S::NAME, seed, error))
    }

    fn explore(self) -> Result<Report, Error> {
        let player = self.player?;
        let (operations, seed) = (self.operations, self.seed);
        let script = |nth: u64| {
            // One in four has several threads, where the system is made for them, and there is
            // somebody to let them take turns.
            let threads = cfg!(feature = "shuttle") && nth % 4 == 3 && S::shared().is_some();
            let most = if threads { operations.min(OPERATIONS_THREADS) } else { operations };
            let range = ScriptRange { operations: most, modes: true, threads };
            drawn::<S::Op>(S::NAME, range, mix(seed) ^ nth)
        };
        let (runs, caught) = player.hunt(u64::from(self.cases), &script)?;
        let mut report = match caught {
            None => Report::empty(S::NAME, seed),
            Some(caught) => {
                let caught = player.smallest(caught, self.limits)?;
                let path = match &self.folder {
                    Some(folder) if caught.removed.is_some() => {
                        caught.write(folder)?;
                        // As it is written from the package's folder, on every machine.
                        Some(folder.join(format!("{}.ron", caught.id)))
                    }
                    _ => None,
                };
                player.caught_report(&caught, path.as_deref())?
            }
        };
        (report.seed, report.sampled) = (seed, true);
        report.coverage.runs = runs;
        report.coverage.runs_total = u64::from(self.cases);
        report.coverage.complete = true;
        Ok(report)
    }
}

/// The script of this number: the same for the same range.
fn drawn<Op: Clone + Serialize + for<'a> Arbitrary<'a>>(
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

/// A script as proptest's own macros take it; its `Debug` text is the script's.
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
            let script = draw::script(&system, range, &mut Unstructured::new(&bytes));
            Drawn(script.unwrap_or_else(|_| Script::of(&system, Vec::new())))
        })
        .no_shrink()
}

/// Scripts of a system for `proptest!` itself, of so many operations at the most. They are not
/// shrunk by proptest: [`check`] tells the smallest.
pub fn strategy<S: System>(operations: usize) -> impl Strategy<Value = Drawn<S::Op>>
where
    S::Op: Serialize + for<'a> Arbitrary<'a>,
{
    scripts(S::NAME, ScriptRange { operations, modes: true, threads: false })
}

/// Plays a script in this process and holds it to the model, for use inside `proptest!`.
///
/// # Errors
/// Where it shows anything: the report, with the smallest script that shows it.
pub fn check<S: System>(drawn: &Drawn<S::Op>) -> Result<(), TestCaseError>
where
    S::Op: Serialize + DeserializeOwned,
{
    let report = |script: &Script<S::Op>| -> Result<Option<Report>, Error> {
        let mut player = Player::<S>::new(Arc::from([]))?;
        player.settings.in_process = true;
        let seen = player.see(script, &ScratchDir::new(std::process::id()), None, None)?;
        let Some(caught) = player.caught(script.clone(), seen) else { return Ok(None) };
        let caught = player.smallest(caught, Limits::default())?;
        player.caught_report(&caught, None).map(Some)
    };
    match report(&drawn.0) {
        Ok(None) => Ok(()),
        Ok(Some(report)) => Err(TestCaseError::fail(report.to_string())),
        Err(error) => Err(TestCaseError::fail(error.to_string())),
    }
}
