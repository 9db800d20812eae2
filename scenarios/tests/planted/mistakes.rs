//! Every mistake on the command line, of every command: on standard error alone, with exit code 2, as
//! text of one form, and as one object of JSON where that is asked for.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::program::mallory_command;

/// A mistake, and what has to be said of it.
struct Mistake<'a> {
    arguments: &'a [&'a str],
    variable: Option<(&'a str, &'a str)>,
    what: &'a str,
    /// The whole place, or the beginning of it if it ends in `*`; empty if there is none.
    place: &'a str,
    help: &'a str,
}

const fn wrong<'a>(
    arguments: &'a [&'a str],
    what: &'a str,
    place: &'a str,
    help: &'a str,
) -> Mistake<'a> {
    Mistake { arguments, variable: None, what, place, help }
}

/// Mistakes in flags and names.
const FLAGS: &[Mistake<'_>] = &[
    wrong(&[], "no command was given", "", "`--help` lists"),
    wrong(&["swep"], "unrecognized subcommand 'swep'", "swep", "did you mean `sweep`?"),
    wrong(&["frob"], "unrecognized subcommand 'frob'", "frob", "write `mallory"),
    wrong(&["sweep", "--limt", "3"], "unexpected argument '--limt'", "--limt", "`--limit`?"),
    wrong(&["sweep", "--jobs", "0"], "invalid value '0'", "--jobs <N>", "--help"),
    wrong(&["sweep", "--seed", "x"], "invalid value 'x'", "--seed <N>", "--help"),
    wrong(&["sweep", "--limit"], "a value is required", "--limit <RUNS>", "--help"),
    wrong(&["sweep", "--format", "xml"], "[possible values: text, json]", "--format <FORMAT>", ""),
    wrong(&["explore", "--pct", "1", "--random", "1"], "cannot be used with", "--*", "explore"),
    wrong(&["loom", "--preemptions", "-1"], "unexpected argument '-1'", "-1", "loom"),
    wrong(&["list", "--sed", "3"], "unexpected argument '--sed'", "--sed", "mallory list"),
    wrong(&["replay"], "were not provided: <TOKEN>", "<TOKEN>", "mallory replay"),
    wrong(&["run"], "were not provided: <FILE>", "<FILE>", "mallory run"),
    wrong(&["fmt"], "were not provided: <FILES>...", "<FILES>...", "mallory fmt"),
    wrong(&["minimise"], "were not provided: <FILE>", "<FILE>", "mallory minimise"),
    wrong(&["new"], "were not provided: <NAME>", "<NAME>", "mallory new"),
    // What fits nothing.
    wrong(
        &["sweep", "lfs-bach"],
        "no scenario or group `lfs-bach`",
        "",
        "did you mean `lfs-batch`",
    ),
    wrong(&["sweep", "zzz"], "no scenario or group `zzz`", "", "`list` shows all names"),
    wrong(&["list", "zzz"], "no scenario or group `zzz`", "", "`list` shows all names"),
    wrong(&["sweep", "lfs-batch", "zzz"], "no scenario or group `zzz`", "", "`list` shows"),
    wrong(
        &["sweep", "--input", "nowhere", "lfs-batch"],
        "cannot read",
        "--input nowhere",
        "name a",
    ),
    wrong(&["sweep", "--input", "x", "planted"], "reads an input", "--input", "`list` shows"),
    // Tokens.
    wrong(&["replay", "v9 x fp=000001"], "of version v9", "token, column 1*", "reads v1"),
    wrong(&["replay", "v1 x"], "", "token, column *", "a token looks like"),
    wrong(&["replay", "v1 lfs-bach fp=000001"], "no scenario `lfs-bach`", "", "`lfs-batch`"),
    // Scripts, and files that can't be read or written.
    wrong(&["run", "nowhere.ron"], "can't be read", "nowhere.ron", "name a script file"),
    wrong(&["run", "cut.ron"], "", "cut.ron:1:*", ""),
    wrong(&["run", "other.ron"], "there is no system `shelves`", "other.ron", "`list`"),
    wrong(&["run", "case:L-00000000"], "there is no case", "", "`cases` lists all"),
    wrong(&["run", "leak.ron", "--cases", "cut.ron"], "", "cut.ron*", ""),
    wrong(&["minimise", "cut.ron"], "", "cut.ron:1:*", ""),
    wrong(&["minimise", "clean.ron"], "has no finding", "clean.ron", "`run --cases FOLDER`"),
    wrong(&["fmt", "cut.ron"], "", "cut.ron:1:*", ""),
    wrong(&["fmt", "noted.ron"], "would lose a comment", "noted.ron:1", "`about`"),
    wrong(&["fmt", "--check", "nowhere.ron"], "can't be read", "nowhere.ron", "name a script file"),
    wrong(&["cases", "nowhere"], "no such folder or file", "nowhere", "name a folder of cases"),
    wrong(&["cases", "cut.ron"], "", "cut.ron:1:*", ""),
    wrong(&["cases"], "there are no cases in cases", "", "name the folder"),
    wrong(&["new", "clean", "--system", "shelf"], "exists already", "clean.ron", "another name"),
    wrong(&["new", "x", "--system", "zzz"], "there is no system `zzz`", "", "--system: "),
    wrong(&["new", "../x", "--system", "shelf"], "no name for a script", "", "lower-case"),
];

