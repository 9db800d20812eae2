//! Runs a fuzzer's bytes as a sequence on a port, in this process, and compares the port with the model.

use std::panic::panic_any;

use arbitrary::{Result, Unstructured};

use crate::adapters::region_memory::recording;
use crate::conformance::call::{Ports, on_one_thread};
use crate::conformance::clause::{Breach, Rules};
use crate::conformance::contract;
use crate::conformance::generate::SequenceRange;
use crate::conformance::operation::{Operation, SequenceStep, Size, SizeRequest, print};
use crate::conformance::shrink::shrink;
use crate::conformance::shrink_state::ShrinkLimits;
use crate::port::Port;

/// The most steps.
const STEPS_MAX: usize = 256;
/// The largest requested size that a port may grant.
const SIZE_MAX: usize = 64 << 10;
/// The most tries of the shrinker.
const TRIES: usize = 2_000;

/// A block as the generated sequence has it: the port may have refused it.
struct FuzzBlock {
    name: u32,
    align: usize,
}

/// Generates a sequence. Blocks are named by their number and freed in any order. Most resizes keep the
/// alignment, since only those reach the `realloc` of an allocator that can't change it.
fn steps(u: &mut Unstructured<'_>) -> Result<Vec<SequenceStep>> {
    let (mut steps, mut live) = (Vec::new(), Vec::<FuzzBlock>::new());
    let mut name = 0;
    while steps.len() < STEPS_MAX && !u.is_empty() {
        let form = u.arbitrary::<u8>()?;
        let operation = match form % 8 {
            _ if live.is_empty() => None,
            0..=2 => {
                let nth = usize::from(u.arbitrary::<u8>()?) % live.len();
                Some(Operation::Free { name: live.swap_remove(nth).name, whole: form & 8 != 0 })
            }
            3 | 4 => {
                let nth = usize::from(u.arbitrary::<u8>()?) % live.len();
                let (grows, whole) = (form & 16 != 0, form & 8 != 0);
                let mut request = request(u)?;
                if form & 0xC0 != 0 {
                    request.align = live[nth].align;
                }
                live[nth].align = request.align;
                Some(Operation::Resize { name: live[nth].name, request, grows, whole })
            }
            _ => None,
        };
        let operation = match operation {
            Some(operation) => operation,
            None => {
                name += 1;
                let request = request(u)?;
                live.push(FuzzBlock { name, align: request.align });
                Operation::Alloc { name, request, zeroed: form & 32 != 0 }
            }
        };
        steps.push(SequenceStep { operation, caller: 0 });
    }
    steps.extend(live.into_iter().map(|block| SequenceStep {
        operation: Operation::Free { name: block.name, whole: false },
        caller: 0,
    }));
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
        let (port, regions) = recording(&make);
        let clones = [port];
        let ports = Ports { clones: &clones, held: None };
        let rules = Rules { strict, frees: true, fixed: None };
        let mut breach = None;
        on_one_thread(&ports, 1, &mut |call| {
            breach = contract::run(call, rules, &regions, steps, &mut || {}).0
        });
        breach
    };
    let Some(breach) = run(&steps, false) else { return };
    // Checked after every step, the breach may show earlier, and in another function.
    let breach = run(&steps, true).unwrap_or(breach);
    let promise = breach.clause.promise();
    let mut oracle = |steps: &[SequenceStep]| run(steps, true);
    let range = &SequenceRange {
        seed: 0,
        operations: STEPS_MAX,
        max_size: SIZE_MAX,
        max_align: 1 << 12,
        callers: 1,
        frees: true,
        fixed: None,
        churns: false,
    };
    let limits = ShrinkLimits { known: &[], range, tries: TRIES, draws: 64, hits: TRIES };
    let (smallest, breach) = shrink(&steps, breach, limits, &mut oracle, &mut |_| {});
    panic_any(format!("broken: {promise}\n{}\n{}", breach.note, print(&smallest)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_resizes_keep_the_alignment_of_their_block() {
        let (mut kept, mut all) = (0, 0);
        for seed in 0..64 {
            let mut stream = crate::trace::Stream::new(seed, 0);
            let bytes: Vec<u8> = (0..512).map(|_| stream.below(256) as u8).collect();
            let mut aligns = std::collections::BTreeMap::new();
            for step in steps(&mut Unstructured::new(&bytes)).expect("enough bytes") {
                match step.operation {
                    Operation::Alloc { name, request, .. } => {
                        aligns.insert(name, request.align);
                    }
                    Operation::Resize { name, request, .. } => {
                        let old = aligns.insert(name, request.align);
                        all += 1;
                        kept += u32::from(old == Some(request.align));
                    }
                    _ => {}
                }
            }
        }
        assert!(all > 1000 && kept * 4 > all * 3, "{kept} of {all}");
    }
}
