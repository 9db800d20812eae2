//! The points of a whole program, which makes more requests than anyone waits for: what is new
//! in its call stack comes first, wherever in the run it is, so that a limit loses what is least new.
//!
//! Of each call stack its first request comes first, then its last, then those in between. The stacks
//! themselves are in the order of their novelty: the next one is always that with the most functions
//! which no stack before it has.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::plan::Faults;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::Point;
use crate::sweep::points::both_ways;
use crate::trace::Coordinate;

/// The points, at most `per_stack` requests of each call stack.
pub(crate) fn novel_points(baseline: &Baseline, faults: Faults, per_stack: u64) -> Vec<Point> {
    let mut requests: BTreeMap<usize, Vec<Coordinate>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for at in baseline.coordinates() {
        match baseline.site_number(at).filter(|_| baseline.has_sites) {
            Some(stack) => requests.entry(stack).or_default().push(at),
            None => unknown.push(at),
        }
    }
    let order = by_novelty(baseline, &requests);
    let per_stack = usize::try_from(per_stack).unwrap_or(usize::MAX);
    let longest = requests.values().map(Vec::len).max().unwrap_or(0).min(per_stack);
    let rounds = (0..longest).flat_map(|round| {
        let nth =
            |stack: &usize| requests[stack].get(place(round, requests[stack].len())?).copied();
        order.iter().filter_map(nth).collect::<Vec<_>>()
    });
    let points = both_ways(rounds, faults);
    [points, both_ways(unknown.into_iter(), faults)].concat()
}

/// Which of a stack's requests is its turn in this round, of how many: the first, the last, and then
/// the others in order.
fn place(round: usize, count: usize) -> Option<usize> {
    match round {
        0 => Some(0),
        1 => count.checked_sub(1).filter(|last| *last > 0),
        round => Some(round - 1).filter(|nth| nth + 1 < count),
    }
}

/// The stacks, the most novel first.
fn by_novelty(baseline: &Baseline, requests: &BTreeMap<usize, Vec<Coordinate>>) -> Vec<usize> {
    let functions =
        |stack: usize| baseline.sites[stack].frames.iter().map(|frame| &*frame.function);
    let mut seen = std::collections::BTreeSet::new();
    // The number of new functions only falls, so what is on top is next if its number still holds.
    let mut waiting: BinaryHeap<(usize, Reverse<Coordinate>, usize)> = requests
        .iter()
        .map(|(stack, all)| (functions(*stack).count(), Reverse(all[0]), *stack))
        .collect();
    let mut order = Vec::with_capacity(requests.len());
    while let Some((novelty, first, stack)) = waiting.pop() {
        let new = functions(stack).filter(|function| !seen.contains(function)).count();
        if new < novelty {
            waiting.push((new, first, stack));
            continue;
        }
        seen.extend(functions(stack));
        order.push(stack);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::call_site::{Frame, Site};

    /// A baseline of one thread, each of whose requests comes from the stack of this number.
    fn baseline(stacks: &[&str], requests: &[u32]) -> Baseline {
        let frame = |name: char| Frame { function: name.to_string(), ..Frame::default() };
        let site =
            |stack: &&str| Site { frames: stack.chars().map(frame).collect(), ..Site::default() };
        Baseline {
            has_sites: true,
            sites: stacks.iter().map(site).collect(),
            by_thread: vec![requests.len() as u64],
            by_request: vec![requests.to_vec()],
            ..Baseline::default()
        }
    }

    fn ordinals(baseline: &Baseline, per_stack: u64) -> Vec<u64> {
        let points = novel_points(baseline, Faults::Transient, per_stack);
        points.iter().map(|point| point.at.ordinal).collect()
    }

    #[test]
    fn what_is_new_comes_first_and_first_and_last_before_the_rest() {
        // Start-up makes three requests from stacks that are alike; the work comes last.
        let start_up = baseline(&["am", "bm", "cm", "xyzm"], &[0, 1, 2, 3]);
        assert_eq!(ordinals(&start_up, 2), [4, 1, 2, 3]);
        let often = baseline(&["am", "bm"], &[0, 0, 1, 0, 1, 0]);
        assert_eq!(ordinals(&often, u64::MAX), [1, 3, 6, 5, 2, 4]);
        assert_eq!(ordinals(&often, 2), [1, 3, 6, 5]);
        assert_eq!(ordinals(&often, 1), [1, 3]);
    }

    #[test]
    fn each_request_has_one_turn() {
        for count in 1..6 {
            let mut places: Vec<usize> = (0..8).filter_map(|round| place(round, count)).collect();
            places.sort_unstable();
            assert_eq!(places, (0..count).collect::<Vec<_>>());
        }
    }
}