/// Variables that are wrong, which no command ignores.
const VARIABLES: &[(&str, &str, &str)] = &[
    ("MALLORY_SEED", "x", "expected a whole number, found `x`"),
    ("MALLORY_JOBS", "0", "at least one job is needed"),
    ("MALLORY_OOM_AFTER", "-1", "expected a whole number"),
    ("MALLORY_REPLAY", "v1", ""),
    ("MALLORY_HISTOGRAM", "yes", "expected 0 or 1, found `yes`"),
    ("MALLORY_SEDE", "1", "there is no such variable"),
];

/// Files to be wrong about.
fn write_files(folder: &Path) {
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).expect("it is written");
    };
    write("cut.ron", "(system: \"shelf\", threads: [[Count");
    write("other.ron", "(system: \"shelves\", threads: [])");
    write("noted.ron", "(system: \"shelf\", // which\n threads: [])");
    write("clean.ron", "(system: \"shelf\", threads: [[Count]])");
    let leaks = "[Put(place: 0, label: \"\"), Put(place: 1, label: \"a\"), Join(from: 1, into: 0)]";
    write("leak.ron", &format!("(system: \"shelf-leak\", threads: [{leaks}])"));
}

/// What this mistake prints.
fn run(folder: &Path, mistake: &Mistake<'_>, more: &[&str]) -> Output {
    let mut program = mallory_command(folder);
    program.args(mistake.arguments).args(more).envs(mistake.variable);
    program.output().expect("the program starts")
}

/// Checks that all of an output is on standard error, and that its code is 2; returns it.
fn said(output: &Output, of: &str) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is text");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{of}: {out}{err}");
    assert_eq!(out, "", "{of}: results go there, not mistakes");
    err
}

fn fits(place: &str, expected: &str) -> bool {
    match expected.strip_suffix('*') {
        Some(beginning) => place.starts_with(beginning),
        None => place == expected,
    }
}

/// As text: `error: WHAT`, then `  --> PLACE` if there is one, then `help: WHAT TO DO`.
fn check_text(folder: &Path, mistake: &Mistake<'_>) {
    let of = format!("{:?}", mistake.arguments);
    let err = said(&run(folder, mistake, &[]), &of);
    let (_, error) = err.rsplit_once("error: ").unwrap_or_else(|| panic!("{of}: {err}"));
    // Without a command the help is printed before.
    let is_first = err.starts_with("error: ");
    assert!(is_first || mistake.arguments.is_empty(), "{of}: {err}");
    let lines: Vec<&str> = error.lines().collect();
    assert!(!lines[0].is_empty() && lines[0].contains(mistake.what), "{of}: {err}");
    let place = lines.iter().find_map(|line| line.strip_prefix("  --> ")).unwrap_or("");
    assert!(fits(place, mistake.place), "{of}: {err}");
    let help = lines.last().and_then(|line| line.strip_prefix("help: "));
    assert!(help.is_some_and(|help| help.contains(mistake.help)), "{of}: {err}");
}

/// As JSON: one object on one line, with the same.
fn check_json(folder: &Path, mistake: &Mistake<'_>) {
    let of = format!("{:?} --format json", mistake.arguments);
    let err = said(&run(folder, mistake, &["--format", "json"]), &of);
    assert_eq!(err.lines().count(), 1, "{of}: {err}");
    let error: Value = serde_json::from_str(&err).unwrap_or_else(|_| panic!("{of}: {err}"));
    assert_eq!(error["schema"], 1, "{of}: {err}");
    let part = |name: &str| error[name].as_str().unwrap_or("");
    assert!(!part("error").is_empty() && part("error").contains(mistake.what), "{of}: {err}");
    assert!(fits(part("place"), mistake.place), "{of}: {err}");
    assert!(part("help").contains(mistake.help) && !part("help").is_empty(), "{of}: {err}");
}

