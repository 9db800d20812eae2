//! Shrinks a sequence that breaks a promise: first steps are removed or joined, then those that are left
//! are made plainer (`plainer`), until nothing of it succeeds any more. The tries and their order are
//! deterministic.

use std::collections::BTreeSet;

use crate::conformance::clause::{Breach, Function};
use crate::conformance::operation::{ExhaustOrder, Operation, SequenceStep, Size, SizeRequest};
use crate::conformance::plainer::simplify;
use crate::conformance::shrink_state::{
    SequenceOracle, SequenceShrinker, ShrinkLimits, ShrinkProgress,
};
use crate::run::ddmin::ddmin;
use crate::trace::Stream;

/// Sequences of up to this many steps are tried without each pair of steps.
const PAIRS_MAX: usize = 16;

/// Instead of sequences with more steps than this, ones that fill the region at once are tried.
const FILLED_MIN: usize = 3;
/// An alignment that no machine has an address for.
const IMPOSSIBLE_ALIGN: usize = 1 << (usize::BITS - 2);
/// Random sequences have at most this many steps.
const DRAWN_MAX: usize = 6;

/// Shrinks a sequence whose last step shows the breach.
pub(crate) fn shrink<'b>(
    steps: &[SequenceStep],
    breach: Breach,
    limits: ShrinkLimits<'_>,
    oracle: &mut SequenceOracle<'b>,
    progress: &mut ShrinkProgress<'b>,
) -> (Vec<SequenceStep>, Breach) {
    let shrinker = &mut SequenceShrinker::new(steps, breach, limits, oracle, progress);
    keep_last(shrinker);
    drop_blocks(shrinker);
    drop_steps(shrinker);
    blame_simpler(shrinker);
    let _ = request_too_much(shrinker) || refuse(shrinker);
    loop {
        reduce(shrinker);
        // What is left may need all of its steps, while others would need fewer.
        if ![request_too_much, refuse, draw_shorter, fill].iter().any(|pass| pass(shrinker)) {
            return shrinker.result();
        }
    }
}

/// Removes and simplifies steps until nothing more can be.
fn reduce(shrinker: &mut SequenceShrinker<'_, '_>) {
    loop {
        let before = shrinker.best().to_vec();
        drop_blocks(shrinker);
        drop_steps(shrinker);
        join_blocks(shrinker);
        drop_resizes(shrinker);
        blame_simpler(shrinker);
        simplify(shrinker);
        // Only now that few steps are left.
        drop_pairs(shrinker);
        swap_blocks(shrinker);
        if shrinker.best() == before || shrinker.is_out() {
            return;
        }
    }
}

/// Tries random sequences of fewer steps, and returns whether one shows the breach.
fn draw_shorter(shrinker: &mut SequenceShrinker<'_, '_>) -> bool {
    let length = shrinker.best().len();
    // A step that fills the port is not made of others.
    if shrinker.best().iter().any(|step| step.block().is_none()) {
        return false;
    }
    let ShrinkLimits { range, draws, .. } = shrinker.limits;
    let known: Vec<SizeRequest> =
        shrinker.best().iter().filter_map(SequenceStep::request).collect();
    let draw = |length: usize, nth: u64| {
        let stream = &mut Stream::new(nth, length as u64);
        let mut steps = range.short_sequence(nth, length);
        for step in &mut steps {
            // What shows the breach may depend on a size that is seldom drawn.
            if !known.is_empty() && stream.once_in(2) {
                step.set_request(known[stream.below(known.len())]);
            }
        }
        steps
    };
    let lengths = 2..length.min(DRAWN_MAX + 1);
    let mut all = lengths.flat_map(|length| (0..draws).map(move |nth| (length, nth)));
    all.any(|(length, nth)| shrinker.accepts(&draw(length, nth)))
}

/// Tries a block that is larger than the region, and returns whether that shows the breach.
fn request_too_much(shrinker: &mut SequenceShrinker<'_, '_>) -> bool {
    let Some(bytes) = fillable(shrinker) else { return false };
    let request = SizeRequest::plain(bytes.saturating_add(1), 1);
    let operation = Operation::Alloc { name: 1, request, zeroed: false };
    shrinker.accepts(&[SequenceStep { operation, caller: 0 }])
}

/// Tries resizes that nobody can grant instead of ones that only a full port refuses, and returns whether
/// fewer steps show the breach then.
fn refuse(shrinker: &mut SequenceShrinker<'_, '_>) -> bool {
    let before = shrinker.result();
    let length = before.0.len();
    if length <= FILLED_MIN {
        return false;
    }
    for nth in 0..length {
        let mut steps = before.0.clone();
        let Operation::Resize { request, grows, .. } = &mut steps[nth].operation else { continue };
        match grows {
            true => request.size = Size::Max(0),
            false => request.align = IMPOSSIBLE_ALIGN,
        }
        if shrinker.accepts(&steps) {
            drop_blocks(shrinker);
            drop_steps(shrinker);
            if shrinker.best().len() < length {
                return true;
            }
            shrinker.restore(before.clone());
        }
    }
    false
}

