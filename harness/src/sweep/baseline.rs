//! The fault-free runs that precede a sweep. They find the requests and their call sites, and check
//! that the subject does the same in each run.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::error::Error;
use crate::host::Host;
use crate::plan::Plan;
use crate::process::backtrace::{Capture, Census, LEFT_OUT, Stack};
use crate::process::child;
use crate::process::exit::{Death, DeathRecord};
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::call_site::Site;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::outcome::{ResultComparison, Stopped};
use crate::run::symbolizer::Symbolizer;
use crate::run::{Job, Run, Subject};
use crate::sweep::exit_outcome::{again_patience, first_patience, os_error};
use crate::sweep::isolated_run::run_unprepared;
use crate::sweep::measurements::{Baseline, CROWD, ENDLESS, TOO_MANY};
use crate::sweep::observation::{Observation, moments};
use crate::sweep::point::RunContext;
use crate::sweep::settings::Settings;
use crate::sweep::trace_difference::{Compared, describe, first_difference, other_operation};
use crate::sweep::{address_reuse, guarded, leak_trend, vacuity, whole_program};
use crate::trace::Coordinate;

/// Makes the fault-free runs in child processes, and collects all that they show, whatever else
/// they show.
///
/// # Errors
/// If no child can be started.
pub(crate) fn run_baseline(settings: &Settings, subject: &dyn Subject) -> Result<Baseline, Error> {
    if settings.in_process {
        return Ok(measure(settings, subject, &ScratchDir::new(std::process::id())));
    }
    if settings.is_program && settings.guards_program {
        settings.sheltered.set(true);
    }
    let mut baseline = measure_apart(settings, subject)?;
    if settings.is_program {
        if settings.guards_program {
            baseline.found.extend(guarded::guard(settings, subject, &baseline)?.found);
        }
        // Nothing is kept from run to run, and reachability tells which blocks are lost.
        if baseline.dead_end.is_none() {
            check_request_after_last(settings, subject, &baseline)?;
        }
        return Ok(baseline);
    }
    let seen = guarded::guard(settings, subject, &baseline)?;
    if seen.writes {
        // What the plain runs show is the consequence of stray writes, and may differ each time.
        settings.sheltered.set(true);
        baseline = measure_apart(settings, subject)?;
    }
    if seen.explains_difference {
        for found in &mut baseline.found {
            found.evidence.retain(|evidence| evidence.kind != Kind::Nondeterminism);
        }
        baseline.found.retain(|found| !found.evidence.is_empty());
    }
    let differs = baseline.shows(Kind::Nondeterminism)
        || (baseline.comparison != ResultComparison::Exact && !seen.explains_difference);
    if settings.may_run_apart() && differs && baseline.is_harmless() && !seen.is_harmful() {
        // Each run may only have to begin in the same state.
        settings.know_results(baseline.comparison);
        settings.run_apart(subject);
        baseline = measure_apart(settings, subject)?;
    }
    if let Some(agreed) = &seen.agreed {
        baseline.found.extend(address_reuse::look(settings, subject, &baseline, agreed)?);
    }
    baseline.found.extend(seen.found);
    if baseline.dead_end.is_none() {
        check_request_after_last(settings, subject, &baseline)?;
    }
    if settings.global.is_some() && baseline.dead_end.is_none() {
        let unmeasured = Baseline::default();
        let context = RunContext::new(settings, subject, &unmeasured);
        let (leaks, once) = leak_trend::without_fault(&context)?;
        baseline.found.extend(leaks);
        baseline.once = once;
    }
    Ok(baseline)
}

/// Makes the fault-free runs in a child process.
///
/// # Errors
/// If no child can be started.
pub(crate) fn measure_apart(settings: &Settings, subject: &dyn Subject) -> Result<Baseline, Error> {
    let owner = std::process::id();
    let answer = child::ask::<Baseline>(first_patience(settings), &|pipe| {
        pipe.send(&measure(settings, subject, &ScratchDir::new(owner)));
    });
    let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
    match answer.messages.pop() {
        Some(baseline) => Ok(baseline),
        None => {
            let death = answer.death.unwrap_or(Death::Exit(0).without_trace());
            died(settings, subject, death)
        }
    }
}

