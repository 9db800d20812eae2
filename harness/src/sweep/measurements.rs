//! What the fault-free runs measured, and what a sweep asks of it.

use crate::error::Error;
use crate::process::codec::codec_struct;
use crate::report::call_site::Site;
use crate::sweep::observation::Observation;
use crate::sweep::settings::Settings;
use crate::trace::Coordinate;
use crate::trace::Op;
use std::collections::BTreeSet;

/// What the fault-free runs showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baseline {
    /// The subject fails without any fault: the caller's mistake.
    pub(crate) error: Option<String>,
    /// Requests of all threads together, and of each.
    pub(crate) requests: u64,
    pub(crate) by_thread: Vec<u64>,
    pub(crate) fingerprint: u64,
    pub(crate) peak: usize,
    /// What came out: one text, unless schedules differ in it.
    pub(crate) texts: Vec<String>,
    /// Whether call sites can be told at all.
    pub(crate) has_sites: bool,
    pub(crate) sites: Vec<Site>,
    /// For each request, by thread and ordinal, its index in `sites`.
    pub(crate) by_request: Vec<Vec<u32>>,
    /// What each request asks for.
    pub(crate) asked: Vec<Vec<(Op, u64)>>,
    pub(crate) found: Vec<Observation>,
    pub(crate) sizes: Option<Vec<u64>>,
    pub(crate) budget_used: Option<u64>,
    /// Threads that made requests, and calls of those that belong to no run.
    pub(crate) threads: u64,
    pub(crate) unattributed: u64,
    /// What statics and thread-locals keep from the first run on.
    pub(crate) once: Vec<String>,
    /// How long a run took: only to know when a later one stands still.
    pub(crate) micros: u64,
}

impl Baseline {
    /// A subject must succeed while there is memory.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Some(error) = &self.error else {
            return Ok(());
        };
        let help = if error == ENDLESS {
            "a loop that waits for another thread has to call mallory::thread::yield_now"
        } else {
            "a sweep needs a subject that succeeds while there is memory"
        };
        Err(Error::new(format!("the subject fails without any fault: {error}")).help(help))
    }

    /// Whether runs of this subject are alike to the event.
    pub(crate) fn is_in_order(&self, settings: &Settings) -> bool {
        !settings.options.parallel && self.threads <= 1
    }

    /// Whether there were requests to look for the sites of, and no names were found.
    pub(crate) fn lacks_sites(&self) -> bool {
        !self.has_sites && self.by_request.iter().any(|requests| !requests.is_empty())
    }

    /// What a request asks for.
    pub(crate) fn asked(&self, at: Coordinate) -> Option<(Op, u64)> {
        let asked = self.asked.get(usize::from(at.thread))?;
        asked.get(usize::try_from(at.ordinal.checked_sub(1)?).ok()?).copied()
    }

    /// The site of a request.
    pub(crate) fn site(&self, at: Coordinate) -> Option<&Site> {
        self.sites.get(self.site_number(at)?)
    }

    /// The place of a request's site in the list.
    pub(crate) fn site_number(&self, at: Coordinate) -> Option<usize> {
        let sites = self.by_request.get(usize::from(at.thread))?;
        Some(*sites.get(usize::try_from(at.ordinal.checked_sub(1)?).ok()?)? as usize)
    }

    /// Requests of a thread.
    pub(crate) fn count(&self, thread: u16) -> u64 {
        self.by_thread.get(usize::from(thread)).copied().unwrap_or(0)
    }

    /// Every coordinate, thread by thread.
    pub(crate) fn coordinates(&self) -> impl Iterator<Item = Coordinate> {
        let threads = (0..).zip(&self.by_thread);
        threads.flat_map(|(thread, count)| {
            (1..=*count).map(move |ordinal| Coordinate { thread, ordinal })
        })
    }

    /// How many requests of this one's site come up to it, itself included.
    pub(crate) fn occurrence(&self, at: Coordinate) -> u64 {
        let Some(site) = self.site(at) else { return 0 };
        let key = site.key();
        let same = |index: &&u32| self.sites[**index as usize].key() == key;
        let sites = self.by_request.get(usize::from(at.thread)).map_or(&[][..], Vec::as_slice);
        sites.iter().take(at.ordinal as usize).filter(same).count() as u64
    }

    /// The place of a thread's nth request from a site.
    pub(crate) fn find(&self, thread: u16, site: u32, occurrence: u64) -> Option<Coordinate> {
        let mut left = occurrence;
        for (ordinal, index) in (1..).zip(self.by_request.get(usize::from(thread))?) {
            if self.sites[*index as usize].short() == site {
                left = left.checked_sub(1)?;
                if left == 0 {
                    return Some(Coordinate { thread, ordinal });
                }
            }
        }
        None
    }

    /// How many different sites there are.
    pub(crate) fn site_count(&self) -> u64 {
        let keys: BTreeSet<u64> = self.sites.iter().map(Site::key).collect();
        keys.len() as u64
    }
}

/// What is said of a subject whose threads come to more and more points.
pub(crate) const ENDLESS: &str = "its threads go on for ever";

codec_struct!(Baseline {
    error,
    requests,
    by_thread,
    fingerprint,
    peak,
    texts,
    has_sites,
    sites,
    by_request,
    asked,
    found,
    sizes,
    budget_used,
    threads,
    unattributed,
    once,
    micros,
});
