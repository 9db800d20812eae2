//! Fuzz targets: a fuzzer's bytes are a script, and what it shows ends the process, after the
//! smallest script of it was written down.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::heap::Heap;
use crate::heap::thread_context::ours;
use crate::options::Options;
use crate::process::scratch_dir::ScratchDir;
use crate::report::Report;
use crate::report::kind::Kind;
use crate::run::outcome::SubjectEnd;
use crate::run::{Stage, Subject, execute};
use crate::script::arbitrary as draw;
use crate::script::arbitrary::ScriptRange;
use crate::script::runner::Player;
use crate::script::shrink::Limits;
use crate::sweep::builder::Sweep;
use crate::sweep::journal;
use crate::system::System;
use crate::system::script::Script;

/// Operations of a fuzzed script at the most.
const OPERATIONS_MAX: usize = 512;

/// A script that a fuzzer drew; its `Debug` text is the script's.
pub struct Input<S: System>(pub Script<S::Op>);

impl<'a, S: System> Arbitrary<'a> for Input<S>
where
    S::Op: Arbitrary<'a>,
{
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let range = ScriptRange { operations: OPERATIONS_MAX, modes: true, threads: false };
        draw::script(S::NAME, range, u).map(Input)
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

/// A fuzz target for a system, in one line of a file in `fuzz/fuzz_targets`, below
/// `#![no_main]`; an input that the system reads may follow. The crate needs `libfuzzer-sys`.
///
/// What is found ends the process, as fuzzers have it. Where the variable `MALLORY_CASES` names a
/// folder, the smallest script is written there as a case first; findings whose ids stand in
/// `MALLORY_KNOWN`, with commas between, are passed over; with `MALLORY_TRIAGE=1` runs are made in
/// child processes, so that a crash becomes a case as well.
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
    /// The player of each system that this process attacks: making one reads the environment.
    static PLAYERS: RefCell<BTreeMap<&'static str, Box<dyn Any>>> =
        const { RefCell::new(BTreeMap::new()) };
}

/// A player and what it works in.
struct Attack<S> {
    player: Player<S>,
    scratch: ScratchDir,
    triage: bool,
    /// Findings that are known, and are passed over.
    known: Vec<String>,
}

/// Plays a script, and panics with the report of what it shows. What the system reads is asked for
/// once in a process.
///
/// # Panics
/// Where the script shows anything.
pub fn attack<S: System + 'static>(input: &Input<S>, world: impl FnOnce() -> Arc<[u8]>)
where
    S::Op: Serialize + DeserializeOwned,
{
    PLAYERS.with_borrow_mut(|players| {
        let attack = players.entry(S::NAME).or_insert_with(|| {
            let mut player = Player::<S>::new(world()).unwrap_or_else(|error| panic!("{error}"));
            let triage = std::env::var_os("MALLORY_TRIAGE").is_some_and(|set| set == "1");
            player.settings.in_process = !triage;
            let scratch = ScratchDir::new(std::process::id());
            let known = std::env::var("MALLORY_KNOWN").unwrap_or_default();
            let known = known.split(',').map(str::to_owned).collect();
            Box::new(Attack { player, scratch, triage, known })
        });
        let attack = attack.downcast_ref::<Attack<S>>();
        let attack = attack.expect("[mallory bug] a system's player is of another system");
        match attack.report(&input.0) {
            Ok(None) => {}
            Ok(Some(report)) => panic!("{report}"),
            Err(error) => panic!("{error}"),
        }
    });
}

/// As [`attack`], on bytes as they are: what a committed regression is replayed by.
///
/// # Panics
/// Where the script shows anything.
pub fn replay<S: System + 'static>(bytes: &[u8], world: impl FnOnce() -> Arc<[u8]>)
where
    S::Op: Serialize + DeserializeOwned + for<'a> Arbitrary<'a>,
{
    if let Ok(input) = Input::<S>::arbitrary_take_rest(Unstructured::new(bytes)) {
        attack(&input, world);
    }
}

/// What a closure on a watched heap shows, in this process: each kind once, in their order.
#[doc(hidden)]
#[must_use]
pub fn kinds(run: impl Fn(&Heap)) -> Vec<Kind> {
    struct Bare<F>(F);

    impl<F: Fn(&Heap)> Subject for Bare<F> {
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
    let found = execute(&Bare(run), job);
    let kinds: BTreeSet<Kind> = found.evidence.iter().map(|evidence| evidence.kind).collect();
    kinds.into_iter().collect()
}

/// Reads these bytes as a sweep's journal.
#[doc(hidden)]
pub fn read_journal(bytes: &[u8]) -> Result<usize, Error> {
    journal::check(bytes)
}

/// As [`attack`], watched by these options alone, in this process, for measuring: whether it shows
/// anything.
#[doc(hidden)]
pub struct Measured<S>(Attack<S>);

impl<S: System> Measured<S> {
    /// A player with these options.
    #[must_use]
    pub fn new(world: Arc<[u8]>, options: Options) -> Self {
        let mut player = Player::<S>::new(world).unwrap_or_else(|error| panic!("{error}"));
        player.settings.in_process = true;
        player.settings.options = options;
        let scratch = ScratchDir::new(std::process::id());
        Measured(Attack { player, scratch, triage: false, known: Vec::new() })
    }

    /// Whether it is clean.
    #[must_use]
    pub fn is_clean(&self, input: &Input<S>) -> bool {
        let seen = self.0.player.see(&input.0, &self.0.scratch, None, None);
        seen.is_ok_and(|seen| seen.evidence.is_empty())
    }
}

impl<S: System> Attack<S>
where
    S::Op: Serialize + DeserializeOwned,
{
    fn report(&self, script: &Script<S::Op>) -> Result<Option<Report>, Error> {
        let seen = if self.triage {
            self.player.play(script)?.0
        } else {
            self.player.see(script, &self.scratch, None, None)?
        };
        if seen.evidence.is_empty() {
            return Ok(None);
        }
        let Some(caught) = self.player.caught(script.clone(), seen) else { return Ok(None) };
        if self.known.contains(&caught.id) {
            return Ok(None);
        }
        let caught = self.player.smallest(caught, Limits::default())?;
        let folder = std::env::var_os("MALLORY_CASES").filter(|folder| !folder.is_empty());
        let path = folder.map(|folder| caught.write(&PathBuf::from(folder))).transpose()?;
        self.player.caught_report(&caught, path.as_deref()).map(Some)
    }
}