#[test]
fn each_mistake_is_an_error_on_standard_error() {
    let folder = tempfile::tempdir().expect("a folder");
    write_files(folder.path());
    for mistake in FLAGS {
        check_text(folder.path(), mistake);
    }
}

#[test]
fn each_mistake_is_an_object_where_json_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    write_files(folder.path());
    for mistake in FLAGS.iter().filter(|mistake| !mistake.arguments.contains(&"--format")) {
        check_json(folder.path(), mistake);
    }
    // The flag in one word, and before the command.
    for arguments in [["--format=json", "sweep", "zzz"], ["sweep", "--format=json", "zzz"]] {
        let mistake = wrong(&arguments, "no scenario or group", "", "`list`");
        let err = said(&run(folder.path(), &mistake, &[]), "one word");
        assert!(err.starts_with("{\"schema\":1,\"error\":\"there is no"), "{err}");
    }
}

#[test]
fn each_wrong_variable_is_an_error_of_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    write_files(folder.path());
    let commands: &[&[&str]] = &[
        &["sweep", "planted/leak", "lfs-batch"],
        &["replay", "v1 lfs-batch fp=000001"],
        &["run", "clean.ron"],
        &["minimise", "clean.ron"],
        &["fmt", "clean.ron"],
        &["cases", "clean.ron"],
        &["new", "fresh", "--system", "shelf"],
        &["list"],
    ];
    let all = VARIABLES.iter().map(|variable| (commands[0], *variable));
    let rest = commands[1..].iter().map(|command| (*command, VARIABLES[0]));
    for (arguments, (name, value, what)) in all.chain(rest) {
        let place = if name == "MALLORY_REPLAY" { "MALLORY_REPLAY, *" } else { name };
        let variable = Some((name, value));
        let mistake = Mistake { arguments, variable, what, place, help: "" };
        check_text(folder.path(), &mistake);
        check_json(folder.path(), &mistake);
    }
    assert!(!folder.path().join("fresh.ron").exists());
}

/// A system's mistakes, which are found while it is swept, are among its rows on standard output; what
/// they are is on standard error.
#[test]
fn a_scenario_that_fails_without_a_fault_says_so_on_standard_error() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("bad"), "no log of commits").expect("it is written");
    let arguments = ["sweep", "cache-rebuild", "--input", "bad"];
    let run = |more: &[&str]| {
        mallory_command(folder.path()).args(arguments).args(more).output().expect("it starts")
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is text");
    let output = run(&[]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{out}{err}");
    assert_eq!(out, "seed 0\ncache-rebuild     ! error\n");
    assert!(err.starts_with("error: cache-rebuild: ") && err.contains("\nhelp: "), "{err}");
    let output = run(&["--format", "json"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), &*out), (Some(2), ""), "{err}");
    let error: Value = serde_json::from_str(&err).expect("one object");
    assert_eq!(error["scenario"], "cache-rebuild", "{err}");
    assert!(error["error"].is_string() && error["help"].is_string(), "{err}");
}

/// Files and streams that can't be written.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_an_error() {
    let nowhere = Path::new("/proc");
    let mistake = wrong(
        &["new", "first", "--system", "shelf"],
        "cannot write the file",
        "first.ron",
        "check",
    );
    check_text(nowhere, &mistake);
    check_json(nowhere, &mistake);
    for arguments in
        [&["list"][..], &["sweep", "--help"], &["--version"], &["sweep", "planted/leak"]]
    {
        let full = || Stdio::from(File::create("/dev/full").expect("it is there"));
        let mut program: Command = mallory_command(Path::new("."));
        let output = program.args(arguments).stdout(full()).output().expect("it starts");
        let err = said(&output, &format!("{arguments:?}"));
        assert!(err.starts_with("error: cannot write to standard output: "), "{err}");
        assert!(err.contains("\nhelp: "), "{err}");
    }
}

/// What people ask for is no mistake.
#[test]
fn help_and_results_are_on_standard_output() {
    for arguments in [&["--help"][..], &["--version"], &["sweep", "--help"], &["list", "planted"]] {
        let output = mallory_command(Path::new(".")).args(arguments).output().expect("it starts");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty() && !output.stdout.is_empty(), "{arguments:?}");
    }
    let output = mallory_command(Path::new("."))
        .args(["list", "--format", "json", "lfs-batch"])
        .output()
        .expect("it starts");
    let row: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!((&row["command"], &row["scenario"]), (&"list".into(), &"lfs-batch".into()));
    assert_eq!((&row["sweeps"], &row["reads_input"]), (&true.into(), &true.into()));
}
