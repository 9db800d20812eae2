//! A fuzzer's bytes as a sequence on a port, run in this process beside the model.

use std::panic::panic_any;

use arbitrary::{Result, Unstructured};

use crate::conformance::call::{Ports, alone};
use crate::conformance::contract;
use crate::conformance::contract::{Breach, Rules};
use crate::conformance::operation::{Operation, SequenceStep, Size, SizeRequest, print};
use crate::conformance::shrink::shrink;
use crate::port::Port;

/// Steps at the most.
const STEPS_MAX: usize = 256;
/// The largest size that is asked for in earnest.
const SIZE_MAX: usize = 64 << 10;
/// Sequences that are tried on the way to the smallest.
const TRIES: usize = 2_000;

/// Draws a sequence; blocks are named by their number, and go in any order.
fn steps(u: &mut Unstructured<'_>) -> Result<Vec<SequenceStep>> {
    let (mut steps, mut live) = (Vec::new(), Vec::new());
    let mut name = 0;
    while steps.len() < STEPS_MAX && !u.is_empty() {
        let how = u.arbitrary::<u8>()?;
        let act = match how % 8 {
            _ if live.is_empty() => None,
            0..=2 => {
                let nth = usize::from(u.arbitrary::<u8>()?) % live.len();
                Some(Operation::Free { name: live.swap_remove(nth), whole: how & 8 != 0 })
            }
            3 | 4 => {
                let name = live[usize::from(u.arbitrary::<u8>()?) % live.len()];
                let (grows, whole) = (how & 16 != 0, how & 8 != 0);
                Some(Operation::Resize { name, ask: ask(u)?, grows, whole })
            }
            _ => None,
        };
        let act = match act {
            Some(act) => act,
            None => {
                name += 1;
                live.push(name);
                Operation::Alloc { name, ask: ask(u)?, zeroed: how & 32 != 0 }
            }
        };
        steps.push(SequenceStep { act, by: 0 });
    }
    steps.extend(
        live.into_iter()
            .map(|name| SequenceStep { act: Operation::Free { name, whole: false }, by: 0 }),
    );
    Ok(steps)
}

fn ask(u: &mut Unstructured<'_>) -> Result<SizeRequest> {
    let how = u.arbitrary::<u8>()?;
    let align = 1 << (how % 13);
    let size = match how >> 5 {
        0 => Size::Plain(0),
        1 => Size::Max(usize::from(u.arbitrary::<u8>()?)),
        2 | 3 => Size::Plain(usize::from(u.arbitrary::<u16>()?) % SIZE_MAX),
        _ => Size::Plain(usize::from(u.arbitrary::<u8>()?)),
    };
    Ok(SizeRequest { size, align })
}

/// Runs what these bytes say on a fresh port.
///
/// # Panics
/// Where the port breaks a promise, with the smallest sequence that shows it; as
/// [`replay`](crate::conformance::Conformance::replay) takes it.
pub fn port<P: Port>(bytes: &[u8], make: impl Fn() -> P) {
    let Ok(steps) = steps(&mut Unstructured::new(bytes)) else { return };
    let run = |steps: &[SequenceStep], strict: bool| -> Option<Breach> {
        let ports = [make()];
        let driven = Ports { clones: &ports, held: None };
        let rules = Rules { strict, frees: true, fixed: None };
        let mut breach = None;
        alone(&driven, 1, &mut |call| breach = contract::run(call, rules, steps, &mut || {}).0);
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