/// The baseline of a subject that dies without any fault: what was found before its death, and the
/// death. `seen` is how the measuring child died. The run is made once more, in a child that sends
/// what it finds as it finds it.
fn died(settings: &Settings, subject: &dyn Subject, seen: DeathRecord) -> Result<Baseline, Error> {
    whole_program::check(settings, seen.death)?;
    let unmeasured = Baseline::default();
    let context =
        RunContext { requests: u64::MAX, ..RunContext::new(settings, subject, &unmeasured) };
    let mut again = run_unprepared(&context, again_patience(settings, seen.death))?;
    let advice = whole_program::advice(settings, seen.death);
    let why = format!("without any fault {}{advice}", seen.death);
    if again.death.as_ref().map(|again| again.death) != Some(seen.death) {
        // It died in a later run, or not in the same way.
        again.death = Some(seen);
    }
    Ok(Baseline { found: again.all()?, dead_end: Some(why), ..Baseline::default() })
}

/// Makes the fault-free runs in this process: one to warm up, two whose traces must be equal, one
/// that grows blocks in place (for the peak), one that takes backtraces.
pub(crate) fn measure(
    settings: &Settings,
    subject: &dyn Subject,
    scratch: &ScratchDir,
) -> Baseline {
    let run_with = |change: &dyn Fn(&mut Job<'_>)| {
        let mut job = settings.job(scratch);
        change(&mut job);
        settings.execute(subject, job)
    };
    let prime = run_with(&|_| {});
    status::set_started();
    if prime.conducted.stopped == Some(Stopped::Deadlock) {
        let moments = moments(&prime.evidence);
        let again = run_with(&|job| job.capture = Some(Capture::of(moments.clone())));
        let found = faultless(&prime, prime.evidence.clone());
        let found = vec![Observation { stacks: again.taken, ..found }];
        let dead_end = Some("its threads wait for each other without any fault".to_owned());
        return Baseline { found, dead_end, ..Baseline::default() };
    }
    let threads_max = settings.host.map_or(0, Host::threads_max);
    if let Some(error) = failed(&prime, threads_max) {
        // That its threads never end is what the error says already.
        let mut found = Vec::from_iter(shown(settings, &prime, &run_with));
        for found in &mut found {
            found.evidence.retain(|evidence| evidence.kind != Kind::NoProgress);
        }
        found.retain(|found| !found.evidence.is_empty());
        return Baseline { error: Some(error), found, ..Baseline::default() };
    }
    let started = Instant::now();
    let has_schedule = settings.host.is_some();
    let recorded = |job: &mut Job<'_>| (job.record, job.record_operations) = (true, has_schedule);
    let first = run_with(&recorded);
    let micros = started.elapsed().as_micros() as u64;
    let second = run_with(&recorded);
    let mut baseline = Baseline {
        error: failed(&first, threads_max),
        requests: first.requests.iter().sum(),
        by_thread: first.requests.clone(),
        fingerprint: first.fingerprint.0,
        texts: vec![first.text.clone().unwrap_or_default()],
        sizes: first.sizes.clone(),
        threads: first.threads.max(second.threads) as u64,
        running: first.running.max(second.running) as u64,
        unattributed: first.unattributed + second.unattributed,
        micros,
        ..Baseline::default()
    };
    baseline.found.extend(shown(settings, &first, &run_with));
    if baseline.error.is_some() {
        return baseline;
    }
    // Real threads run in another order each time, so only their results are compared.
    let in_order = baseline.is_in_order(settings);
    let compared = in_order.then(|| Compared::of(settings));
    if let Some(found) = difference(&first, &second, compared, &run_with) {
        baseline.found.push(found);
        baseline.dead_end = Some("its runs differ without any fault".to_owned());
        return baseline;
    }
    if let Some(note) = other_operation(&first.operations, &second.operations) {
        let evidence = Evidence::new(Kind::Nondeterminism).note(note).note(CAUSES);
        baseline.found.push(faultless(&first, vec![evidence]));
        baseline.dead_end = Some("its runs differ without any fault".to_owned());
        return baseline;
    }
    let in_place = run_with(&|job| job.options.moving = false);
    baseline.misses_global = settings.global.is_some()
        && !settings.is_program
        && vacuity::misses_allocator(settings, scratch);
    baseline.peak = in_place.peak;
    baseline.metrics.clone_from(&in_place.metrics);
    baseline.budget_used = in_place.budget_used;
    let census = run_with(&|job| job.capture = Some(Capture::census()));
    let texts = [&second, &in_place, &census].map(|run| run.text.as_deref().unwrap_or_default());
    baseline.difference = whole_program::difference(settings, &baseline.texts[0], &texts);
    let comparisons = texts.map(|text| ResultComparison::of(&baseline.texts[0], text));
    baseline.comparison = comparisons.into_iter().fold(settings.comparison.get(), Ord::max);
    // The adversarial heap and a fixed schedule leave nothing to chance but what the subject reads.
    if baseline.comparison == ResultComparison::Never
        && (settings.adversarial || settings.host.is_some())
    {
        baseline.found.push(different_results(&first, &texts));
        baseline.dead_end = Some("its runs differ without any fault".to_owned());
        return baseline;
    }
    take_sites(&mut baseline, census.census.unwrap_or_default(), settings.known_file);
    baseline
}

