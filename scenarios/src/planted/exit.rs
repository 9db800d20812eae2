//! Exit: a template that is filled in, in code that was a program before it was a library.

use std::process;

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options};

use super::{Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::Exit,
    wrong: "ends the whole process where there is no memory for a line",
    right: "answers an error where there is no memory for the line",
    options: Options::new,
    planted: |sweep| super::run(sweep, planted),
    near_miss: |sweep| super::run(sweep, near_miss),
};

const TEMPLATE: [&str; 4] = ["Dear ", "NAME", ", your quota is at ", "QUOTA"];

fn value(part: &'static str) -> &'static str {
    match part {
        "NAME" => "Ada",
        "QUOTA" => "80 %",
        part => part,
    }
}

/// The bug: a library's caller has a say in whether it goes on.
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
