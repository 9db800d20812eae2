//! Tokens: what a replay reports of a finding, also if the subject was edited meanwhile.

use crate::common::{Oom, Owned, kinds, mistake, only};
use mallory::{Heap, Kind, Options, Outcome, Report, Sweep, Token};

/// How the subject was edited since the token was printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edit {
    None,
    OneMoreRequestBefore,
    OneLessRequestAfter,
    OtherBug,
    Fixed,
}

fn subject(heap: &Heap, edit: Edit) -> Result<usize, Oom> {
    if edit == Edit::OneMoreRequestBefore {
        added(heap)?;
    }
    let kept = Owned::new(heap, 16)?;
    if stage(heap).is_err() {
        match edit {
            Edit::Fixed => {}
            Edit::OtherBug => return Ok(0),
            _ => drop(kept.lose()),
        }
        return Err(Oom);
    }
    if edit != Edit::OneLessRequestAfter {
        added(heap)?;
    }
    Ok(1)
}

fn added(heap: &Heap) -> Result<(), Oom> {
    Owned::new(heap, 64)?;
    Ok(())
}

fn stage(heap: &Heap) -> Result<(), Oom> {
    Owned::new(heap, 32)?;
    Ok(())
}

/// Sweeps or replays, both from this function, so that the call sites are the same.
fn run(token: Option<&Token>, edit: Edit) -> Report {
    let mut sweep = Sweep::new("edited");
    if let Some(token) = token {
        sweep = sweep.replay(token.clone());
    }
    sweep.run(|heap| subject(heap, edit))
}

fn replay(edit: Edit) -> Report {
    let found = run(None, Edit::None);
    assert_eq!(only(&found).kind(), Kind::Leak);
    run(Some(only(&found).token()), edit)
}

/// A replay with this verdict, which is not a pass.
#[track_caller]
fn says(report: &Report, said: &str) {
    assert!(report.row().ends_with(said), "expected {said}:\n{report}");
    let passed = std::panic::catch_unwind(|| report.assert_clean()).is_ok();
    assert!(!passed, "a replay is never a passing test");
}

#[test]
fn a_finding_is_reproduced_with_its_id() {
    let report = replay(Edit::None);
    says(&report, "reproduced");
    assert_eq!(only(&report).id(), only(&run(None, Edit::None)).id());
    assert_eq!(report.exit_code(), 1);
}

#[test]
fn a_finding_moves_with_its_call_site() {
    says(&replay(Edit::OneMoreRequestBefore), "moved to T0#3");
}

#[test]
fn what_comes_after_the_fault_does_not_matter() {
    says(&replay(Edit::OneLessRequestAfter), "reproduced");
}

#[test]
fn another_bug_at_the_same_place_is_a_different_finding() {
    let report = replay(Edit::OtherBug);
    says(&report, "different finding");
    assert_eq!(only(&report).kind(), Kind::SilentWrong);
}

#[test]
fn a_corrected_subject_shows_no_failure() {
    let report = replay(Edit::Fixed);
    says(&report, "no failure");
    assert_eq!(kinds(&report), []);
}

#[test]
fn every_kind_of_death_is_reproduced() {
    let ends: [fn(); 4] = [
        || std::process::abort(),
        || std::process::exit(0),
        || std::process::exit(7),
        || panic!("no memory"),
    ];
    for end in ends {
        let subject = |heap: &Heap| {
            stage(heap).unwrap_or_else(|_| end());
            Ok::<_, Oom>(())
        };
        let found = Sweep::new("deaths").run(subject);
        let token = only(&found).token().clone();
        let report = Sweep::new("deaths").replay(token).run(subject);
        says(&report, "reproduced");
        assert_eq!(only(&report).id(), only(&found).id());
    }
}

#[test]
fn what_only_the_whole_sweep_objects_to_is_reproduced_too() {
    let absorbs = |heap: &Heap| {
        let _ = stage(heap);
        Ok::<_, Oom>(())
    };
    let found = Sweep::new("strict").strict().run(absorbs);
    assert_eq!(only(&found).kind(), Kind::Absorbed);
    let token = only(&found).token().clone();
    says(&Sweep::new("strict").strict().replay(token).run(absorbs), "reproduced");
}

#[test]
fn what_shows_without_a_fault_is_reproduced() {
    let always = |heap: &Heap| Owned::new(heap, 16).map(|block| _ = block.lose());
    let found = Sweep::new("always").run(always);
    let token = only(&found).token().clone();
    assert!(!token.to_string().contains("f="), "{token}");
    says(&Sweep::new("always").replay(token.clone()).run(always), "reproduced");
    says(&Sweep::new("always").replay(token).run(added), "no failure");
}

#[test]
fn a_replay_makes_its_runs_in_the_tokens_mode() {
    let subject = |heap: &Heap| {
        let kept = Owned::new(heap, 16)?;
        if heap.bypass() && stage(heap).is_err() {
            kept.lose();
            return Err(Oom);
        }
        Ok(())
    };
    let found = Sweep::new("mode").options(Options::new().bypass(true)).run(subject);
    let token = only(&found).token().clone();
    assert!(token.to_string().contains(" m=bypass "), "{token}");
    says(&Sweep::new("mode").replay(token).run(subject), "reproduced");
}

#[test]
fn a_token_of_another_scenario_or_input_is_refused() {
    let with = |token: &str| {
        let token: Token = token.parse().expect("of the right shape");
        mistake(&Sweep::new("edited").replay(token).run(|heap| subject(heap, Edit::None)))
    };
    assert!(with("v1 other f=T0#1 fp=000000").contains("of `other`, not of `edited`"));
    assert!(with("v1 edited f=T0#1 i=00c0ffee fp=000000").contains("made with another input"));
}

#[test]
fn a_coordinate_beyond_the_end_is_no_failure_and_no_pass() {
    let token: Token = "v1 edited f=T0#999 fp=000000".parse().expect("of the right shape");
    says(&run(Some(&token), Edit::None), "no failure");
}

#[test]
fn a_report_says_how_to_replay_it_in_this_test() {
    let report = run(None, Edit::None);
    let token = only(&report).token();
    let line = format!("  replay  MALLORY_REPLAY='{token}' cargo ");
    let text = report.to_string();
    let line = text.lines().find_map(|text| text.strip_prefix(&line)).expect("a replay line");
    assert!(line.contains("replays::a_report_says_how_to_replay_it_in_this_test"), "{text}");
    assert_eq!(report.outcomes(Outcome::Propagated), 6);
}

#[test]
fn a_replay_shows_what_is_allowed_and_misses_nothing_that_is_allowed_besides() {
    let allowed = |token: Option<&Token>| {
        let mut sweep = Sweep::new("edited").allow(Kind::Leak, "subject", 9, "known").allow(
            Kind::Leak,
            "nowhere",
            9,
            "gone",
        );
        if let Some(token) = token {
            sweep = sweep.replay(token.clone());
        }
        sweep.run(|heap| subject(heap, Edit::None))
    };
    // A whole sweep reports the unused allowance.
    assert!(mistake(&allowed(None)).contains("nothing of the kind was found"));
    let found = run(None, Edit::None);
    let replayed = allowed(Some(only(&found).token()));
    assert_eq!(only(&replayed).kind(), Kind::Leak);
}
