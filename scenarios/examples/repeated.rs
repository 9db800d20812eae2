//! Sweeps the same subjects again and again: reports of programs that corrupt memory are the same
//! bytes each time, with one job and with two, and correct threads are never accused.
//!
//! `cargo run --release --example repeated` prints a line for each sort of subject, and fails if one
//! of them is wrong. `cargo run --release --example repeated -- 5` makes fewer runs, in percent.
#![allow(unsafe_code, reason = "it writes where it may not")]

use std::alloc::{Layout, alloc, dealloc};
use std::collections::{BTreeMap, TryReserveError};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::{Mutex, mpsc};

use mallory::{GlobalHeap, Kind, Report, Sweep};
use mallory_scenarios::planted::published;

#[global_allocator]
static HEAP: GlobalHeap = GlobalHeap::system();

/// Sweeps of each corrupt program with one job, and as many with two.
const REPETITIONS: u64 = 25;
/// Sweeps of the correct threads.
const THREAD_SWEEPS: u64 = 1000;

fn main() -> ExitCode {
    let percent = std::env::args().nth(1).map_or(Ok(100), |percent| percent.parse::<u64>());
    let Ok(percent) = percent else {
        eprintln!("usage: repeated [PERCENT]");
        return ExitCode::from(2);
    };
    let repetitions = (REPETITIONS * percent / 100).max(1);
    let mut wrong = 0;
    for bug in published::all() {
        wrong += differing(bug.source, repetitions, |jobs| bug.sweep_with(true, jobs));
    }
    for length in [17, 100, 4096] {
        let name = format!("overflow by {length}, global");
        wrong += differing(&name, repetitions, |jobs| {
            let sweep = Sweep::new("overflow").global(&HEAP).jobs(jobs);
            sweep.run(|_| overflow(length))
        });
    }
    let sweeps = (THREAD_SWEEPS * percent / 100).max(1);
    let mut verdicts: BTreeMap<String, u64> = BTreeMap::new();
    for _ in 0..sweeps {
        let report = Sweep::new("threads").global(&HEAP).run(|_| correct_threads());
        for finding in report.findings() {
            // To start a thread std makes requests that abort.
            if finding.kind() != Kind::Abort {
                println!("{finding}");
                *verdicts.entry(finding.kind().to_string()).or_default() += 1;
            }
        }
    }
    println!("correct threads: {sweeps} sweeps, findings other than aborts: {verdicts:?}");
    if wrong == 0 && verdicts.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints how many different reports these sweeps give. Returns 1 if it isn't one.
fn differing(name: &str, repetitions: u64, sweep: impl Fn(usize) -> Report) -> u32 {
    let mut texts: BTreeMap<String, u64> = BTreeMap::new();
    for jobs in [1, 2] {
        for _ in 0..repetitions {
            *texts.entry(sweep(jobs).to_string()).or_default() += 1;
        }
    }
    println!("{name}: {} sweeps, {} different", 2 * repetitions, texts.len());
    if texts.len() == 1 {
        return 0;
    }
    for (text, times) in texts {
        println!("{times} times:\n{text}");
    }
    1
}

/// Writes behind a block, and then uses the allocator.
fn overflow(length: usize) -> Result<usize, TryReserveError> {
    let layout = Layout::new::<[u64; 8]>();
    // SAFETY: none, it writes behind the block: that is the bug.
    unsafe {
        let block = alloc(layout);
        if block.is_null() {
            return Ok(0);
        }
        block.add(layout.size()).write_bytes(0xAB, black_box(length));
        dealloc(block, layout);
    }
    let mut after = Vec::new();
    after.try_reserve_exact(100)?;
    after.push(1_u8);
    Ok(after.len())
}

/// Threads that share a lock and a channel, and are joined.
fn correct_threads() -> Result<usize, TryReserveError> {
    let shared = Mutex::new(Vec::new());
    shared.lock().expect("no thread panics").try_reserve_exact(3)?;
    let (send, receive) = mpsc::channel::<Vec<u8>>();
    let filled = |nth: u8| {
        let mut bytes = Vec::new();
        bytes.try_reserve(64)?;
        bytes.push(nth);
        Ok::<_, TryReserveError>(bytes)
    };
    std::thread::scope(|scope| {
        let work = |nth: u8| {
            let (send, shared) = (send.clone(), &shared);
            move || {
                let bytes = filled(nth)?;
                shared.lock().expect("no thread panics").push(nth);
                send.send(bytes).expect("the receiver waits");
                Ok::<_, TryReserveError>(())
            }
        };
        let threads = [0, 1, 2].map(|nth| scope.spawn(work(nth)));
        drop(send);
        let received = receive.iter().map(|bytes| bytes.len()).sum();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))?;
        Ok(black_box(received))
    })
}
