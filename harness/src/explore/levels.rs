//! The order of loom's searches of one work item. Loom goes depth first: if its search is cut off, all
//! that was run differs near the end only. So the schedules with fewer preemptions are searched level by
//! level: those with none, those with at most one, and so on. Every level but the last is complete.

use std::cell::RefCell;
use std::rc::Rc;

use crate::schedule::search::Search;

/// Levels below the bound of the search. With more preemptions there are too many schedules for a level
/// to be complete where the whole search is not.
const LEVELS_MAX: u32 = 4;

/// How many schedules of a work item loom may run, and which ones first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LevelLimits {
    /// The most schedules, and how many more are run on lower levels if the whole search is cut off.
    pub(crate) schedules: u64,
    pub(crate) more: u64,
    /// Whether the lower levels come first, since the whole search will be cut off.
    pub(crate) lower_first: bool,
}

/// How far loom's searches of a work item went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LevelResult {
    /// Schedules that were begun, in all searches.
    pub(crate) schedules: u64,
    /// Whether all schedules within the bound were run.
    pub(crate) exhausted: bool,
    /// The highest level below the bound that is complete.
    pub(crate) complete_to: Option<u32>,
}

/// Runs the searches of a work item. `search` runs one of them, and returns whether more are wanted.
pub(crate) fn search_levels(
    bound: u32,
    limits: LevelLimits,
    search: &mut dyn FnMut(Rc<RefCell<Search>>) -> bool,
) -> LevelResult {
    let mut result = LevelResult::default();
    let mut left = limits.schedules;
    let mut run = |level: u32, left: u64, result: &mut LevelResult| {
        let one = Rc::new(RefCell::new(Search::loom(level, left)));
        let is_wanted = search(Rc::clone(&one));
        let one = one.borrow();
        result.schedules += one.begun();
        (one.begun(), one.is_exhausted(), is_wanted)
    };
    if !limits.lower_first {
        let (begun, is_exhausted, is_wanted) = run(bound, left, &mut result);
        result.exhausted = is_exhausted;
        // A search that ends before its limit ends at a run that is stuck, as the next ones would.
        if is_exhausted || !is_wanted || begun < left {
            return result;
        }
        left = limits.more;
    }
    let lower = 0..bound.min(LEVELS_MAX);
    for level in lower.chain(limits.lower_first.then_some(bound)) {
        if left == 0 {
            break;
        }
        let (begun, is_exhausted, is_wanted) = run(level, left, &mut result);
        left -= begun;
        if is_exhausted && level == bound {
            result.exhausted = true;
        } else if is_exhausted {
            result.complete_to = Some(level);
        }
        if !is_exhausted || !is_wanted {
            break;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches with this many schedules per level, and with these limits. Returns each search as its
    /// level and its runs, and the result. No search is wanted after one of level `last`.
    fn searched(of: &[u64], limits: LevelLimits, last: u32) -> (Vec<(u32, u64)>, LevelResult) {
        let mut made = Vec::new();
        let bound = of.len() as u32 - 1;
        let result = search_levels(bound, limits, &mut |search| {
            let mut search = search.borrow_mut();
            let level = search.loom_bound();
            let mut runs = 0;
            while runs < of[level as usize] && search.next() {
                runs += 1;
            }
            if runs == of[level as usize] {
                search.set_exhausted();
            }
            made.push((level, runs));
            level != last
        });
        (made, result)
    }

    const NEVER: u32 = u32::MAX;

    #[test]
    fn lower_levels_are_searched_only_if_not_all_schedules_fit() {
        let limits = |schedules| LevelLimits { schedules, more: schedules, lower_first: false };
        let of = [1, 3, 9];
        let (made, result) = searched(&of, limits(9), NEVER);
        assert_eq!((made, result.exhausted, result.complete_to), (vec![(2, 9)], true, None));
        let (made, result) = searched(&of, limits(5), NEVER);
        assert_eq!(made, [(2, 5), (0, 1), (1, 3)]);
        assert_eq!((result.schedules, result.complete_to), (9, Some(1)));
        let (made, result) = searched(&of, limits(3), NEVER);
        assert_eq!(made, [(2, 3), (0, 1), (1, 2)]);
        assert_eq!((result.exhausted, result.complete_to), (false, Some(0)));
        let (made, _) = searched(&of, LevelLimits { more: 0, ..limits(5) }, NEVER);
        assert_eq!(made, [(2, 5)]);
    }

    #[test]
    fn lower_levels_first_never_make_more_runs_than_the_limit() {
        let limits = |schedules| LevelLimits { schedules, more: 100, lower_first: true };
        let of = [1, 3, 9];
        for limit in 1..14 {
            let (made, result) = searched(&of, limits(limit), NEVER);
            assert_eq!(result.schedules, made.iter().map(|(_, runs)| runs).sum::<u64>());
            assert_eq!(result.schedules, limit.min(13), "{made:?}");
            assert_eq!(result.exhausted, limit >= 13);
        }
        let (made, result) = searched(&of, limits(13), 1);
        assert_eq!((made, result.exhausted), (vec![(0, 1), (1, 3)], false), "no more is wanted");
    }
}
