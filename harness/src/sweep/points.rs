//! The points of a sweep, in the order in which they are run. The first request of each call site
//! comes first, so that a limit loses as few call sites as possible.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::plan::Faults;
use crate::report::call_site::Site;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::Point;
use crate::sweep::settings::Settings;
use crate::trace::Coordinate;

/// All points, those of new call sites first.
pub(crate) fn points(baseline: &Baseline, faults: Faults) -> Vec<Point> {
    let (first, rest) = points_new_first(baseline, faults);
    [first, rest].concat()
}

/// The points of the first request of each call site, and all others, both in the order of their
/// coordinates.
pub(crate) fn points_new_first(baseline: &Baseline, faults: Faults) -> (Vec<Point>, Vec<Point>) {
    let mut seen = BTreeSet::new();
    let keys: Vec<u64> = baseline.sites.iter().map(Site::key).collect();
    let mut is_new = |at: &Coordinate| match baseline.site_number(*at) {
        Some(site) if baseline.has_sites => seen.insert(keys[site]),
        _ => false,
    };
    let (first, rest): (Vec<Coordinate>, Vec<Coordinate>) =
        baseline.coordinates().partition(&mut is_new);
    (both_ways(first.into_iter(), faults), both_ways(rest.into_iter(), faults))
}

/// How many points there are in all, without call sites that are left out.
pub(crate) fn points_in_all(baseline: &Baseline, faults: Faults) -> u64 {
    let ways = if faults == Faults::Both { 2 } else { 1 };
    baseline.coordinates().count() as u64 * ways
}

/// The points of these requests: each fails once, for good, or in both ways.
pub(crate) fn both_ways(all: impl Iterator<Item = Coordinate>, faults: Faults) -> Vec<Point> {
    let both = |at| {
        let point = |persistent| Point { at, persistent };
        let transient = matches!(faults, Faults::Both | Faults::Transient).then(|| point(false));
        let persistent = matches!(faults, Faults::Both | Faults::Persistent).then(|| point(true));
        transient.into_iter().chain(persistent)
    };
    all.flat_map(both).collect()
}

/// Checks the names given to `benign`: one that matches no call site of the baseline, nor one of
/// `more`, protects nothing.
///
/// # Errors
/// If a name matches no call site.
pub(crate) fn check_names(
    settings: &Settings,
    baseline: &Baseline,
    more: &BTreeMap<u64, Site>,
) -> Result<(), Error> {
    for name in &settings.benign {
        if !more.values().chain(&baseline.sites).any(|site| site.mentions(name)) {
            let what = format!("benign({name:?}): no request comes from a function of this name");
            return Err(Error::new(what)
                .help("remove it, or name a function in the call site of a request"));
        }
    }
    Ok(())
}
