//! What the census adds to the baseline: requests and results that occur in other schedules than the
//! default one only.

use crate::process::backtrace::Census;
use crate::process::codec::codec_struct;
use crate::report::call_site::Site;
use crate::run::symbolizer::Symbolizer;
use crate::sweep::measurements::Baseline;
use crate::trace::Op;

/// Requests of one thread beyond those known so far, from the schedule in which it makes the most.
#[derive(Clone, Debug)]
pub(crate) struct ExtraRequests {
    thread: u16,
    /// How many requests of the thread were known before.
    known: u64,
    /// Operation and size of each extra request.
    asked: Vec<(Op, u64)>,
    /// For each extra request an index into `sites`; empty if call sites are unavailable.
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
        let index = usize::from(thread);
        let beyond = known as usize..requests as usize;
        let asked = census.asked.get(index).and_then(|asked| asked.get(beyond.clone()));
        let asked = asked.map(<[_]>::to_vec).unwrap_or_default();
        let by_request = census.by_request.get(index).and_then(|by_request| by_request.get(beyond));
        let by_request = by_request.map(<[_]>::to_vec).unwrap_or_default();
        let sites = Symbolizer::new(known_file).sites(&census.stacks);
        let by_request = if sites.is_some() { by_request } else { Vec::new() };
        ExtraRequests { thread, known, asked, by_request, sites: sites.unwrap_or_default() }
    }
}

/// Adds extra requests and other results to the baseline.
pub(crate) fn extend_baseline(
    baseline: &mut Baseline,
    extra_requests: &[ExtraRequests],
    texts: &[String],
) {
    for ExtraRequests { thread, known, asked, by_request, sites } in extra_requests {
        let at = usize::from(*thread);
        let threads = at + 1;
        baseline.by_thread.resize(baseline.by_thread.len().max(threads), 0);
        baseline.by_request.resize_with(baseline.by_request.len().max(threads), Vec::new);
        baseline.asked.resize_with(baseline.asked.len().max(threads), Vec::new);
        if baseline.by_thread[at] != *known {
            continue;
        }
        baseline.by_thread[at] += asked.len() as u64;
        baseline.asked[at].extend(asked);
        let first_site = baseline.sites.len() as u32;
        if baseline.has_sites && by_request.len() == asked.len() {
            baseline.sites.extend(sites.iter().cloned());
            baseline.by_request[at].extend(by_request.iter().map(|site| first_site + site));
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
