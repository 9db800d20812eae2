//! Runs a fuzzer's bytes as a sequence on a port, in this process, and compares the port with the model.

use std::panic::panic_any;

use arbitrary::{Result, Unstructured};

use crate::conformance::call::{Ports, on_one_thread};
use crate::conformance::clause::{Breach, Rules};
use crate::conformance::contract;
use crate::conformance::operation::{Operation, SequenceStep, Size, SizeRequest, print};
use crate::conformance::shrink::shrink;
use crate::port::Port;

/// The most steps.
const STEPS_MAX: usize = 256;
/// The largest requested size that a port may grant.
const SIZE_MAX: usize = 64 << 10;
/// The most tries of the shrinker.
const TRIES: usize = 2_000;

/// Generates a sequence. Blocks are named by their number and freed in any order.
fn steps(u: &mut Unstructured<'_>) -> Result<Vec<SequenceStep>> {
    let (mut steps, mut live) = (Vec::new(), Vec::new());
    let mut name = 0;
    while steps.len() < STEPS_MAX && !u.is_empty() {
        let form = u.arbitrary::<u8>()?;
        let operation = match form % 8 {
            _ if live.is_empty() => None,
            0..=2 => {
                let nth = usize::from(u.arbitrary::<u8>()?) % live.len();
                Some(Operation::Free { name: live.swap_remove(nth), whole: form & 8 != 0 })
            }
            3 | 4 => {
                let name = live[usize::from(u.arbitrary::<u8>()?) % live.len()];
                let (grows, whole) = (form & 16 != 0, form & 8 != 0);
                Some(Operation::Resize { name, request: request(u)?, grows, whole })
            }
            _ => None,
        };
        let operation = match operation {
            Some(operation) => operation,
            None => {
                name += 1;
                live.push(name);
                Operation::Alloc { name, request: request(u)?, zeroed: form & 32 != 0 }
            }
        };
        steps.push(SequenceStep { operation, caller: 0 });
    }
    steps.extend(
        live.into_iter().map(|name| SequenceStep {
            operation: Operation::Free { name, whole: false },
            caller: 0,
        }),
    );
    Ok(steps)
}

fn request(u: &mut Unstructured<'_>) -> Result<SizeRequest> {
    let form = u.arbitrary::<u8>()?;
    let align = 1 << (form % 13);
    let size = match form >> 5 {
        0 => Size::Plain(0),
        1 => Size::Max(usize::from(u.arbitrary::<u8>()?)),
        2 | 3 => Size::Plain(usize::from(u.arbitrary::<u16>()?) % SIZE_MAX),
        _ => Size::Plain(usize::from(u.arbitrary::<u8>()?)),
    };
    Ok(SizeRequest { size, align })
}

/// Runs the sequence of these bytes on a fresh port.
///
/// # Panics
/// If the port breaks a promise: with the smallest sequence that shows it, in the text form that
/// [`replay`](crate::conformance::Conformance::replay) takes.
pub fn port<P: Port>(bytes: &[u8], make: impl Fn() -> P) {
    let Ok(steps) = steps(&mut Unstructured::new(bytes)) else { return };
    let run = |steps: &[SequenceStep], strict: bool| -> Option<Breach> {
        let clones = [make()];
        let ports = Ports { clones: &clones, held: None };
        let rules = Rules { strict, frees: true, fixed: None };
        let mut breach = None;
        on_one_thread(&ports, 1, &mut |call| {
            breach = contract::run(call, rules, steps, &mut || {}).0
        });
        breach
    };
    let Some(breach) = run(&steps, false) else { return };
    let clause = breach.clause;
    let mut oracle =
        |steps: &[SequenceStep]| run(steps, true).filter(|breach| breach.clause == clause);
    let (smallest, breach) = shrink(&steps, breach, SIZE_MAX, TRIES, &mut oracle);
    let promise = clause.promise();
    panic_any(format!("broken: {promise}\n{}\n{}", breach.note, print(&smallest)));
}
