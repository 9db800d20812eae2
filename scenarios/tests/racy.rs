//! The planted bugs that need threads, through the program that a user runs: each found, as small as
//! it can be, and replayed from its token in a fresh process; no near miss reported; the reports'
//! text reviewed in `snapshots/`.

use std::path::Path;

use mallory_scenarios::planted::racy::PAIRS;
use similar::{ChangeTag, TextDiff};

/// The lines of a function, without its name.
fn function(source: &str, name: &str) -> String {
    let start = source.find(&format!("\nfn {name}(")).expect("the function is there") + 1;
    let end = start + source[start..].find("\n}\n").expect("it ends") + "\n}\n".len();
    source[start..end].replacen(name, "", 1)
}

#[test]
fn a_pair_differs_by_three_lines_at_most() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/planted");
    for pair in PAIRS {
        let file = folder.join(pair.name.replace('-', "_") + ".rs");
        let source = std::fs::read_to_string(&file).expect("a bug has a file of its name");
        let (planted, near_miss) = (function(&source, "planted"), function(&source, "near_miss"));
        let diff = TextDiff::from_lines(&planted, &near_miss);
        let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
        let lines = count(ChangeTag::Delete).max(count(ChangeTag::Insert));
        assert!((1..=3).contains(&lines), "{}: {lines} lines", pair.name);
    }
}

#[cfg(any(feature = "shuttle", feature = "loom"))]
mod explored {
    use std::process::{Command, Output};

    use mallory_scenarios::planted::racy::{PAIRS, Pair, Seen};
    use serde_json::Value;

    /// Runs the program as from a shell in which nothing of Mallory's is set.
    fn mallory(arguments: &[&str]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_mallory"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MALLORY_")) {
            program.env_remove(name);
        }
        program.args(arguments).output().expect("the program starts")
    }

    /// What it prints, if it ends with this code.
    fn printed(arguments: &[&str], code: i32) -> String {
        let output = mallory(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        let out = String::from_utf8(output.stdout).expect("reports are text");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}\n{out}");
        out
    }

    /// The one report that comes of this, as JSON.
    fn report(arguments: &[&str], code: i32) -> Value {
        let line = printed(&[arguments, &["--format", "json"]].concat(), code);
        serde_json::from_str(&line).expect("one line, an object")
    }

    fn pair(name: &str) -> &'static Pair {
        PAIRS.iter().find(|pair| pair.name == name).expect("there is a pair of this name")
    }

    fn command(seen: Seen) -> &'static str {
        match seen {
            Seen::ByShuttle => "explore",
            Seen::ByLoom => "loom",
        }
    }

    /// Found, as what it is, and as nothing else; the report is the reviewed one.
    fn is_found_and_its_report_is_as_reviewed(name: &str) {
        let pair = pair(name);
        let found = report(&[command(pair.seen), name], 1);
        let findings = found["findings"].as_array().expect("a report has findings");
        let kinds: Vec<&Value> = findings.iter().map(|finding| &finding["kind"]).collect();
        assert_eq!(kinds, [pair.kind.name()], "{found:#}");

        let report = printed(&[command(pair.seen), name], 1);
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../../snapshots");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.add_filter(r"\.rs:[0-9]+", ".rs:LL");
        settings.bind(|| insta::assert_snapshot!(name.replace('/', "-"), report));
    }

    /// The token is short, holds as many faults and preemptions as are needed, and shows the same
    /// in a fresh process.
    fn token_is_small_and_replays(name: &str) {
        let pair = pair(name);
        let found = report(&[command(pair.seen), name], 1);
        let finding = &found["findings"][0];
        let token = finding["replay"].as_str().expect("a finding has a token");
        assert!(token.len() <= 100, "{token}: {} characters", token.len());
        assert_eq!(token.contains(" f="), pair.needs_fault, "{token}");
        if pair.seen == Seen::ByShuttle {
            let schedule = token.split(' ').find_map(|part| part.strip_prefix("s="));
            let turns = schedule.map_or(0, |turns| turns.split(',').count());
            assert_eq!(turns as u32, pair.preemptions, "{token}");
        }
        let again = printed(&["replay", token], 1);
        assert!(again.lines().next().is_some_and(|row| row.ends_with(" reproduced")), "{again}");
        let id = finding["id"].as_str().expect("a finding has an id");
        assert!(again.contains(id), "{id} is not in {again}");
    }

    /// With one preemption less than it needs it isn't there.
    #[cfg(feature = "shuttle")]
    fn needs_its_preemptions(name: &str) {
        let pair = pair(name);
        let fewer = (pair.preemptions - 1).to_string();
        let clean = report(&["explore", name, "--preemptions", &fewer], 0);
        assert_eq!(clean["verdict"], "clean", "{clean:#}");
    }

    fn near_miss_is_clean(name: &str) {
        let pair = pair(name);
        let clean = report(&[command(pair.seen), &pair.near_miss_name()], 0);
        assert_eq!(clean["verdict"], "clean", "{clean:#}");
        assert_eq!(clean["coverage"]["complete"], true, "{clean:#}");
    }

    /// The tests that each bug gets.
    macro_rules! each {
        ($($module:ident $name:literal $feature:literal;)*) => {
            $(#[cfg(feature = $feature)]
            mod $module {
                #[test]
                fn is_found_and_its_report_is_as_reviewed() {
                    super::is_found_and_its_report_is_as_reviewed($name);
                }

                #[test]
                fn token_is_small_and_replays() {
                    super::token_is_small_and_replays($name);
                }

                #[test]
                fn near_miss_is_clean() {
                    super::near_miss_is_clean($name);
                }
            })*

            /// The bugs that have the tests above.
            const TESTED: &[&str] = &[$($name),*];
        };
    }

    each! {
        count "racy/count" "shuttle";
        publication "racy/publication" "loom";
        lock_order "racy/lock-order" "shuttle";
        leak "racy/leak" "shuttle";
        window "racy/window" "shuttle";
        cleanup "racy/cleanup" "shuttle";
    }

    #[test]
    fn every_pair_has_its_tests() {
        assert_eq!(PAIRS.map(|pair| pair.name), TESTED);
    }

    #[cfg(feature = "shuttle")]
    #[test]
    fn each_needs_the_preemptions_that_it_is_said_to_need() {
        for pair in PAIRS.iter().filter(|pair| pair.seen == Seen::ByShuttle) {
            needs_its_preemptions(pair.name);
        }
    }

    /// Shuttle's atomics are sequentially consistent: what needs less shows to loom only.
    #[cfg(feature = "shuttle")]
    #[test]
    fn shuttle_cannot_see_a_relaxed_publication() {
        let clean = report(&["explore", "racy/publication", "--preemptions", "3"], 0);
        assert_eq!(clean["verdict"], "clean", "{clean:#}");
        assert_eq!(clean["coverage"]["complete"], true, "{clean:#}");
    }

    #[cfg(feature = "shuttle")]
    #[test]
    fn the_same_bytes_come_of_every_run_and_number_of_jobs() {
        let explore = |jobs| printed(&["explore", "racy", "--format", "json", "--jobs", jobs], 1);
        let one = explore("1");
        assert_eq!(one, explore("1"));
        assert_eq!(one, explore("2"));
    }
}
