//! Scripts with several threads: run, explored, generated and shrunk. The bugs that need two
//! threads, one of them with a failed request, shrink to the same cases however they are found.

use std::path::{Path, PathBuf};

use crate::program::{mallory, printed};
use mallory::proptest::property;
use mallory::script::{Limits, Script};
use mallory::{Explore, Sweep, Verdict};
use mallory_scenarios::planted::slot::{FORGETS, Op, SOUND, STALE, Slot};

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The committed script with two threads, of this system.
fn script(system: &str) -> Script<Op> {
    let text = read(&package().join("scripts/threads/slot.ron"));
    let mut script = Script::<Op>::read(&text, "slot.ron").expect("a script");
    script.system = system.to_owned();
    script
}

/// The same in a file.
fn file(folder: &Path, system: &str) -> PathBuf {
    let path = folder.join(format!("{system}.ron"));
    std::fs::write(&path, script(system).print().expect("text")).expect("written");
    path
}

/// A committed case as it is when it is found: not marked as planted, and with this `about`, which
/// may describe other operations.
fn committed(id: &str, about: &str) -> String {
    let text = read(&package().join(format!("cases/threads/{id}.ron")));
    let mut case = Script::<Op>::read(&text, id).expect("a case");
    assert!(case.expect.reproduces, "a planted bug stays");
    case.expect.reproduces = false;
    about.clone_into(&mut case.about);
    case.print().expect("text")
}

/// Checks that a case is the committed one, or as small: which of the two threads has which part may
/// depend on how the bug was found.
fn is_the_case(folder: &Path, id: &str) {
    let found = read(&folder.join(format!("{id}.ron")));
    let found = Script::<Op>::read(&found, id).expect("a case");
    let committed = committed(id, &found.about);
    let committed = Script::<Op>::read(&committed, id).expect("a case");
    assert_eq!((&found.system, &found.found), (&committed.system, &committed.found));
    let operations = |script: &Script<Op>| script.threads.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(operations(&found), operations(&committed));
    assert_eq!(found.fault.is_some(), committed.fault.is_some());
    let preemptions = found.schedule.expect("it needs a schedule").split(',').count();
    assert!(preemptions <= 2, "{preemptions} preemptions");
}

const BUGS: [(&str, &str); 2] = [("slot-forgets", "R-6a479f00"), ("slot-stale", "S-152d7278")];

#[test]
fn a_script_with_threads_is_explored_and_what_it_shows_is_a_case() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = folder.path().join("cases");
    let run = |system: &str, code| {
        let path = file(folder.path(), system).display().to_string();
        printed(&["run", &path, "--cases", &cases.display().to_string()], code)
    };
    let clean = run("slot", 0);
    assert!(clean.contains("25 exhaustive to 2 preemptions"), "{clean}");
    assert!(!cases.exists(), "nothing was found");
    for (system, id) in BUGS {
        let report = run(system, 1);
        assert!(report.contains(id) && report.contains("schedule: Some("), "{report}");
        is_the_case(&cases, id);
        let path = cases.join(format!("{id}.ron")).display().to_string();
        let again = |line: &str| {
            line.trim().starts_with("replay  cargo run ")
                && line.ends_with(&format!(" --features shuttle -- run {path}"))
        };
        assert!(report.lines().any(again), "{report}");
        let replayed = printed(&["run", &path], 1);
        assert!(replayed.contains("reproduced"), "{replayed}");
    }
}

#[test]
fn a_schedule_that_its_threads_cannot_follow_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut script = script("slot");
    script.schedule = Some("T0@4>T1,T1@2>T7".to_owned());
    let path = folder.path().join("it.ron");
    std::fs::write(&path, script.print().expect("text")).expect("written");
    let output = mallory(&["run", &path.display().to_string()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("diverged at T1@2>T7") && said.contains("help: "), "{said}");
    script.threads = vec![vec![Op::Look]; 257];
    script.schedule = None;
    let report = Explore::new("slot").scripted::<Slot<SOUND>>(&script);
    assert_eq!(report.exit_code(), 2, "{report}");
    let played = mallory::script::minimise::<Slot<SOUND>>(&script, &[], Limits::default());
    let error = played.expect_err("too many threads").to_string();
    assert!(error.contains("the script has 257 threads"), "{error}");
}

#[test]
fn one_thread_shows_none_of_it() {
    let ops = || script("slot").threads.concat();
    let forgets = Script::of("slot-forgets", ops());
    Sweep::new("slot").scripted::<Slot<FORGETS>>(&forgets).assert_clean();
    Explore::new("slot").scripted::<Slot<FORGETS>>(&forgets).assert_clean();
    let stale = Script::of("slot-stale", ops());
    Sweep::new("slot").scripted::<Slot<STALE>>(&stale).assert_clean();
}

#[test]
fn a_property_shrinks_to_a_case_as_small() {
    let folder = tempfile::tempdir().expect("a folder");
    let forgets = property::<Slot<FORGETS>>().cases(2000).cases_in(folder.path()).run();
    let stale = property::<Slot<STALE>>().cases(2000).cases_in(folder.path()).run();
    for (report, (_, id)) in [forgets, stale].iter().zip(BUGS) {
        let [finding] = report.findings() else { panic!("one finding: {report}") };
        assert_eq!(finding.id(), id, "{report}");
        is_the_case(folder.path(), id);
    }
    let sound = property::<Slot<SOUND>>().cases(1000).run();
    sound.assert_clean();
    assert_eq!(sound.verdict(), Verdict::Sampled, "{sound}");
}

/// A schedule with forty operations, of which two are needed; two faults, of which one is needed;
/// and several preemptions, of which one is needed.
#[test]
fn three_threads_shrink_to_two_operations_one_fault_and_one_preemption() {
    let mut script = script("slot-forgets");
    let looks = || vec![Op::Look; 12];
    script.threads[0] = [looks(), vec![Op::Fill(9), Op::Look, Op::Take], looks()].concat();
    script.threads[1] = [vec![Op::Take, Op::Fill(200)], looks()].concat();
    script.threads.push(looks());
    script.schedule = None;
    // `point` is where the first thread is preempted.
    let found = (20..60).find_map(|point| {
        let mut script = script.clone();
        script.fault = Some("T0#1, T2#9".to_owned());
        script.schedule = Some(format!("T0@3>T2,T2@3>T0,T0@{point}>T1"));
        let small = mallory::script::minimise::<Slot<FORGETS>>(&script, &[], Limits::default());
        small.expect("it can be played")
    });
    let small = found.expect("one of these schedules shows it");
    let removed = small.removed.expect("it is steady");
    assert_eq!(small.script.print().expect("text"), {
        let about = small.script.about.clone();
        committed("R-6a479f00", &about)
    });
    assert_eq!(removed.faults, 1, "{removed}");
    assert!(removed.preemptions >= 2 && removed.operations >= 38, "{removed}");
    assert!(removed.runs < 10_000, "{removed}");
}