/// Makes sure that the fault just beyond the last request is not injected, in a child process: if
/// the subject makes more requests in this run than before, it may die of the fault, and that shows
/// nothing. Threads that run freely may do so at any time, so there is nothing to check.
///
/// # Errors
/// If no child can be started.
///
/// # Panics
/// If it was injected all the same: a bug of Mallory's own.
fn check_request_after_last(
    settings: &Settings,
    subject: &dyn Subject,
    baseline: &Baseline,
) -> Result<(), Error> {
    if !baseline.is_in_order(settings) || settings.host.is_some() {
        return Ok(());
    }
    let owner = std::process::id();
    let beyond = Coordinate { thread: 0, ordinal: baseline.count(0) + 1 };
    let answer = child::ask::<(bool, u64)>(first_patience(settings), &|pipe| {
        let scratch = ScratchDir::new(owner);
        settings.execute(subject, settings.job(&scratch));
        status::set_started();
        let context = RunContext::new(settings, subject, baseline);
        let run = settings.execute(subject, context.job(Plan::at(beyond, true), &scratch));
        pipe.send(&(run.injected.is_some(), run.requests.first().copied().unwrap_or(0)));
    });
    let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
    if let Some((injected, requests)) = answer.messages.pop() {
        assert!(
            !injected || requests > baseline.count(0),
            "[mallory bug] a fault beyond the last request was injected"
        );
    }
    Ok(())
}

/// What the detectors showed in a fault-free run, with call sites. Leaks under the global allocator
/// are looked for by repetition instead (`leak_trend`).
fn shown(settings: &Settings, run: &Run, run_with: &RunWith<'_>) -> Option<Observation> {
    let is_sure =
        |evidence: &&Evidence| !settings.repeats_for_leaks() || evidence.kind != Kind::Leak;
    let evidence: Vec<Evidence> = run.evidence.iter().filter(is_sure).cloned().collect();
    if evidence.is_empty() {
        return None;
    }
    let moments = moments(&evidence);
    let again = run_with(&|job| job.capture = Some(Capture::of(moments.clone())));
    let mut shown = Observation { stacks: again.taken, ..faultless(run, evidence) };
    shown.leave_out_libtests();
    (!shown.evidence.is_empty()).then_some(shown)
}

fn faultless(run: &Run, evidence: Vec<Evidence>) -> Observation {
    Observation { fingerprint: run.fingerprint.0, evidence, ..Observation::default() }
}

/// How a fault-free run failed, if it did. `threads_max` is the limit of a model checker.
fn failed(run: &Run, threads_max: usize) -> Option<String> {
    match (run.outcome, &run.conducted.stopped) {
        (Outcome::Absorbed, _) => None,
        (_, Some(Stopped::Endless)) => Some(ENDLESS.to_owned()),
        _ if whole_program::asks_without_end(run) => Some(TOO_MANY.to_owned()),
        (_, Some(Stopped::Crowd)) => Some(format!("{CROWD} {threads_max} threads")),
        _ => Some(run.failure.clone().unwrap_or_else(|| run.outcome.name().to_owned())),
    }
}

