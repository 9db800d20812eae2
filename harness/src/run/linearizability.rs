//! Checks linearizability: whether some order of the operations of several threads, applied to the
//! plain model one after the other, explains their replies and the end state. The order keeps each
//! thread's own order, and puts an operation that had ended before every one that began later.
//! Pure.

use std::collections::BTreeMap;
use std::fmt;

use crate::report::format::difference;
use crate::run::script_subject::diff_models;
use crate::system::{System, World};

/// An operation that succeeded, with the time from its begin to its end on the run's logical clock.
#[derive(Debug)]
pub(crate) struct CompletedOp {
    /// Its index in its thread's list.
    pub(crate) nth: usize,
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    /// The reply's `Debug` text.
    pub(crate) reply: String,
}

/// What no order explains.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoOrder {
    /// A reply: the first one that differs in the order that gets furthest.
    Reply { thread: usize, nth: usize, diff: String },
    /// The end state.
    End { diff: String },
}

/// Looks for an order of the operations in `done` (one list per thread) that explains the replies
/// and the end state.
///
/// # Errors
/// What the order that gets furthest can't explain.
pub(crate) fn explain<S: System>(
    ops: &[Vec<S::Op>],
    done: &[Vec<CompletedOp>],
    end: &S::Model,
    world: &World<'_>,
) -> Result<(), NoOrder> {
    // The search's open nodes: how many operations of each thread are placed, and the model's
    // state.
    let mut open = vec![(vec![0; done.len()], S::Model::default())];
    let mut seen: BTreeMap<Vec<usize>, Vec<S::Model>> = BTreeMap::new();
    let mut furthest: Option<(usize, NoOrder)> = None;
    let mut fails = |placed: usize, wrong: &dyn Fn() -> NoOrder| {
        if furthest.as_ref().is_none_or(|(best, _)| *best < placed) {
            furthest = Some((placed, wrong()));
        }
    };
    while let Some((placed, state)) = open.pop() {
        // If no other node is open, this one can't be reached again, and needs no entry.
        if !open.is_empty() {
            let known = seen.entry(placed.clone()).or_default();
            if known.contains(&state) {
                continue;
            }
            known.push(state.clone());
        }
        let count: usize = placed.iter().sum();
        let next = |thread: usize| done[thread].get(placed[thread]);
        // An operation may come next only if it began before every unplaced one ended.
        let Some(earliest) = (0..done.len()).filter_map(next).map(|done| done.ended).min() else {
            if state == *end {
                return Ok(());
            }
            fails(count + 1, &|| NoOrder::End { diff: diff_models(&state, end) });
            continue;
        };
        let mut candidates: Vec<usize> = (0..done.len())
            .filter(|thread| next(*thread).is_some_and(|done| done.begun < earliest))
            .collect();
        // The one that ended first is tried first: it is on top of the stack.
        candidates.sort_by_key(|thread| std::cmp::Reverse(next(*thread).map(|done| done.ended)));
        for thread in candidates {
            let Some(CompletedOp { nth, reply, .. }) = next(thread) else { continue };
            let mut after = state.clone();
            let expected = format!("{:?}", S::model(&mut after, &ops[thread][*nth], world));
            let show = |out: &mut dyn fmt::Write| out.write_str(reply);
            if let Some(diff) = difference(&expected, &show) {
                fails(count, &|| NoOrder::Reply { thread, nth: *nth, diff: diff.clone() });
                continue;
            }
            let mut placed = placed.clone();
            placed[thread] += 1;
            open.push((placed, after));
        }
    }
    Err(furthest.map_or(NoOrder::End { diff: String::new() }, |(_, wrong)| wrong))
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;
    use crate::heap::Heap;

    /// A register that is read and written.
    struct Register;

    #[derive(Clone, Debug)]
    enum Op {
        Write(u8),
        Read,
    }

    impl System for Register {
        const NAME: &'static str = "register";

        type Op = Op;
        type Reply = u8;
        type Error = ();
        type Model = u8;

        fn open(_: &Heap, _: &World<'_>) -> Result<Self, ()> {
            Ok(Register)
        }

        fn apply(&mut self, _: &Op, _: &World<'_>) -> Result<u8, ()> {
            Err(())
        }

        fn is_oom((): &()) -> bool {
            true
        }

        fn snapshot(&self) -> u8 {
            0
        }

        fn model(model: &mut u8, op: &Op, _: &World<'_>) -> impl Debug {
            if let Op::Write(value) = op {
                *model = *value;
            }
            *model
        }
    }

    /// Each thread's operations as (operation, begun, ended, reply).
    fn explained(threads: &[&[(Op, u64, u64, u8)]], end: u8) -> Result<(), NoOrder> {
        let ops: Vec<Vec<Op>> =
            threads.iter().map(|thread| thread.iter().map(|one| one.0.clone()).collect()).collect();
        let done: Vec<Vec<CompletedOp>> = threads
            .iter()
            .map(|thread| {
                let each = thread.iter().enumerate();
                each.map(|(nth, (_, begun, ended, reply))| CompletedOp {
                    nth,
                    begun: *begun,
                    ended: *ended,
                    reply: reply.to_string(),
                })
                .collect()
            })
            .collect();
        explain::<Register>(&ops, &done, &end, &World::new(&[], std::path::Path::new(".")))
    }

    #[test]
    fn overlapping_operations_may_be_in_either_order() {
        let write = [(Op::Write(1), 1, 4, 1)];
        for seen in [0, 1] {
            assert_eq!(explained(&[&write, &[(Op::Read, 2, 3, seen)]], 1), Ok(()), "{seen}");
        }
        let (two, read) = ([(Op::Write(2), 2, 5, 2)], [(Op::Read, 3, 6, 2)]);
        assert_eq!(explained(&[&write, &two, &read], 1), Ok(()));
        assert_eq!(explained(&[&write, &two, &read], 2), Ok(()));
    }

    #[test]
    fn an_operation_that_ended_is_before_one_that_began_later() {
        let write = [(Op::Write(1), 1, 2, 1)];
        assert_eq!(explained(&[&write, &[(Op::Read, 3, 4, 1)]], 1), Ok(()));
        let stale = explained(&[&write, &[(Op::Read, 3, 4, 0)]], 1);
        assert!(matches!(stale, Err(NoOrder::Reply { thread: 1, nth: 0, .. })), "{stale:?}");
        let lost = explained(&[&write, &[(Op::Read, 3, 4, 1)]], 0);
        assert!(matches!(lost, Err(NoOrder::End { .. })), "{lost:?}");
    }

    #[test]
    fn a_threads_own_order_is_kept() {
        let write = [(Op::Write(1), 1, 9, 1)];
        let forth = [(Op::Read, 2, 3, 0), (Op::Read, 4, 5, 1)];
        let back = [(Op::Read, 2, 3, 1), (Op::Read, 4, 5, 0)];
        assert_eq!(explained(&[&write, &forth], 1), Ok(()));
        let wrong = explained(&[&write, &back], 1);
        assert!(matches!(wrong, Err(NoOrder::Reply { thread: 1, nth: 1, .. })), "{wrong:?}");
    }
}
