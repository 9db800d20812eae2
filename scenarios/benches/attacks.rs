//! The speed of fuzzing and property tests: executions of each fuzz target and property cases per
//! second, unwatched, on a heap with the ledger, and with all detectors; and how long it takes to
//! shrink a failure.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use mallory::fuzz::{Input, Measured};
use mallory::proptest::property;
use mallory::script::{Limits, minimise};
use mallory::system::World;
use mallory::{Options, Plan, Port, System, SystemPort};
use mallory_scenarios::fuzz_targets::{self, random_bytes};
use mallory_scenarios::planted::shelf::{
    Aborts, Bug, Forgets, Leaks, Mistakes, Overruns, Panics, Shelf, Shortens, Sound, Swallows,
};
use mallory_scenarios::services::cache_rebuild::CacheRebuild;
use mallory_scenarios::services::journal_intern::JournalIntern;
use mallory_scenarios::services::lfs_batch::LfsBatch;
use mallory_scenarios::systems::{Arenas, Blocks, Interns, Slabs};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The number of inputs of each target, and how often all of them are run; the best round counts.
const INPUTS: u64 = 300;
const ROUNDS: usize = 5;

fn input<S: System>(seed: u64) -> Input<S>
where
    S::Op: for<'a> Arbitrary<'a>,
{
    let bytes = random_bytes(seed, 100 + (seed as usize * 7) % 400);
    let drawn = Input::arbitrary_take_rest(Unstructured::new(&bytes));
    let mut input: Input<S> = drawn.expect("bytes enough");
    // Modes that only some inputs have would hide the usual cost.
    input.0.modes.clear();
    input
}

fn best(mut run: impl FnMut()) -> Duration {
    let round = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..ROUNDS).map(round).min().unwrap_or_default()
}

/// The time that the ledger adds to a pair of alloc and free.
fn surcharge() -> Duration {
    const PAIRS: u32 = 200_000;
    let layout = Layout::new::<[u64; 8]>();
    fn pairs(port: &impl Port, layout: Layout) {
        for _ in 0..PAIRS {
            let block = port.alloc(layout).expect("memory").cast();
            // SAFETY: the block was just handed out with this layout.
            unsafe { std::hint::black_box(port).free(std::hint::black_box(block), layout) };
        }
    }
    let heap = Options::new().ledger_only().heap();
    let watched = best(|| pairs(&heap, layout));
    let raw = best(|| pairs(&SystemPort::new(), layout));
    watched.saturating_sub(raw) / PAIRS
}

/// Runs one script without Mallory, as an unwatched fuzz target would: compared with the model, as
/// every target does it.
fn by_hand<S: System>(input: &Input<S>, world: &World<'_>, heap: &mallory::Heap) {
    let mut model = S::Model::default();
    let Ok(mut system) = S::open(heap, world) else { return };
    for op in &input.0.threads[0] {
        let expected = format!("{:?}", S::model(&mut model, op, world));
        let Ok(reply) = system.apply(op, world) else { return };
        assert_eq!(format!("{reply:?}"), expected);
    }
    assert!(system.snapshot() == model);
}

fn executions<S: System + 'static>(read: Arc<[u8]>, surcharge: Duration)
where
    S::Op: Serialize + DeserializeOwned + for<'a> Arbitrary<'a>,
{
    let mut inputs: Vec<Input<S>> = (0..INPUTS).map(input).collect();
    // A failure is repeated and analysed, which the unwatched run doesn't do.
    inputs.iter_mut().for_each(|input| input.0.fault = None);
    let scratch = tempfile::tempdir().expect("a folder");
    let world = World::new(&read, scratch.path());
    let empty = || {
        for entry in std::fs::read_dir(scratch.path()).into_iter().flatten().flatten() {
            let _ = std::fs::remove_file(entry.path());
        }
    };
    let requests = Arc::new(AtomicU64::new(0));
    let heap = || Options::new().ledger_only().heap();
    let all = best(|| {
        for input in &inputs {
            empty();
            by_hand(input, &world, &heap());
        }
    });
    for input in &inputs {
        empty();
        let (counter, heap) = (Arc::clone(&requests), heap());
        heap.arm(Plan::when(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            false
        }));
        by_hand(input, &world, &heap);
    }
    let pairs = u32::try_from(requests.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
    let raw = all.saturating_sub(surcharge * pairs);
    let watched = |options: Options| {
        let measured = Measured::<S>::new(Arc::clone(&read), options);
        best(|| {
            for input in &inputs {
                std::hint::black_box(measured.is_clean(input));
            }
        })
    };
    let (ledger, every) = (watched(Options::new().ledger_only()), watched(Options::new()));
    let rate = |time: Duration| INPUTS as f64 / time.as_secs_f64();
    println!(
        "{:<16} {:>8.1} {:>12.0} {:>12.0} {:>7.2}× {:>12.0} {:>7.2}×",
        S::NAME,
        f64::from(pairs) / INPUTS as f64,
        rate(raw),
        rate(ledger),
        rate(ledger) / rate(raw),
        rate(every),
        rate(every) / rate(raw),
    );
}