/// Makes a fault-free run whose job a closure changes first.
type RunWith<'a> = dyn Fn(&dyn Fn(&mut Job<'_>)) -> Run + 'a;

/// Fault-free runs of equal traces that gave different results.
fn different_results(first: &Run, others: &[&str]) -> Observation {
    let usual = first.text.as_deref().unwrap_or_default();
    let other = others.iter().find(|text| **text != usual).copied().unwrap_or_default();
    let note = "two runs without a fault gave different results:";
    let diff = crate::report::format::diff(usual, other);
    faultless(first, vec![Evidence::new(Kind::Nondeterminism).note(note).note(diff)])
}

/// Why two equal runs may differ.
const CAUSES: &str =
    "look for random hash seeds, clocks, addresses, and state kept from run to run";

/// Compares the traces of two fault-free runs, and names the first difference with its call site.
/// `compared` is `None` for real threads, whose traces are not compared.
fn difference(
    first: &Run,
    second: &Run,
    compared: Option<Compared>,
    run_with: &RunWith<'_>,
) -> Option<Observation> {
    let (nth, events) = first_difference(&first.trace, &second.trace, compared?)?;
    let [a, b] = events.map(|event| match event {
        Some(event) => describe(event),
        None => "the end".to_owned(),
    });
    let note = format!(
        "two runs without a fault differ at event {nth}: {a} in the first, {b} in the second"
    );
    let evidence = Evidence::new(Kind::Nondeterminism)
        .note(note)
        .note(CAUSES)
        .step(Role::Requested, Moment::Event(nth));
    let moments = BTreeSet::from([Moment::Event(nth)]);
    let again = run_with(&|job| job.capture = Some(Capture::of(moments.clone())));
    Some(Observation { stacks: again.taken, ..faultless(first, vec![evidence]) })
}

/// How many fault-free results are compared before a difference to them counts.
const RESULTS: usize = 24;

/// Compares the results of many fault-free runs in one child process: two runs may give the same
/// result by luck.
///
/// # Errors
/// If no child can be started.
pub(crate) fn compare_results(
    settings: &Settings,
    subject: &dyn Subject,
    baseline: &Baseline,
) -> Result<ResultComparison, Error> {
    let owner = std::process::id();
    let answer = child::ask::<ResultComparison>(first_patience(settings), &|pipe| {
        let scratch = ScratchDir::new(owner);
        let usual = baseline.texts.first().map_or("", String::as_str);
        let results = (0..RESULTS).map(|_| settings.execute(subject, settings.job(&scratch)).text);
        let compared =
            results.map(|text| ResultComparison::of(usual, text.as_deref().unwrap_or_default()));
        let compared = compared.max().unwrap_or_default();
        status::set_started();
        pipe.send(&compared);
    });
    let answer = answer.map_err(|error| os_error("start a child", &error))?;
    Ok(answer.messages.last().copied().unwrap_or_default())
}

/// Turns the backtraces of the census run into call sites.
pub(crate) fn take_sites(baseline: &mut Baseline, mut census: Census, known_file: &str) {
    // Requests after the end of the part under test have no coordinate.
    for (thread, count) in baseline.by_thread.iter().enumerate() {
        if let (Some(sites), Some(asked)) =
            (census.by_request.get_mut(thread), census.asked.get_mut(thread))
        {
            sites.truncate(*count as usize);
            asked.truncate(*count as usize);
        }
    }
    let known = census.by_request.iter().flatten().filter(|index| **index < LEFT_OUT);
    let used = known.max().map_or(0, |last| *last as usize + 1);
    census.stacks.truncate(used);
    baseline.asked = census.asked;
    let stacks: &[Stack] = &census.stacks;
    match status::busy(|| Symbolizer::new(known_file).sites(stacks)) {
        Some(sites) => {
            baseline.has_sites = true;
            baseline.sites = sites;
            baseline.by_request = census.by_request;
        }
        None => {
            baseline.sites = vec![Site::default()];
            baseline.by_request = census.by_request.iter().map(|of| vec![0; of.len()]).collect();
        }
    }
    baseline.mark_outside_test();
}
