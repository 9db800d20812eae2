//! What a census over schedules adds to the fault-free run: requests that only other schedules make,
//! and other results.

use crate::process::backtrace::Census;
use crate::process::codec::codec_struct;
use crate::report::call_site::Site;
use crate::run::symbolizer::Symbolizer;
use crate::sweep::measurements::Baseline;
use crate::trace::Op;

/// What a thread asks for beyond the runs before, in a schedule in which it asks for most.
#[derive(Clone, Debug)]
pub(crate) struct ExtraRequests {
    thread: u16,
    known: u64,
    asked: Vec<(Op, u64)>,
    /// Where, by indices into the sites; none where there are no names.
    by_request: Vec<u32>,
    sites: Vec<Site>,
}

codec_struct!(ExtraRequests { thread, known, asked, by_request, sites });

impl ExtraRequests {
    pub(crate) fn of(
        thread: u16,
        known: u64,
        requests: u64,
        census: &Census,
        known_file: &str,
    ) -> ExtraRequests {
        let of = usize::from(thread);
        let beyond = known as usize..requests as usize;
        let asked = census.asked.get(of).and_then(|asked| asked.get(beyond.clone()));
        let asked = asked.map(<[_]>::to_vec).unwrap_or_default();
        let by_request = census.by_request.get(of).and_then(|by_request| by_request.get(beyond));
        let by_request = by_request.map(<[_]>::to_vec).unwrap_or_default();
        let sites = Symbolizer::new(known_file).sites(&census.stacks);
        let by_request = if sites.is_some() { by_request } else { Vec::new() };
        ExtraRequests { thread, known, asked, by_request, sites: sites.unwrap_or_default() }
    }
}

/// Adds what other schedules showed: more requests, other results.
pub(crate) fn widen(baseline: &mut Baseline, wider: &[ExtraRequests], texts: &[String]) {
    for ExtraRequests { thread, known, asked, by_request, sites } in wider {
        let at = usize::from(*thread);
        let more = at + 1;
        baseline.by_thread.resize(baseline.by_thread.len().max(more), 0);
        baseline.by_request.resize_with(baseline.by_request.len().max(more), Vec::new);
        baseline.asked.resize_with(baseline.asked.len().max(more), Vec::new);
        if baseline.by_thread[at] != *known {
            continue;
        }
        baseline.by_thread[at] += asked.len() as u64;
        baseline.asked[at].extend(asked);
        let first = baseline.sites.len() as u32;
        if baseline.has_sites && by_request.len() == asked.len() {
            baseline.sites.extend(sites.iter().cloned());
            baseline.by_request[at].extend(by_request.iter().map(|site| first + site));
        } else {
            baseline.by_request[at].extend(asked.iter().map(|_| 0));
        }
    }
    baseline.requests = baseline.by_thread.iter().sum();
    for text in texts {
        if !baseline.texts.contains(text) {
            baseline.texts.push(text.clone());
        }
    }
}
