//! Makes the steps of a sequence plainer, without removing any: smaller sizes and alignments, fewer
//! callers, fewer options. Requests that are equal are also changed together: a block that is resized keeps
//! its alignment, and blocks that take each other's place have one size.

use std::collections::BTreeSet;

use crate::conformance::operation::{ExhaustOrder, Operation, SequenceStep, Size, SizeRequest};
use crate::conformance::shrink_state::SequenceShrinker;

/// Which requests are changed together.
#[derive(Clone, Copy)]
enum RequestGroup {
    All,
    /// Those of a block.
    Block(u32),
    /// That of a step.
    Step(usize),
}

impl RequestGroup {
    fn contains(self, nth: usize, step: &SequenceStep) -> bool {
        match self {
            RequestGroup::All => true,
            RequestGroup::Block(name) => step.block() == Some(name),
            RequestGroup::Step(number) => nth == number,
        }
    }
}

/// Makes all steps as plain as they can be.
pub(crate) fn simplify(shrinker: &mut SequenceShrinker<'_, '_>) {
    set_flags(shrinker);
    let blocks: BTreeSet<u32> = shrinker.best().iter().filter_map(SequenceStep::block).collect();
    for group in groups(shrinker) {
        let aligns: BTreeSet<usize> =
            requests(shrinker, group).map(|request| request.align).collect();
        for align in aligns.into_iter().rev() {
            shrink_align(shrinker, group, align);
        }
    }
    for group in groups(shrinker) {
        let sizes: BTreeSet<usize> =
            requests(shrinker, group).filter_map(|request| request.size.plain()).collect();
        for size in sizes.into_iter().rev() {
            shrink_size(shrinker, group, size);
        }
    }
    for name in blocks {
        lower_sizes(shrinker, name);
    }
    for nth in 0..shrinker.best().len() {
        shrink_max(shrinker, nth);
    }
}

/// All groups of requests, the larger ones first.
fn groups(shrinker: &SequenceShrinker<'_, '_>) -> Vec<RequestGroup> {
    let blocks: BTreeSet<u32> = shrinker.best().iter().filter_map(SequenceStep::block).collect();
    let steps = (0..shrinker.best().len()).rev().map(RequestGroup::Step);
    std::iter::once(RequestGroup::All)
        .chain(blocks.into_iter().rev().map(RequestGroup::Block))
        .chain(steps)
        .collect()
}

fn requests(
    shrinker: &SequenceShrinker<'_, '_>,
    group: RequestGroup,
) -> impl Iterator<Item = SizeRequest> {
    let is_in = |(nth, step): &(usize, &SequenceStep)| group.contains(*nth, step);
    let all: Vec<SizeRequest> = shrinker
        .best()
        .iter()
        .enumerate()
        .filter(is_in)
        .filter_map(|(_, step)| step.request())
        .collect();
    all.into_iter()
}

/// Tries the sequence with some requests of a group changed.
fn with_requests(
    shrinker: &mut SequenceShrinker<'_, '_>,
    group: RequestGroup,
    change: impl Fn(&SequenceStep, SizeRequest) -> SizeRequest,
) -> bool {
    let mut candidate = shrinker.best().to_vec();
    for (nth, step) in candidate.iter_mut().enumerate() {
        let Some(request) = step.request().filter(|_| group.contains(nth, step)) else { continue };
        let changed = change(step, request);
        if changed.layout().is_none() {
            return false;
        }
        step.set_request(changed);
    }
    candidate != shrinker.best() && shrinker.accepts(&candidate)
}

/// Tries each step on the first caller and without its options.
fn set_flags(shrinker: &mut SequenceShrinker<'_, '_>) {
    let plain = |step: &mut SequenceStep| match &mut step.operation {
        Operation::Alloc { zeroed, .. } => *zeroed = false,
        Operation::Resize { whole, .. } | Operation::Free { whole, .. } => *whole = false,
        Operation::Exhaust { order, .. } => *order = ExhaustOrder::Lifo,
        Operation::Churn { .. } | Operation::Reclaim => {}
    };
    let changes: [&dyn Fn(&mut SequenceStep); 2] = [&|step| step.caller = 0, &plain];
    for change in changes {
        let mut candidate = shrinker.best().to_vec();
        candidate.iter_mut().for_each(change);
        if candidate == shrinker.best() || shrinker.accepts(&candidate) {
            continue;
        }
        for nth in (0..shrinker.best().len()).rev() {
            let mut candidate = shrinker.best().to_vec();
            if let Some(step) = candidate.get_mut(nth) {
                change(step);
            }
            if candidate != shrinker.best() {
                shrinker.accepts(&candidate);
            }
        }
    }
}

