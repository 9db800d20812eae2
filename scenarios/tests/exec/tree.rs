//! Programs that start others: each one is swept where it begins.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::program::mallory_command;
use crate::workshop::Workshop;

/// A script that starts a planted program twice alike and once with other words, and another program
/// that reads from a pipe. What it leaves shows that it has run as if nobody watched.
const SCRIPT: &str = "#!/bin/sh
printf 'b\\na\\n' > in.txt
./leak > first.txt
./leak > /dev/null
./leak other > /dev/null
cat in.txt | sort > sorted.txt
mkdir once && rm in.txt
";

/// A folder with the script, and the programs that it starts.
fn tree() -> Workshop {
    let workshop = Workshop::of("leak");
    let script = workshop.folder().join("check.sh");
    std::fs::write(&script, SCRIPT).expect("written");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("made executable");
    workshop
}

/// The lines that `mallory exec --trace-children` prints for the script, and its exit code.
fn traced(workshop: &Workshop, options: &[&str]) -> (Option<i32>, String) {
    let mut command = mallory_command(workshop.folder());
    command.args(options).args(["exec", "--trace-children", "--limit", "6", "--", "./check.sh"]);
    let output = command.output().expect("it starts");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn every_program_that_a_script_starts_is_swept_where_it_begins() {
    let workshop = tree();
    let (code, lines) = traced(&workshop, &["--format", "json"]);
    assert_eq!(code, Some(1), "{lines}");
    let rows: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let first = rows.first().expect("the script's own");
    assert_eq!((&first["program"], &first["started_by"]), (&"check-sh".into(), &"".into()));
    let of = |words: &[&str]| {
        let is_it = |row: &&Value| row["words"] == Value::from(words.to_vec());
        let row = rows.iter().find(is_it).unwrap_or_else(|| panic!("{words:?}: {lines}"));
        assert_eq!(row["started_by"], "check-sh");
        row
    };
    assert_eq!(of(&["./leak"])["processes"], 2);
    assert_eq!(of(&["./leak", "other"])["processes"], 1);
    assert_eq!(of(&["./leak"])["report"]["findings"][0]["kind"], "leak");
    // It has read the same as in the script: without its input it would ask for less.
    assert_eq!(of(&["sort"])["report"]["coverage"]["runs"], 6, "{lines}");
    assert!(of(&["rm", "in.txt"])["error"].is_null(), "{lines}");

    let file = |name: &str| std::fs::read_to_string(workshop.folder().join(name));
    assert_eq!(file("sorted.txt").ok().as_deref(), Some("a\nb\n"));
    assert!(file("in.txt").is_err() && workshop.folder().join("once").is_dir());
}

#[test]
fn the_reports_of_a_tree_are_equal_and_each_finding_replays() {
    let (first, second) = (tree(), tree());
    let (_, report) = traced(&first, &[]);
    assert_eq!(traced(&second, &[]).1, report);
    assert!(report.contains("  started 2 times, and swept the first time\n"), "{report}");
    assert!(!report.contains("itself failed"), "{report}");
    let line = report.lines().find(|line| line.contains("replay") && line.contains("'v1 leak-"));
    let token = line.and_then(|line| line.split('\'').nth(1)).expect("a leak of that program");
    let workshop = tree();
    let mut command = mallory_command(workshop.folder());
    command.args(["exec", "--trace-children", "--replay", token, "--", "./check.sh"]);
    let again = String::from_utf8(command.output().expect("it starts").stdout).expect("text");
    assert!(again.contains(" reproduced\n") && !again.contains("sort-"), "{again}");
}

#[test]
fn a_token_of_no_program_of_the_tree_is_a_mistake() {
    let workshop = tree();
    let mut command = mallory_command(workshop.folder());
    command.args(["exec", "--trace-children", "--replay", "v1 leak-000000 fp=123456"]);
    let output = command.args(["--", "./check.sh"]).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no program of the tree is `leak-000000`"), "{said}");
}
