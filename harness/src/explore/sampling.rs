//! Chooses what is run if requests × schedules exceed the limit: a sample by the seed. It takes faults
//! first, those at new call sites before all others, and then some schedules of each fault.

use crate::plan::Faults;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::Point;
use crate::sweep::points::points_new_first;
use crate::trace::Stream;

/// The fewest schedules of each sampled fault, if there are as many. With fewer, it would be up to
/// chance whether a fault shows anything.
const SCHEDULES_MIN: u64 = 10;

/// The sampled faults, and the most schedules that are run of each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SampleShare {
    pub(crate) points: Vec<Point>,
    pub(crate) schedules: u64,
}

/// Divides `runs` runs among faults that have about `schedules` schedules each. The result is at most
/// `runs` runs, and at least one.
pub(crate) fn share(
    baseline: &Baseline,
    faults: Faults,
    seed: u64,
    (runs, schedules): (u64, u64),
) -> SampleShare {
    let (mut points, mut rest) = points_new_first(baseline, faults);
    rest.sort_by_cached_key(|point| {
        let nth = point.at.ordinal << 17 | u64::from(point.at.thread) << 1;
        Stream::new(seed, nth | u64::from(point.persistent)).next()
    });
    points.append(&mut rest);
    let schedules_min = SCHEDULES_MIN.min(schedules).max(1);
    let faults_max = usize::try_from(runs / schedules_min).unwrap_or(usize::MAX);
    points.truncate(faults_max.max(1));
    let schedules = (runs / (points.len() as u64).max(1)).max(1);
    SampleShare { points, schedules }
}

/// The seed by which a fault's schedules are sampled.
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

    /// Two threads with `requests` requests each, which cycle through three call sites.
    fn baseline_of(requests: u64) -> Baseline {
        let site = |function: &str| Site {
            frames: vec![Frame { function: function.to_owned(), ..Frame::default() }],
            ..Site::default()
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
        let baseline = baseline_of(50);
        for runs in [1, 9, 10, 99, 1_000, 1_999, 2_000, 123_456] {
            let SampleShare { points, schedules } =
                share(&baseline, Faults::Both, 0, (runs, 1_000));
            assert!(points.len() as u64 * schedules <= runs, "{runs}");
            assert!(schedules >= SCHEDULES_MIN || runs < SCHEDULES_MIN, "{runs}");
            let new = points.iter().take(6);
            assert!(new.clone().all(|point| point.at.thread == 0 && point.at.ordinal <= 3));
            let different: BTreeSet<&Point> = points.iter().collect();
            assert_eq!(different.len(), points.len(), "each fault is sampled once");
        }
        let all = share(&baseline, Faults::Both, 0, (2_000, 1_000));
        assert_eq!((all.points.len(), all.schedules), (200, 10));
    }

    #[test]
    fn a_fault_gets_no_more_schedules_than_it_has() {
        let SampleShare { points, schedules } =
            share(&baseline_of(50), Faults::Transient, 0, (60, 3));
        assert_eq!((points.len(), schedules), (20, 3));
    }

    #[test]
    fn a_seed_determines_the_sample() {
        let baseline = baseline_of(50);
        let sample = |seed| share(&baseline, Faults::Both, seed, (300, 1_000));
        assert_eq!(sample(7), sample(7));
        assert_ne!(sample(7), sample(8));
        let of =
            |persistent| sample(7).points.into_iter().filter(move |p| p.persistent == persistent);
        assert!(of(true).skip(3).count() > 0 && of(false).skip(3).count() > 0);
        let point = sample(7).points[0];
        assert_ne!(seed_of(0, Some(point)), seed_of(1, Some(point)));
        assert_ne!(seed_of(0, Some(point)), seed_of(0, Some(Point { persistent: true, ..point })));
    }
}