/// Tries smaller alignments, from 1 on, for the requests of a group that have this one.
fn shrink_align(shrinker: &mut SequenceShrinker<'_, '_>, group: RequestGroup, align: usize) {
    let mut smaller = 1;
    while smaller < align {
        let change = |_: &SequenceStep, request: SizeRequest| match request.align == align {
            true => SizeRequest { align: smaller, ..request },
            false => request,
        };
        if with_requests(shrinker, group, change) {
            return;
        }
        smaller *= 2;
    }
}

/// Looks for the smallest size that shows the breach, for the requests of a group that have this one: 0
/// and powers of two in ascending order, and then between the last two.
fn shrink_size(shrinker: &mut SequenceShrinker<'_, '_>, group: RequestGroup, size: usize) {
    let set = |shrinker: &mut SequenceShrinker<'_, '_>, from: usize, to: usize| {
        with_requests(shrinker, group, |step, request| {
            // Smaller requests would fill the port by more blocks, which is no plainer and slow.
            let fills = matches!(step.operation, Operation::Exhaust { .. });
            match request.size == Size::Plain(from) && !fills {
                true => SizeRequest { size: Size::Plain(to), ..request },
                false => request,
            }
        })
    };
    if size == 0 || set(shrinker, size, 0) {
        return;
    }
    let (mut too_small, mut enough) = (0, size);
    let mut power = 1;
    while power < size {
        if set(shrinker, size, power) {
            enough = power;
            break;
        }
        too_small = power;
        power *= 2;
    }
    while enough - too_small > 1 {
        let middle = too_small + (enough - too_small) / 2;
        if set(shrinker, enough, middle) {
            enough = middle;
        } else {
            too_small = middle;
        }
    }
}

/// Tries all sizes of a block less by the same, for what depends on their difference.
fn lower_sizes(shrinker: &mut SequenceShrinker<'_, '_>, name: u32) {
    let group = RequestGroup::Block(name);
    let sizes = |shrinker: &SequenceShrinker<'_, '_>| -> Vec<usize> {
        requests(shrinker, group).filter_map(|request| request.size.plain()).collect()
    };
    if sizes(shrinker).len() < 2 {
        return;
    }
    let mut less = sizes(shrinker).into_iter().min().unwrap_or(0);
    let mut is_first = true;
    while less > 0 {
        let change = |_: &SequenceStep, request: SizeRequest| match request.size {
            Size::Plain(size) => {
                SizeRequest { size: Size::Plain(size.saturating_sub(less)), ..request }
            }
            Size::Max(_) => request,
        };
        let is_done = with_requests(shrinker, group, change);
        // One byte is left where the first one matters.
        less = if is_first && !is_done && less > 1 { less - 1 } else { less / 2 };
        is_first = false;
        less = less.min(sizes(shrinker).into_iter().min().unwrap_or(0));
    }
}

/// Tries a size that a port may grant instead of an impossible one.
fn shrink_max(shrinker: &mut SequenceShrinker<'_, '_>, nth: usize) {
    let Some(Size::Max(_)) =
        shrinker.best().get(nth).and_then(SequenceStep::request).map(|request| request.size)
    else {
        return;
    };
    let largest = shrinker.limits.largest();
    for size in [Size::Plain(0), Size::Plain(largest), Size::Max(0)] {
        let change = |_: &SequenceStep, request| SizeRequest { size, ..request };
        if with_requests(shrinker, RequestGroup::Step(nth), change) {
            break;
        }
    }
    shrink_size(shrinker, RequestGroup::Step(nth), largest);
}
