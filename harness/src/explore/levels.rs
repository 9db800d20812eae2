//! The order of loom's searches of one work item. Loom goes depth first: if its search is cut off, all
//! that was run differs near the end only. So the schedules with fewer preemptions are searched level by
//! level: those with none, those with at most one, and so on. Each level is complete or is the last.

use std::cell::RefCell;
use std::rc::Rc;

use crate::host::Host;
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
    host: &dyn Host,
    bound: u32,
    limits: LevelLimits,
    search: &mut dyn FnMut(&dyn Host, Rc<RefCell<Search>>) -> bool,
) -> LevelResult {
    let mut result = LevelResult::default();
    let mut left = limits.schedules;
    let mut run = |level: u32, left: u64, result: &mut LevelResult| {
        let levels = Rc::new(RefCell::new(Search::loom(level, left)));
        let is_wanted = search(host, Rc::clone(&levels));
        let levels = levels.borrow();
        result.schedules += levels.begun();
        (levels.begun(), levels.is_exhausted(), is_wanted)
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
