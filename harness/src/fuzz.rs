//! Fuzz targets: a fuzzer's bytes are a script, and what it shows ends the process, after the
//! smallest script of it was written down.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::input::{self, Range};
use crate::minimise::Limits;
use crate::options::Options;
use crate::player::Player;
use crate::report::Report;
use crate::scratch::Scratch;
use crate::script::Script;
use crate::system::System;

/// Operations of a fuzzed script at the most.
const OPERATIONS_MAX: usize = 512;

/// A script that a fuzzer drew; its `Debug` text is the script's.
pub struct Input<S: System>(pub Script<S::Op>);

impl<'a, S: System> Arbitrary<'a> for Input<S>
where
    S::Op: Arbitrary<'a>,
{
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let range = Range { operations: OPERATIONS_MAX, modes: true };
        input::script(S::NAME, range, u).map(Input)
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
/// folder, the smallest script is written there as a case first; with `MALLORY_TRIAGE=1` runs are
/// made in child processes, so that a crash becomes a case as well.
#[macro_export]
macro_rules! fuzz_target {
    ($system:ty) => {
        $crate::fuzz_target!($system, ::std::sync::Arc::from([]));
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
    scratch: Scratch,
    triage: bool,
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
            let scratch = Scratch::new(std::process::id());
            Box::new(Attack { player, scratch, triage })
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
        let scratch = Scratch::new(std::process::id());
        Measured(Attack { player, scratch, triage: false })
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
        let caught = self.player.smallest(caught, Limits::default())?;
        let folder = std::env::var_os("MALLORY_CASES").filter(|folder| !folder.is_empty());
        let path = folder.map(|folder| caught.write(&PathBuf::from(folder))).transpose()?;
        self.player.caught_report(&caught, path.as_deref()).map(Some)
    }
}