fn properties<S: System>(read: Arc<[u8]>)
where
    S::Op: Serialize + DeserializeOwned + for<'a> Arbitrary<'a>,
{
    const CASES: u32 = 400;
    let start = Instant::now();
    let report = property::<S>().input(read).cases(CASES).operations(50).run();
    let time = start.elapsed();
    assert!(report.findings().is_empty(), "{report}");
    println!("{:<16} {:>12.0}", S::NAME, f64::from(CASES) / time.as_secs_f64());
}

fn shrinking<F: Bug>() {
    let measured = Measured::<Shelf<F>>::new(Arc::from([]), Options::new());
    let is_death = F::NAME == Aborts::NAME;
    // An abort can't be tried in this process; the shelf that panics is reached by the same inputs.
    let panics = Measured::<Shelf<Panics>>::new(Arc::from([]), Options::new());
    let shows = |seed: &u64| {
        if is_death {
            !panics.is_clean(&input::<Shelf<Panics>>(*seed))
        } else {
            !measured.is_clean(&input::<Shelf<F>>(*seed))
        }
    };
    let length = |seed: &u64| input::<Shelf<F>>(*seed).0.threads[0].len();
    let seed = (0..3000).filter(shows).max_by_key(length);
    let script = input::<Shelf<F>>(seed.expect("it is reached")).0;
    let start = Instant::now();
    let small = minimise::<Shelf<F>>(&script, &[], Limits::default());
    let time = start.elapsed();
    let small = small.expect("played").expect("shown");
    let removed = small.removed.expect("steady");
    println!(
        "{:<28} {:>5} → {} operations {:>7} runs {:>9.1} ms",
        F::NAME,
        script.threads[0].len(),
        small.script.threads[0].len(),
        removed.runs,
        time.as_secs_f64() * 1000.0
    );
}

fn main() {
    let surcharge = surcharge();
    println!(
        "executions of a fuzz target per second; raw: operations and model by hand, less the \
         {surcharge:?} a pair that the ledger adds to the system's allocator"
    );
    println!(
        "{:<16} {:>8} {:>12} {:>12} {:>8} {:>12} {:>8}",
        "target", "requests", "raw", "ledger", "to raw", "all", "to raw"
    );
    let nothing = || Arc::from([]);
    executions::<CacheRebuild>(fuzz_targets::log(), surcharge);
    executions::<JournalIntern>(fuzz_targets::log(), surcharge);
    executions::<LfsBatch>(fuzz_targets::requests(), surcharge);
    executions::<Arenas>(nothing(), surcharge);
    executions::<Interns>(nothing(), surcharge);
    executions::<Blocks>(nothing(), surcharge);
    executions::<Slabs>(nothing(), surcharge);
    executions::<Shelf<Sound>>(nothing(), surcharge);
    println!("\nproperty cases per second, of up to 50 operations, all detectors, both heaps");
    properties::<CacheRebuild>(fuzz_targets::log());
    properties::<JournalIntern>(fuzz_targets::log());
    properties::<LfsBatch>(fuzz_targets::requests());
    properties::<Arenas>(nothing());
    properties::<Interns>(nothing());
    properties::<Blocks>(nothing());
    properties::<Slabs>(nothing());
    properties::<Shelf<Sound>>(nothing());
    println!("\nshrinking the longest failure of each planted bug");
    shrinking::<Leaks>();
    shrinking::<Forgets>();
    shrinking::<Shortens>();
    shrinking::<Mistakes>();
    shrinking::<Panics>();
    shrinking::<Overruns>();
    shrinking::<Swallows>();
    shrinking::<Aborts>();
}
