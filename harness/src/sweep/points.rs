//! The points of a sweep, in the order in which they are run: new call sites first.

use crate::error::Error;
use crate::plan::Faults;
use crate::report::call_site::Site;
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::Point;
use crate::sweep::settings::Settings;
use crate::trace::Coordinate;
use std::collections::BTreeSet;

/// All points, new sites first, so that a limit loses least.
pub(crate) fn points(scouted: &Baseline, faults: Faults) -> Vec<Point> {
    let (first, rest) = points_new_first(scouted, faults);
    [first, rest].concat()
}

/// The points of the first request of each call site, and all others.
pub(crate) fn points_new_first(scouted: &Baseline, faults: Faults) -> (Vec<Point>, Vec<Point>) {
    let mut seen = BTreeSet::new();
    let keys: Vec<u64> = scouted.sites.iter().map(Site::key).collect();
    let mut is_new = |at: &Coordinate| match scouted.site_number(*at) {
        Some(site) if scouted.has_sites => seen.insert(keys[site]),
        _ => false,
    };
    let (first, rest): (Vec<Coordinate>, Vec<Coordinate>) =
        scouted.coordinates().partition(&mut is_new);
    let both = |at| {
        let point = |persistent| Point { at, persistent };
        let transient = matches!(faults, Faults::Both | Faults::Transient).then(|| point(false));
        let persistent = matches!(faults, Faults::Both | Faults::Persistent).then(|| point(true));
        transient.into_iter().chain(persistent)
    };
    let points = |all: Vec<Coordinate>| all.into_iter().flat_map(both).collect();
    (points(first), points(rest))
}

/// Sites that the caller named must be there: a name that fits nothing protects nothing.
pub(crate) fn check_names(settings: &Settings, scouted: &Baseline) -> Result<(), Error> {
    for name in &settings.benign {
        if !scouted.sites.iter().any(|site| site.mentions(name)) {
            let what = format!("benign({name:?}): no request comes from a function of this name");
            return Err(Error::new(what).help("take it out, or name a function on the way to one"));
        }
    }
    Ok(())
}
