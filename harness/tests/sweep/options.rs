//! The options of a sweep, one by one.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use crate::common::ports::Shared;
use crate::common::{Oom, Owned, kinds, mistake, only, outcomes, the};
use allocator_api2::vec::Vec;
use mallory::{Faults, Heap, Kind, Options, Outcome, Plan, Sweep, Verdict};

fn three(heap: &Heap) -> Result<(), Oom> {
    (0..3).try_for_each(|_| Owned::new(heap, 16).map(drop))?;
    Ok(())
}

fn lossy(heap: &Heap) -> Result<(), Oom> {
    let first = Owned::new(heap, 16)?;
    if second(heap).is_err() {
        first.lose();
        return Err(Oom);
    }
    Ok(())
}

fn second(heap: &Heap) -> Result<(), Oom> {
    Owned::new(heap, 32)?;
    Ok(())
}

/// Aborts if one of two lists cannot grow, in two functions.
fn aborts(heap: &Heap) -> Result<(), Oom> {
    push_numbers(heap);
    push_letters(heap);
    Ok(())
}

fn push_numbers(heap: &Heap) {
    let mut list = Vec::new_in(heap.clone());
    (0..20_u64).for_each(|n| list.push(n));
}

fn push_letters(heap: &Heap) {
    let mut list = Vec::new_in(heap.clone());
    (b'a'..=b'z').for_each(|n| list.push(n));
}

#[test]
fn a_sweep_needs_a_name_of_the_documented_shape() {
    for name in ["", "Upper", "a b", "-a", &"a".repeat(41)] {
        assert!(mistake(&Sweep::new(name).run(three)).contains("no name for a sweep"), "{name}");
    }
    Sweep::new("a/good_name-1").run(three).assert_clean();
}

#[test]
fn the_seed_stands_in_tokens_and_decides_what_chance_decides() {
    let seed = |seed| Sweep::new("seeded").seed(seed);
    let default = seed(0).run(lossy);
    assert!(!only(&default).token().to_string().contains(" r="), "{default}");
    let given = seed(7).run(lossy);
    assert!(only(&given).token().to_string().contains(" r=7 "), "{given}");
    assert_eq!(only(&given).id(), only(&default).id());
    let absorb = |heap: &Heap| {
        let failed = (0..64).filter(|_| Owned::new(heap, 16).is_err()).count();
        Ok::<_, Oom>(failed)
    };
    let failures = |number| {
        let report = seed(number).plan(Plan::seeded(1, 2)).run(absorb);
        only(&report).to_string()
    };
    let line = |text: &str| text.lines().find(|line| line.contains("+ ")).map(str::to_owned);
    assert_eq!(line(&failures(1)), line(&failures(1)));
    let all: std::collections::BTreeSet<_> = (1..=8).map(|n| line(&failures(n))).collect();
    assert!(all.len() > 1, "another seed fails other requests: {all:?}");
}

#[test]
fn any_number_of_jobs_gives_the_same_report() {
    let by = |jobs| {
        let report = Sweep::new("jobs").jobs(jobs).run(|heap| {
            lossy(heap)?;
            aborts(heap)?;
            three(heap)
        });
        report.to_string()
    };
    let one = by(1);
    assert!(one.contains("3 findings"), "{one}");
    for jobs in [0, 2, 3, 64] {
        assert_eq!(by(jobs), one, "{jobs} jobs");
    }
}

#[test]
fn a_limit_that_was_asked_for_is_no_failure_and_is_told() {
    let report = Sweep::new("limited").limit(4).run(three);
    let coverage = report.coverage();
    assert_eq!((coverage.runs, coverage.runs_total, coverage.complete), (4, 6, false));
    assert_eq!((report.exit_code(), report.verdict()), (0, Verdict::Clean));
    assert!(report.to_string().contains("2 of 6 runs were not made"), "{report}");
    report.assert_clean();
    let enough = Sweep::new("limited").limit(6).run(three);
    assert!(enough.coverage().complete);
}

#[test]
fn a_limit_takes_new_call_sites_first() {
    let report = Sweep::new("new-first").limit(6).run(|heap| {
        (0..50).try_for_each(|_| three(heap))?;
        lossy(heap)
    });
    assert_eq!(only(&report).kind(), Kind::Leak, "the last call site is among the first six runs");
}

