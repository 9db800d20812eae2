//! The cost of the adversarial heap per pair of alloc and free, for each mode, and the operations per
//! second of a conformance suite.
//!
//! `cargo bench -p mallory --bench adversary`. Figures are medians of several rounds; on a noisy machine
//! rely on the ratios, not on single figures.
#![allow(unsafe_code)]

mod rows;

use std::alloc::Layout;
use std::hint::black_box;
use std::time::Instant;

use mallory::adversary::{Adversary, Guard, Reuse};
use mallory::{Port, SystemPort, conformance};
use rows::median;

const ROUNDS: usize = 11;
const PAIRS: u32 = 20_000;

/// Nanoseconds for allocating and freeing a block of 64 bytes.
fn pair(port: &impl Port) -> f64 {
    let layout = Layout::from_size_align(64, 8).expect("a small layout");
    let round = |_| {
        let started = Instant::now();
        for _ in 0..PAIRS {
            let block = port.alloc(black_box(layout)).expect("memory");
            // SAFETY: the block was just granted with this layout.
            unsafe { port.free(black_box(block.cast()), layout) }
        }
        started.elapsed().as_nanos() as f64 / f64::from(PAIRS)
    };
    median((0..ROUNDS).map(round).collect())
}

fn main() {
    let friendly = Adversary::friendly;
    let plain = pair(&SystemPort::new());
    println!("{:<28} {:>9} {:>8}", "mode", "ns/pair", "× plain");
    println!("{:<28} {plain:>9.1} {:>8.1}", "the port below", 1.0);
    for (name, modes) in [
        ("none", friendly()),
        ("tight", friendly().tight(true)),
        ("slack", friendly().slack(true)),
        ("rubbish", friendly().rubbish(true)),
        ("reuse at once", friendly().reuse(Reuse::AtOnce)),
        ("reuse never", friendly().reuse(Reuse::Never)),
        ("guard after", friendly().guard(Guard::After)),
        ("guard before", friendly().guard(Guard::Before)),
        ("guard, reuse at once", friendly().guard(Guard::After).reuse(Reuse::AtOnce)),
        ("all", Adversary::new()),
    ] {
        let nanos = pair(&modes.over(SystemPort::new()));
        println!("{name:<28} {nanos:>9.1} {:>8.1}", nanos / plain);
    }
    let operations = 65_536;
    println!("\n{:<28} {:>14}", "conformance", "operations/s");
    let rate = |name: &str, run: &dyn Fn() -> mallory::Report| {
        let times = (0..5).map(|_| {
            let started = Instant::now();
            run().assert_clean();
            started.elapsed().as_secs_f64()
        });
        println!("{name:<28} {:>14.0}", operations as f64 / median(times.collect()));
    };
    let suite = || conformance(SystemPort::new).operations(operations);
    rate("up to 64 KiB", &|| suite().run());
    rate("up to 256 bytes", &|| suite().max_size(256).max_align(64).run());
}
