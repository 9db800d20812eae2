//! The runs without a fault that come before a sweep: they say what there is to fail, where it is
//! asked for, and whether the subject does the same thing twice.

use crate::report::format::count;
use crate::sweep::measurements::{Baseline, ENDLESS};
use crate::trace::End;
use std::collections::BTreeSet;
use std::time::Instant;

use crate::error::Error;
use crate::host::Host;
use crate::plan::Plan;
use crate::process::backtrace::{Capture, Census, Stack};
use crate::process::child;
use crate::process::exit::Death;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::call_site::Site;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::outcome::Stopped;
use crate::run::symbolizer::Symbolizer;
use crate::run::{Job, Run, Subject, execute};
use crate::sweep::exit_outcome::{FIRST_PATIENCE, kind_of, notes, os_error};
use crate::sweep::leak_trend;
use crate::sweep::observation::{Observation, moments};
use crate::sweep::point::RunContext;
use crate::sweep::settings::Settings;
use crate::trace::{Coordinate, Event, Fingerprint, Op};

/// The fault-free runs, in a child; or what killed it.
pub(crate) fn scouted(
    settings: &Settings,
    subject: &dyn Subject,
) -> Result<Result<Baseline, Observation>, Error> {
    if settings.in_process {
        return Ok(Ok(scout(settings, subject, &ScratchDir::new(std::process::id()))));
    }
    let owner = std::process::id();
    let mut once = Vec::new();
    if settings.global.is_some() {
        let (found, kept) =
            leak_trend::without_fault(&RunContext::new(settings, subject, &Baseline::default()))?;
        if let Some(found) = found {
            return Ok(Err(found));
        }
        once = kept;
    }
    let answer = child::ask::<Baseline>(FIRST_PATIENCE, |pipe| {
        pipe.send(&scout(settings, subject, &ScratchDir::new(owner)));
    });
    let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
    match (answer.messages.pop(), answer.death) {
        (Some(scouted), _) => Ok(Ok(Baseline { once, ..scouted })),
        (None, Some(death)) if kind_of(death) == Kind::NoProgress => {
            Err(Error::new("the subject makes no progress without any fault")
                .help("let it end, or give it less to do"))
        }
        (None, death) => {
            let death = death.unwrap_or(Death::Exit(0));
            let said = notes(&[(death, answer.stack)])?.concat();
            let evidence = Evidence::new(kind_of(death)).note(format!("without any fault {said}"));
            Ok(Err(Observation { evidence: vec![evidence], ..Observation::default() }))
        }
    }
}

/// Makes the fault-free runs: one to warm up, two that must be alike, one in which growing does
/// not move (for the peak), one to take stacks, and one whose fault lies just beyond the end.
pub(crate) fn scout(settings: &Settings, subject: &dyn Subject, scratch: &ScratchDir) -> Baseline {
    let once = |change: &dyn Fn(&mut Job<'_>)| {
        let mut job = settings.job(scratch);
        change(&mut job);
        execute(subject, job)
    };
    let prime = once(&|_| {});
    status::set_started();
    if prime.conducted.stopped == Some(Stopped::Deadlock) {
        let moments = moments(&prime.evidence);
        let again = once(&|job| job.capture = Some(Capture::of(moments.clone())));
        let found = faultless(&prime, prime.evidence.clone());
        let found = vec![Observation { stacks: again.taken, ..found }];
        return Baseline { found, ..Baseline::default() };
    }
    let most = settings.host.map_or(0, Host::threads_max);
    if let Some(error) = failed(&prime, most) {
        return Baseline { error: Some(error), ..Baseline::default() };
    }
    let started = Instant::now();
    let first = once(&|job| job.record = true);
    let micros = started.elapsed().as_micros() as u64;
    let second = once(&|job| job.record = true);
    let mut scouted = Baseline {
        error: failed(&first, most),
        requests: first.requests.iter().sum(),
        by_thread: first.requests.clone(),
        fingerprint: first.fingerprint.0,
        texts: vec![first.text.clone().unwrap_or_default()],
        sizes: first.sizes.clone(),
        threads: first.threads.max(second.threads) as u64,
        unattributed: first.unattributed + second.unattributed,
        micros,
        ..Baseline::default()
    };
    if scouted.error.is_some() {
        return scouted;
    }
    // Real threads come in another order each time; only the result has to be the same.
    let in_order = scouted.is_in_order(settings);
    let compared = in_order.then(|| Compared::of(settings));
    if let Some(found) = unlike(&first, &second, compared, &once) {
        scouted.found.push(found);
        return scouted;
    }
    let in_place = once(&|job| job.options.moving = false);
    scouted.peak = in_place.peak;
    scouted.budget_used = in_place.budget_used;
    let census = once(&|job| job.capture = Some(Capture::census()));
    take_sites(&mut scouted, census.census.unwrap_or_default(), settings.known_file);
    // Under the global allocator leaks are told by repetition, which has been done.
    let is_firm = |evidence: &&Evidence| settings.global.is_none() || evidence.kind != Kind::Leak;
    let evidence: Vec<Evidence> = first.evidence.iter().filter(is_firm).cloned().collect();
    if !evidence.is_empty() {
        let moments = moments(&evidence);
        let again = once(&|job| job.capture = Some(Capture::of(moments.clone())));
        scouted.found.push(Observation {
            point: None,
            injected: None,
            fingerprint: first.fingerprint.0,
            evidence,
            stacks: again.taken,
            order: None,
        });
        return scouted;
    }
    let norm = RunContext { in_order, ..RunContext::new(settings, subject, &scouted) };
    let beyond = Coordinate { thread: 0, ordinal: scouted.count(0) + 1 };
    let run = execute(subject, norm.job(Plan::at(beyond, true), scratch));
    assert!(
        run.injected.is_none() || run.requests.first() > scouted.by_thread.first(),
        "[mallory bug] a fault beyond the last request was injected"
    );
    if in_order && run.fingerprint != Fingerprint(scouted.fingerprint) {
        let note = "a third run without a fault was not like the first two";
        let evidence = vec![Evidence::new(Kind::Nondeterminism).note(note)];
        scouted.found.push(faultless(&first, evidence));
    }
    scouted
}

