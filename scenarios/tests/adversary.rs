//! The services on the adversarial heap: with guard pages where they matter most, and every
//! request where only contents, addresses and alignments are against them.

use mallory::adversary::{Adversary, Guard, Reuse};
use mallory::script::Script;
use mallory::{Report, Sweep, System};
use mallory_scenarios::cache_rebuild::CacheRebuild;
use mallory_scenarios::fixture;
use mallory_scenarios::journal_intern::JournalIntern;
use mallory_scenarios::lfs_batch::LfsBatch;
use serde::de::DeserializeOwned;

type Input = fn() -> Result<std::sync::Arc<[u8]>, mallory::Error>;

fn report<S: System>(text: &str, input: Input, sweep: impl Fn(Sweep) -> Sweep) -> Report
where
    S::Op: DeserializeOwned,
{
    let script = Script::read(text, S::NAME).expect("a script");
    let plain = Sweep::new(S::NAME).input(input().expect("the fixture"));
    sweep(plain).scripted::<S>(&script)
}

/// New call sites come first, so a limit reaches all of them.
fn stays_clean<S: System>(text: &str, input: Input)
where
    S::Op: DeserializeOwned,
{
    let guarded = [
        Adversary::new(),
        Adversary::new().seed(1).guard(Guard::Before).reuse(Reuse::Never).refuse_shrinks(true),
    ];
    for modes in guarded {
        report::<S>(text, input, |sweep| sweep.adversary(modes.clone()).limit(48)).assert_clean();
    }
    let modes = Adversary::new().guard(Guard::None);
    let all = report::<S>(text, input, |sweep| sweep.adversary(modes.clone()));
    all.assert_clean();
    assert!(all.coverage().complete, "{all}");
}

#[test]
fn cache_rebuild() {
    let script = include_str!("../scripts/cache-rebuild.ron");
    stays_clean::<CacheRebuild>(script, fixture::journal);
}

#[test]
fn journal_intern() {
    let script = include_str!("../scripts/journal-intern.ron");
    stays_clean::<JournalIntern>(script, fixture::journal);
}

#[test]
fn lfs_batch() {
    let script = include_str!("../scripts/lfs-batch.ron");
    stays_clean::<LfsBatch>(script, fixture::lfs_requests);
}