/// Tries to fill the region at once, instead of step by step, and returns whether that shows the breach.
fn fill(shrinker: &mut SequenceShrinker<'_, '_>) -> bool {
    if fillable(shrinker).is_none() {
        return false;
    }
    let exhaust = |size: usize| {
        let request = SizeRequest::plain(size, 1);
        let operation = Operation::Exhaust { request, order: ExhaustOrder::Lifo };
        [SequenceStep { operation, caller: 0 }]
    };
    // Powers of two may fit exactly, and one more of them doesn't.
    let mut sizes = (6..=10).rev().flat_map(|bits| [1 << bits, (1 << bits) + 1]);
    sizes.any(|size| shrinker.accepts(&exhaust(size)))
}

/// The length of the region, if many steps are left, which may be there to fill it.
fn fillable(shrinker: &SequenceShrinker<'_, '_>) -> Option<usize> {
    shrinker.limits.range.fixed.filter(|_| shrinker.best().len() > FILLED_MIN)
}

/// Tries the last steps alone, with all that there is on their blocks: most bugs need no more, and this
/// finds it in a few tries.
fn keep_last(shrinker: &mut SequenceShrinker<'_, '_>) {
    let all = shrinker.best().to_vec();
    let mut last = 1;
    while last < all.len() {
        let from = all.len() - last;
        let blocks: BTreeSet<u32> = all[from..].iter().filter_map(SequenceStep::block).collect();
        let is_kept = |(nth, step): &(usize, &SequenceStep)| match step.block() {
            Some(name) => blocks.contains(&name),
            None => *nth >= from,
        };
        let kept = all.iter().enumerate().filter(is_kept).map(|(_, step)| *step);
        let kept: Vec<SequenceStep> = kept.collect();
        if kept.len() < all.len() && shrinker.accepts(&kept) {
            return;
        }
        last *= 2;
    }
}

/// The blocks of a sequence, sorted.
fn blocks(steps: &[SequenceStep]) -> Vec<u32> {
    let all: BTreeSet<u32> = steps.iter().filter_map(SequenceStep::block).collect();
    all.into_iter().collect()
}

/// Tries to remove blocks, each with all that is done to it.
fn drop_blocks(shrinker: &mut SequenceShrinker<'_, '_>) {
    ddmin(
        shrinker,
        |shrinker| blocks(shrinker.best()).len(),
        |shrinker, range| {
            let all = blocks(shrinker.best());
            let Some(removed) = all.get(range.start..range.end.min(all.len())) else {
                return false;
            };
            let is_kept = |step: &&SequenceStep| {
                step.block().is_none_or(|name| removed.binary_search(&name).is_err())
            };
            let fewer: Vec<SequenceStep> =
                shrinker.best().iter().filter(is_kept).copied().collect();
            shrinker.accepts(&fewer)
        },
    );
}

fn drop_steps(shrinker: &mut SequenceShrinker<'_, '_>) {
    ddmin(
        shrinker,
        |shrinker| shrinker.best().len(),
        |shrinker, range| {
            let mut fewer = shrinker.best().to_vec();
            fewer.drain(range);
            shrinker.accepts(&fewer)
        },
    );
}

/// Tries to remove two steps at once that only go together, such as a free and the allocation that takes
/// its place.
fn drop_pairs(shrinker: &mut SequenceShrinker<'_, '_>) {
    let mut second = shrinker.best().len();
    if second > PAIRS_MAX {
        return;
    }
    while second > 1 {
        second -= 1;
        for first in (0..second).rev() {
            let mut fewer = shrinker.best().to_vec();
            if second >= fewer.len() {
                break;
            }
            fewer.remove(second);
            fewer.remove(first);
            shrinker.accepts(&fewer);
        }
    }
}

/// Tries to make one block of two: a port that has to be nearly full needs one large block instead of
/// many small ones.
fn join_blocks(shrinker: &mut SequenceShrinker<'_, '_>) {
    let mut nth = 0;
    while nth < shrinker.best().len() {
        let (steps, largest) = (shrinker.best(), shrinker.limits.largest());
        let joined = (nth + 1..steps.len()).find_map(|other| {
            let joined = join(&steps[nth], &steps[other], largest)?;
            let mut fewer = steps.to_vec();
            fewer[nth] = joined;
            fewer.remove(other);
            Some(fewer)
        });
        let is_joined = joined.is_some_and(|fewer| shrinker.accepts(&fewer));
        // A joined block may be joined with the next one.
        nth += usize::from(!is_joined);
    }
}

/// One allocation that takes about as much as two.
fn join(first: &SequenceStep, second: &SequenceStep, largest: usize) -> Option<SequenceStep> {
    let (Operation::Alloc { request: a, .. }, Operation::Alloc { request: b, .. }) =
        (first.operation, second.operation)
    else {
        return None;
    };
    let (Size::Plain(first_size), Size::Plain(second_size)) = (a.size, b.size) else { return None };
    let size = first_size.checked_add(second_size)?.checked_add(b.align.min(64))?;
    let mut joined = *first;
    joined.set_request(SizeRequest { size: Size::Plain(size), ..a });
    (size <= largest).then_some(joined)
}