fn faultless(run: &Run, evidence: Vec<Evidence>) -> Observation {
    Observation { fingerprint: run.fingerprint.0, evidence, ..Observation::default() }
}

fn failed(run: &Run, most: usize) -> Option<String> {
    match (run.outcome, &run.conducted.stopped) {
        (Outcome::Absorbed, _) => None,
        (_, Some(Stopped::Endless)) => Some(ENDLESS.to_owned()),
        (_, Some(Stopped::Crowd)) => Some(format!("it starts more than {most} threads")),
        _ => Some(run.failure.clone().unwrap_or_else(|| run.outcome.name().to_owned())),
    }
}

/// Makes a run that is changed a little.
type RunOnce<'a> = dyn Fn(&dyn Fn(&mut Job<'_>)) -> Run + 'a;

/// What of two traces has to be alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    Events,
    /// Under the global allocator: the order of frees is not the subject's to choose where it has a
    /// map of std's, whose seeds are random. No request fails elsewhere for that.
    Requests,
}

impl Compared {
    fn of(settings: &Settings) -> Compared {
        if settings.global.is_some() { Compared::Requests } else { Compared::Events }
    }

    /// What is compared of a trace, each with its number.
    fn events(self, trace: &[Event]) -> impl Iterator<Item = (u64, Event)> {
        let all = (1..).zip(trace.iter().copied());
        all.filter(move |(_, event)| self == Compared::Events || event.op != Op::Free)
    }
}

/// The first event in which two traces differ, as each has it, and its number in the first that has
/// one there.
fn parting(first: &[Event], second: &[Event], by: Compared) -> Option<(u64, [Option<Event>; 2])> {
    let (mut first, mut second) = (by.events(first), by.events(second));
    loop {
        let (a, b) = (first.next(), second.next());
        let nth = a.or(b)?.0;
        let events = [a, b].map(|event| event.map(|(_, event)| event));
        if events[0] != events[1] {
            return Some((nth, events));
        }
    }
}

/// An event in words, for the report.
fn describe(event: Event) -> String {
    let Event { op, thread, align, size, end, .. } = event;
    let end = match end {
        End::Done => "",
        End::Injected => ", failed on purpose",
        End::Refused => ", refused",
    };
    format!("T{thread} {op} of {} (align {align}){end}", count(size as u64, "byte"))
}

/// Compares two runs; the first difference is named with both sites. Runs that come in no order
/// (`by` is `None`) are compared by their results alone.
fn unlike(
    first: &Run,
    second: &Run,
    by: Option<Compared>,
    once: &RunOnce<'_>,
) -> Option<Observation> {
    let Some((nth, events)) = by.and_then(|by| parting(&first.trace, &second.trace, by)) else {
        if first.text == second.text {
            return None;
        }
        let (a, b) = (first.text.as_deref(), second.text.as_deref());
        let diff = crate::report::format::diff(a.unwrap_or(""), b.unwrap_or(""));
        let note = "two runs without a fault gave different results:";
        let evidence = Evidence::new(Kind::Nondeterminism).note(note).note(diff);
        return Some(faultless(first, vec![evidence]));
    };
    let [a, b] = events.map(|event| match event {
        Some(event) => describe(event),
        None => "the end".to_owned(),
    });
    let note = format!(
        "two runs without a fault part at event {nth}: {a} in the first, {b} in the second"
    );
    let evidence = Evidence::new(Kind::Nondeterminism)
        .note(note)
        .note("look for random hash seeds, clocks, addresses, and state kept from run to run")
        .step(Role::Requested, Moment::Event(nth));
    let moments = BTreeSet::from([Moment::Event(nth)]);
    let again = once(&|job| job.capture = Some(Capture::of(moments.clone())));
    Some(Observation { stacks: again.taken, ..faultless(first, vec![evidence]) })
}

/// Turns the census's raw stacks into sites.
fn take_sites(scouted: &mut Baseline, mut census: Census, known_file: &str) {
    // What is asked for once the part under test is over is no coordinate.
    for (thread, count) in scouted.by_thread.iter().enumerate() {
        if let (Some(sites), Some(asked)) =
            (census.by_request.get_mut(thread), census.asked.get_mut(thread))
        {
            sites.truncate(*count as usize);
            asked.truncate(*count as usize);
        }
    }
    let last = census.by_request.iter().flatten().max().map_or(0, |last| *last as usize + 1);
    census.stacks.truncate(last);
    scouted.asked = census.asked;
    let stacks: &[Stack] = &census.stacks;
    match Symbolizer::new(known_file).sites(stacks) {
        Some(sites) => {
            scouted.has_sites = true;
            scouted.sites = sites;
            scouted.by_request = census.by_request;
        }
        None => {
            scouted.sites = vec![Site::default()];
            scouted.by_request = census.by_request.iter().map(|of| vec![0; of.len()]).collect();
        }
    }
}