#[test]
fn the_default_limit_makes_a_report_incomplete() {
    const REQUESTS: u64 = 200_000;
    let options = Options::new().ledger_only();
    let report = Sweep::new("endless")
        .options(options)
        .run(|heap| (0..REQUESTS).try_for_each(|_| Owned::new(heap, 1).map(drop)));
    let coverage = report.coverage();
    assert_eq!((coverage.requests, coverage.runs_total), (REQUESTS, 2 * REQUESTS));
    assert!(coverage.runs >= 100 && !coverage.complete, "{coverage:?}");
    assert_eq!(outcomes(&report), [(Outcome::Propagated, coverage.runs)]);
    assert_eq!((report.exit_code(), report.verdict()), (3, Verdict::Incomplete));
    assert!(std::panic::catch_unwind(|| report.assert_clean()).is_err());
}

#[test]
fn a_name_of_a_benign_site_that_fits_nothing_is_a_mistake() {
    let report = Sweep::new("benign").benign("no_such_function").run(three);
    assert!(mistake(&report).contains("no request comes from a function of this name"));
}

#[test]
fn what_is_allowed_is_noted_with_its_reason_and_held_to_its_maximum() {
    let allow = |max| Sweep::new("allowed").allow(Kind::Leak, "lossy", max, "known, bug 12");
    let report = allow(1).run(lossy);
    report.assert_clean();
    assert!(report.to_string().contains("1 seen: known, bug 12"), "{report}");
    let more = allow(0).run(lossy);
    assert_eq!(only(&more).kind(), Kind::Leak);
    let text = more.to_string();
    let title = "counted: allow(leak, \"lossy\"): 1 seen, at most 0 allowed\n  L-";
    let (_, rows) = text.split_once(title).unwrap_or_else(|| panic!("it lists them: {text}"));
    let (rows, help) = rows.split_once("\n  help: ").unwrap_or_else(|| panic!("no help: {text}"));
    assert!(rows.contains(" ← options::lossy  harness/tests/"), "{text}");
    assert!(help.starts_with("repair what is new, or allow 1 of them\n"), "{text}");
}

#[test]
fn an_allowance_that_fits_nothing_is_a_mistake() {
    let nothing = Sweep::new("unused").allow(Kind::Leak, "three", 9, "gone").run(three);
    assert!(mistake(&nothing).contains("nothing of the kind was found"));
    let elsewhere = Sweep::new("unused").allow(Kind::Leak, "other", 9, "gone").run(lossy);
    let text = mistake(&elsewhere);
    assert!(text.contains("allow(leak, \"other\")") && text.contains("\n  L-"), "{text}");
    assert!(text.contains(" ← options::lossy  harness/tests/"), "{text}");
    assert!(text.contains("help: name a function of one of these call sites"), "{text}");
    let other_kind = Sweep::new("unused").allow(Kind::DoubleFree, "lossy", 9, "gone").run(lossy);
    assert!(mistake(&other_kind).contains("allow(double-free"));
}

#[test]
fn the_number_of_aborting_sites_is_a_ratchet() {
    let inventory = Sweep::new("aborts").run(aborts);
    assert_eq!(kinds(&inventory), [Kind::Abort; 2], "one finding for each call site");
    let equal = Sweep::new("aborts").allow_aborts(2).run(aborts);
    equal.assert_clean();
    assert!(equal.details().starts_with("allowed: failures abort at 2 call sites"), "{equal}");
    assert_eq!(equal.allowed().len(), 2, "they are still listed: {equal}");
    let more = Sweep::new("aborts").allow_aborts(1).run(aborts);
    assert_eq!(kinds(&more), [Kind::Abort; 2]);
    let fewer = Sweep::new("aborts").allow_aborts(3).run(aborts);
    assert!(mistake(&fewer).contains("lower it to allow_aborts(2)"), "{fewer}");
    Sweep::new("none").allow_aborts(0).run(three).assert_clean();
}

#[test]
fn each_kind_of_fault_can_be_asked_for_alone() {
    let runs = |faults| Sweep::new("faults").faults(faults).run(three).coverage().runs;
    assert_eq!(runs(Faults::Both), 6);
    assert_eq!((runs(Faults::Transient), runs(Faults::Persistent)), (3, 3));
}

