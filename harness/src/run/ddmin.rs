//! Delta debugging (Zeller and Hildebrandt, 2002), the part that removes elements: makes a list as
//! short as possible while it still shows the same bug. Scripts, schedules and conformance
//! sequences use it.

use std::ops::Range;

/// Tries to remove halves, quarters and so on down to single elements of a list, from its end.
/// Single elements are tried again until none of them can be removed.
///
/// `len` returns the list's present length. `leave_out` tries the list without a range; if the bug
/// is still there it shortens the list, by at least that range, and returns true. Makes at most
/// about `n²` tries for `n` elements, and about `2 log n` where one of them is needed.
pub(crate) fn ddmin<S: ?Sized>(
    list: &mut S,
    len: impl Fn(&S) -> usize,
    mut leave_out: impl FnMut(&mut S, Range<usize>) -> bool,
) {
    let mut piece = len(list).div_ceil(2);
    while piece > 0 {
        let before = len(list);
        let mut end = before;
        while end > 0 {
            let start = end.saturating_sub(piece);
            leave_out(list, start..end);
            end = start.min(len(list));
        }
        if piece > 1 || len(list) == before {
            piece /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smallest(all: &[u32], needed: impl Fn(&[u32]) -> bool) -> (Vec<u32>, usize) {
        let mut tries = 0;
        let mut list = all.to_vec();
        ddmin(&mut list, Vec::len, |list, range| {
            tries += 1;
            let mut fewer = list.clone();
            fewer.drain(range);
            let shows = needed(&fewer);
            if shows {
                *list = fewer;
            }
            shows
        });
        (list, tries)
    }

    #[test]
    fn what_is_needed_is_left_and_nothing_else() {
        let all: Vec<u32> = (0..100).collect();
        let has = |list: &[u32], wanted: &[u32]| wanted.iter().all(|one| list.contains(one));
        assert_eq!(smallest(&all, |list| has(list, &[17])).0, [17]);
        assert_eq!(smallest(&all, |list| has(list, &[3, 50, 98])).0, [3, 50, 98]);
        assert_eq!(smallest(&all, |_| true), (Vec::new(), 2));
        assert_eq!(smallest(&all, |_| false).0, all);
        assert!(smallest(&all, |list| has(list, &[17])).1 < 30);
    }

    #[test]
    fn an_element_that_only_a_later_one_needed_goes_too() {
        // 5 may go only once 2 is gone.
        let needed = |list: &[u32]| list.contains(&9) && (!list.contains(&2) || list.contains(&5));
        assert_eq!(smallest(&[2, 5, 9], needed).0, [9]);
    }
}
