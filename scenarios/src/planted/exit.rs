//! Exit: filling in a template, by code that was a program before it became a library.

use std::process;

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::Exit,
    wrong: "ends the whole process if there is no memory for a line",
    right: "returns an error if there is no memory for the line",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const TEMPLATE: [&str; 4] = ["Dear ", "NAME", ", your quota is at ", "QUOTA"];

fn value(part: &'static str) -> &'static str {
    match part {
        "NAME" => "Ada",
        "QUOTA" => "80 %",
        part => part,
    }
}

/// The bug: a library must leave it to its caller whether the process goes on.
fn planted(heap: &Heap) -> Result<usize, Oom> {
    let mut line = Vec::new_in(heap.clone());
    for part in TEMPLATE.map(value) {
        if line.try_reserve(part.len()).is_err() {
            process::exit(71);
        }
        line.extend_from_slice(part.as_bytes());
    }
    Ok(line.len())
}

fn near_miss(heap: &Heap) -> Result<usize, Oom> {
    let mut line = Vec::new_in(heap.clone());
    for part in TEMPLATE.map(value) {
        if line.try_reserve(part.len()).is_err() {
            return Err(Oom);
        }
        line.extend_from_slice(part.as_bytes());
    }
    Ok(line.len())
}