#[test]
fn a_plan_takes_the_sweeps_place_for_one_run() {
    let count =
        |heap: &Heap| Ok::<_, Oom>((0..9).filter(|_| Owned::new(heap, 16).is_err()).count());
    let failed = |plan| Sweep::new("plan").plan(plan).run(count);
    for (plan, failures) in [
        (Plan::nth(4), 1),
        (Plan::from(7), 3),
        (Plan::burst(2, 3), 3),
        (Plan::budget(15), 9),
        (Plan::nth(1).or(Plan::nth(9)), 2),
        (Plan::when(|request| request.at.ordinal % 2 == 0), 4),
    ] {
        let said = format!("{plan:?}");
        let report = failed(plan);
        assert_eq!(outcomes(&report), [(Outcome::SilentWrong, 1)], "{said}");
        assert!(only(&report).to_string().contains(&format!("+ {failures}")), "{said}: {report}");
    }
    assert_eq!(failed(Plan::none()).coverage().runs, 0);
    assert_eq!(failed(Plan::budget(16)).coverage().runs, 0);
}

#[test]
fn a_port_is_made_anew_for_every_run() {
    let report = Sweep::new("port").port(Shared::default).run(three);
    assert_eq!(report.coverage().requests, 3);
    report.assert_clean();
    let mut refuses = 0;
    let small = Sweep::new("port").port(Shared::default).run_local(|heap| {
        refuses += 1;
        three(heap)
    });
    small.assert_clean();
    assert_eq!(refuses, 0, "the runs were made in children");
}

#[test]
fn what_is_observed_is_what_is_compared() {
    let cache = |heap: &Heap| Ok::<_, Oom>((1, Owned::new(heap, 16).is_ok()));
    assert_eq!(only(&Sweep::new("whole").run(cache)).kind(), Kind::SilentWrong);
    let report = Sweep::new("part").observe(|result: &(u8, bool)| result.0).run(cache);
    assert_eq!(outcomes(&report), [(Outcome::Absorbed, 2)]);
    report.assert_clean();
}

#[test]
fn errors_are_classified_by_the_callers_closure() {
    let both = |heap: &Heap| {
        Owned::new(heap, 16).map_err(|_| "no memory")?;
        Owned::new(heap, 16).map_err(|_| "disk on fire")?;
        Ok::<_, &str>(())
    };
    let report = Sweep::new("classified").oom(|error: &&str| *error == "no memory").run(both);
    assert!(the(&report, Kind::WrongError).to_string().contains("disk on fire"), "{report}");
    assert!(!report.to_string().contains("unclassified"), "{report}");
}

#[test]
fn a_closure_that_changes_what_it_holds_can_be_swept() {
    let runs = Cell::new(0);
    let mut buffer = std::vec::Vec::new();
    let report = Sweep::new("local").run_local(|heap| {
        runs.set(runs.get() + 1);
        buffer.clear();
        buffer.push(1_u8);
        three(heap)
    });
    assert_eq!(report.coverage().runs, 6);
    report.assert_clean();
}

#[test]
fn a_sweep_tells_how_far_it_is() {
    let reported = Arc::new(Mutex::new(std::vec::Vec::new()));
    let seen = Arc::clone(&reported);
    let sweep = Sweep::new("progress").on_progress(move |progress| {
        let mut reported = seen.lock().expect("nobody panics with it");
        reported.push((progress.done, progress.total));
    });
    sweep.run(three).assert_clean();
    let reported = reported.lock().expect("nobody panics with it");
    assert_eq!(reported.last(), Some(&(6, 6)));
    assert!(reported.is_sorted());
}

#[test]
fn the_watching_options_are_those_of_the_heap() {
    let lossy = |options| Sweep::new("watch").options(options).run(lossy);
    assert_eq!(kinds(&lossy(Options::new())), [Kind::Leak]);
    assert_eq!(kinds(&lossy(Options::new().without(Kind::Leak))), []);
    let mode = |options| only(&lossy(options)).token().to_string();
    assert!(mode(Options::new().ledger_only()).contains(" m=ledger "));
    assert!(mode(Options::new().moving(false)).contains(" m=in-place "));
    assert!(mode(Options::new().bypass(true)).contains(" m=bypass "));
}