/// Tries to give a block its later size and alignment at once, instead of by a resize.
fn drop_resizes(shrinker: &mut SequenceShrinker<'_, '_>) {
    for nth in (1..shrinker.best().len()).rev() {
        let mut fewer = shrinker.best().to_vec();
        let Some(Operation::Resize { name, request, .. }) =
            fewer.get(nth).map(|step| step.operation)
        else {
            continue;
        };
        let is_before =
            |step: &SequenceStep| step.block() == Some(name) && step.request().is_some();
        let Some(before) = fewer[..nth].iter().rposition(is_before) else { continue };
        fewer[before].set_request(request);
        fewer.remove(nth);
        shrinker.accepts(&fewer);
    }
}

/// Tries to do a step to another block, and to leave out the block that it was done to.
fn swap_blocks(shrinker: &mut SequenceShrinker<'_, '_>) {
    if shrinker.best().len() > PAIRS_MAX {
        return;
    }
    for nth in (1..shrinker.best().len()).rev() {
        for other in blocks(shrinker.best()) {
            let mut steps = shrinker.best().to_vec();
            let Some(step) = steps.get_mut(nth) else { break };
            let Some(name) = step.block().filter(|name| *name != other) else { continue };
            match &mut step.operation {
                Operation::Resize { name, .. } | Operation::Free { name, .. } => *name = other,
                _ => break,
            }
            steps.retain(|step| step.block() != Some(name));
            shrinker.accepts(&steps);
        }
    }
}

/// Tries whether a simpler function shows what the last step showed, which is then not to blame.
fn blame_simpler(shrinker: &mut SequenceShrinker<'_, '_>) {
    for (function, candidate) in with_simpler_last(shrinker.best()) {
        if shrinker.accepts_in(function, &candidate) {
            return;
        }
    }
}

/// The sequence with a simpler function as its last step, if that is a resize or a zeroed allocation: a
/// plain allocation of a new block, or the free of the old one.
fn with_simpler_last(steps: &[SequenceStep]) -> Vec<(Function, Vec<SequenceStep>)> {
    let Some((last, before)) = steps.split_last() else { return Vec::new() };
    let new = steps.iter().filter_map(SequenceStep::block).max().map_or(1, |name| name + 1);
    let alloc = |request| Operation::Alloc { name: new, request, zeroed: false };
    let simpler = match last.operation {
        Operation::Alloc { request, zeroed: true, .. } => vec![(Function::Alloc, alloc(request))],
        Operation::Resize { name, request, whole, .. } => vec![
            (Function::Alloc, alloc(request)),
            (Function::Free, Operation::Free { name, whole }),
        ],
        _ => Vec::new(),
    };
    let with = |(function, operation)| {
        (function, [before, &[SequenceStep { operation, caller: last.caller }]].concat())
    };
    simpler.into_iter().map(with).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::clause::Clause;
    use crate::conformance::generate::SequenceRange;
    use crate::conformance::operation::print;
    use crate::conformance::syntax::parse;

    #[test]
    fn operations_go_first_and_then_sizes() {
        let text: String = (1..=60)
            .map(|n| format!("a{n} = alloc {} align 64 by 1\n", 100 + n))
            .chain((1..=60).map(|n| format!("free a{n} whole\n")))
            .collect();
        let steps = parse(&text).expect("a sequence");
        let breach = |step| {
            let function = Function::Free;
            Breach { clause: Clause::Overlap, function, note: "n".into(), step, is_death: false }
        };
        // A breach: a block of at least 37 bytes is freed after another one was.
        let mut oracle = |steps: &[SequenceStep]| {
            let large = |name: u32| {
                steps.iter().any(|step| match step.operation {
                    Operation::Alloc {
                        name: allocated,
                        request: SizeRequest { size: Size::Plain(size), .. },
                        ..
                    } => allocated == name && size >= 37,
                    _ => false,
                })
            };
            let mut freed = 0;
            let broken = |step: &SequenceStep| match step.operation {
                Operation::Free { name, .. } => {
                    freed += 1;
                    freed > 1 && large(name)
                }
                _ => false,
            };
            let step = steps.iter().position(broken)?;
            Some(breach(step))
        };
        let range = &SequenceRange {
            seed: 0,
            operations: 0,
            max_size: 4096,
            max_align: 64,
            callers: 1,
            frees: true,
            fixed: None,
            churns: false,
        };
        let limits = ShrinkLimits { known: &[], range, tries: 10_000, draws: 64, hits: 10_000 };
        let first = breach(steps.len() - 1);
        let (smallest, _) = shrink(&steps, first, limits, &mut oracle, &mut |_| {});
        let expected = "a1 = alloc 0 align 1\na2 = alloc 37 align 1\nfree a1\nfree a2\n";
        assert_eq!(print(&smallest), expected);
    }
}
