//! What is run where requests × schedules are more than the limit allows: a sample by the seed, first
//! of the faults, new call sites before all others, and then of each one's schedules.

use crate::plan::Faults;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::Point;
use crate::sweep::points::points_new_first;
use crate::trace::Stream;

/// A fault's share has so many schedules at the least, where there are as many: with fewer, whether a
/// fault shows anything would hang on which of them chance takes.
const SCHEDULES_MIN: u64 = 10;

/// Faults, and how many schedules of each are run at the most.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SampleShare {
    pub(crate) points: Vec<Point>,
    pub(crate) schedules: u64,
}

/// Shares so many runs out, of faults that have about so many schedules each. Never more than that
/// many runs, and at least one.
pub(crate) fn share(
    scouted: &Baseline,
    faults: Faults,
    seed: u64,
    (runs, schedules): (u64, u64),
) -> SampleShare {
    let (mut points, mut rest) = points_new_first(scouted, faults);
    rest.sort_by_cached_key(|point| {
        let nth = point.at.ordinal << 17 | u64::from(point.at.thread) << 1;
        Stream::new(seed, nth | u64::from(point.persistent)).next()
    });
    points.append(&mut rest);
    let least = SCHEDULES_MIN.min(schedules).max(1);
    let most = usize::try_from(runs / least).unwrap_or(usize::MAX);
    points.truncate(most.max(1));
    let schedules = (runs / (points.len() as u64).max(1)).max(1);
    SampleShare { points, schedules }
}

/// The seed of a fault's schedules.
pub(crate) fn seed_of(seed: u64, point: Option<Point>) -> u64 {
    let Some(point) = point else { return seed };
    let at = Stream::new(seed, point.at.ordinal).next() ^ u64::from(point.at.thread);
    Stream::new(at, u64::from(point.persistent)).next()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::report::call_site::{Frame, Site};

    /// Two threads with so many requests each, which come from three call sites in turn.
    fn scouted(requests: u64) -> Baseline {
        let site = |function: &str| Site {
            frames: vec![Frame { function: function.to_owned(), place: String::new() }],
        };
        let by_request = |_| (0..requests as u32).map(|nth| nth % 3).collect();
        Baseline {
            requests: 2 * requests,
            by_thread: vec![requests; 2],
            has_sites: true,
            sites: ["first", "second", "third"].map(site).to_vec(),
            by_request: (0..2).map(by_request).collect(),
            ..Baseline::default()
        }
    }

    #[test]
    fn a_share_is_no_larger_than_the_limit_and_begins_with_new_sites() {
        let scouted = scouted(50);
        for runs in [1, 9, 10, 99, 1_000, 1_999, 2_000, 123_456] {
            let SampleShare { points, schedules } = share(&scouted, Faults::Both, 0, (runs, 1_000));
            assert!(points.len() as u64 * schedules <= runs, "{runs}");
            assert!(schedules >= SCHEDULES_MIN || runs < SCHEDULES_MIN, "{runs}");
            let new = points.iter().take(6);
            assert!(new.clone().all(|point| point.at.thread == 0 && point.at.ordinal <= 3));
            let different: BTreeSet<&Point> = points.iter().collect();
            assert_eq!(different.len(), points.len(), "each is drawn once");
        }
        let all = share(&scouted, Faults::Both, 0, (2_000, 1_000));
        assert_eq!((all.points.len(), all.schedules), (200, 10));
    }

    #[test]
    fn faults_with_few_schedules_are_given_no_more() {
        let SampleShare { points, schedules } = share(&scouted(50), Faults::Transient, 0, (60, 3));
        assert_eq!((points.len(), schedules), (20, 3));
    }

    #[test]
    fn a_seed_draws_the_same_each_time_and_another_one_others() {
        let scouted = scouted(50);
        let draw = |seed| share(&scouted, Faults::Both, seed, (300, 1_000));
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let of =
            |persistent| draw(7).points.into_iter().filter(move |p| p.persistent == persistent);
        assert!(of(true).skip(3).count() > 0 && of(false).skip(3).count() > 0);
        let point = draw(7).points[0];
        assert_ne!(seed_of(0, Some(point)), seed_of(1, Some(point)));
        assert_ne!(seed_of(0, Some(point)), seed_of(0, Some(Point { persistent: true, ..point })));
    }
}
