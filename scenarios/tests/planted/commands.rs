//! The subcommands that take scripts.

use std::path::Path;

use crate::program::mallory_in;

/// Its standard output and standard error; it must exit with this code.
fn ran(folder: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let output = mallory_in(folder, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {printed}{said}");
    (printed, said)
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_first_script_is_written_run_and_printed_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let (printed, _) = ran(here, &["new", "first", "--system", "shelf"], 0);
    assert_eq!(printed, "first.ron\n");
    let text = std::fs::read_to_string(here.join("first.ron")).expect("it is there");
    assert!(text.contains("system: \"shelf\""), "{text}");
    let (printed, _) = ran(here, &["run", "first.ron"], 0);
    assert!(printed.contains("✓ clean"), "{printed}");
    ran(here, &["fmt", "first.ron"], 0);
    assert_eq!(std::fs::read_to_string(here.join("first.ron")).expect("there"), text);

    let (_, said) = ran(here, &["new", "first", "--system", "shelf"], 2);
    assert!(said.contains("the file exists already\n  --> first.ron"), "{said}");
    let (_, said) = ran(here, &["new", "second"], 2);
    assert!(said.contains("there is no system `second`") && said.contains("lfs-batch"), "{said}");
    let (_, said) = ran(here, &["new", "../x", "--system", "shelf"], 2);
    assert!(said.contains("is no name for a script"), "{said}");
}

#[test]
fn scripts_are_put_in_order_unless_something_would_be_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let untidy = "(system:\"shelf\",threads:[[Count,Take(place:3)]])";
    std::fs::write(here.join("it.ron"), untidy).expect("written");
    let (printed, _) = ran(here, &["fmt", "--check", "it.ron"], 1);
    assert_eq!(printed, "it.ron\n");
    ran(here, &["fmt", "it.ron"], 0);
    ran(here, &["fmt", "--check", "it.ron"], 0);
    let noted = "(system: \"shelf\", // which\n threads: [])";
    std::fs::write(here.join("noted.ron"), noted).expect("written");
    let (_, said) = ran(here, &["fmt", "noted.ron"], 2);
    assert!(said.contains("would lose a comment\n  --> noted.ron:1\n"), "{said}");
    assert_eq!(std::fs::read_to_string(here.join("noted.ron")).expect("there"), noted);
}

#[test]
fn a_case_is_run_and_made_smaller_and_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let (_, said) = ran(here, &["cases"], 2);
    assert!(said.contains("there are no cases in cases, tests/cases, scenarios/cases"), "{said}");
    let (_, said) = ran(here, &["cases", "nowhere"], 2);
    assert!(said.contains("there is no such folder or file\n  --> nowhere\n"), "{said}");
    let (printed, _) = ran(package(), &["cases"], 0);
    let rows: Vec<&str> = printed.lines().collect();
    let threads = rows.iter().filter(|row| row.contains("  cases/threads/")).count();
    assert_eq!(threads >= 2, cfg!(feature = "shuttle"), "{printed}");
    assert!(rows.len() >= 8 + threads, "{printed}");
    assert!(rows.iter().all(|row| row.contains("  reproduced (planted)  cases/")), "{printed}");
    let leak = rows.iter().find(|row| row.starts_with("leak ")).expect("a leak");
    let id = leak.split_whitespace().nth(1).expect("an id");

    let (printed, _) = ran(package(), &["run", &format!("case:{id}")], 1);
    assert!(printed.lines().next().is_some_and(|row| row.ends_with(" reproduced")), "{printed}");
    assert!(printed.contains(id), "{printed}");

    let case = std::fs::read_to_string(package().join(format!("cases/{id}.ron"))).expect("there");
    let put = "Put(\n                place: 2,\n                label: \"more\",\n            ),";
    let longer = case.replacen("Put(", &format!("{put}\n            Put("), 1);
    let longer = longer.replace("T0#3", "T0#4..");
    std::fs::write(here.join("long.ron"), longer).expect("written");
    let (printed, said) = ran(here, &["minimise", "long.ron"], 1);
    assert_eq!(printed, case, "{said}");
    assert!(said.contains("removed: ") && said.contains("1 operation"), "{said}");
    ran(here, &["minimise", "long.ron", "--write"], 1);
    assert_eq!(std::fs::read_to_string(here.join("long.ron")).expect("there"), case);

    // A case of a fixed bug that is not planted is clean, and says that there is no failure.
    let fixed = case.replace("shelf-leak", "shelf").replace("reproduces: true", "strict: false");
    std::fs::write(here.join("fixed.ron"), fixed).expect("written");
    let (printed, _) = ran(here, &["run", "fixed.ron"], 0);
    assert!(printed.contains("no failure"), "{printed}");
    let (printed, _) = ran(here, &["cases", "fixed.ron"], 0);
    assert!(printed.contains("no failure  fixed.ron"), "{printed}");
    // A file that can't be read doesn't hide the others.
    std::fs::create_dir(here.join("cases")).expect("made");
    std::fs::write(here.join("cases/a.ron"), "(system: 3)").expect("written");
    std::fs::rename(here.join("fixed.ron"), here.join("cases/b.ron")).expect("moved");
    let (printed, said) = ran(here, &["cases"], 2);
    assert!(printed.contains("no failure  cases/b.ron"), "{printed}");
    assert!(said.contains("cases/a.ron:1:"), "{said}");
    let (_, said) = ran(here, &["cases", "nowhere"], 2);
    assert!(said.contains("--> nowhere"), "{said}");
    let (_, said) = ran(here, &["minimise", "cases/b.ron"], 2);
    assert!(said.contains("the script has no finding"), "{said}");
}

#[test]
fn what_is_not_a_script_is_an_error_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let write = |name: &str, bytes: &[u8]| std::fs::write(here.join(name), bytes).expect("written");
    write("cut.ron", b"(system: \"shelf\", threads: [[Count");
    write("other.ron", b"(system: \"shelves\", threads: [])");
    write("bytes.ron", b"(system:\n\xff)");
    write("deep.ron", "[".repeat(10_000_000).as_bytes());
    write("long.ron", &vec![b' '; (16 << 20) + 1]);
    for (arguments, expected) in [
        (["run", "cut.ron"], "cut.ron:1:"),
        (["run", "other.ron"], "there is no system `shelves`"),
        (["run", "bytes.ron"], "--> bytes.ron:2"),
        (["run", "deep.ron"], "deep.ron:1:"),
        (["run", "long.ron"], "16 MiB"),
        (["run", "nowhere.ron"], "--> nowhere.ron"),
        (["run", "."], "--> ."),
        (["run", "case:L-00000000"], "there is no case `L-00000000`"),
        (["run", "case:../x"], "there is no case `../x`"),
        (["minimise", "cut.ron"], "cut.ron:1:"),
        (["fmt", "cut.ron"], "cut.ron:1:"),
        (["cases", "cut.ron"], "cut.ron:1:"),
    ] {
        let (_, said) = ran(here, &arguments, 2);
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(said.contains("help: "), "{arguments:?}: {said}");
        assert!(said.len() < 1000, "{arguments:?}: {} bytes", said.len());
    }
}

#[test]
fn a_sweep_keeps_its_journal_where_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let sweep = ["sweep", "planted/leak", "--journal", "journals"];
    let (first, _) = ran(here, &sweep, 1);
    let journal = here.join("journals/planted.leak.journal");
    let written = std::fs::read_to_string(&journal).expect("it is there");
    assert!(written.lines().count() > 1, "{written}");
    let (again, _) = ran(here, &[&sweep[..], &["--resume"]].concat(), 1);
    assert_eq!(again, first);
    // It is this one that is resumed from.
    std::fs::write(&journal, "no journal\n").expect("written");
    let (_, said) = ran(here, &[&sweep[..], &["--resume"]].concat(), 2);
    assert!(said.contains("journals/planted.leak.journal:1"), "{said}");
}

#[test]
#[cfg(unix)]
fn the_name_of_a_file_is_escaped_where_it_is_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let name = "a\u{1b}[2J\u{202e}\n  replay  x.ron";
    let escaped = "a\\u{1b}[2J\\u{202e}\\n  replay  x.ron";
    let case = std::fs::read_dir(package().join("cases")).expect("a folder");
    let case = case
        .map(|entry| entry.expect("read").path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("L-")));
    std::fs::copy(case.expect("a leak"), here.join(name)).expect("copied");
    for (arguments, code) in
        [(&["run", name][..], 1), (&["cases", name], 0), (&["minimise", name], 1)]
    {
        let (printed, said) = ran(here, arguments, code);
        let text = printed + &said;
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        assert!(arguments[0] == "minimise" || text.contains(escaped), "{text}");
    }
    std::fs::write(here.join(name), "(system:\"shelf\",threads:[[Count]])").expect("written");
    assert_eq!(ran(here, &["fmt", "--check", name], 1).0, format!("{escaped}\n"));
    std::fs::write(here.join(name), "(system:\u{1b}").expect("written");
    let (_, said) = ran(here, &["run", name], 2);
    assert!(said.contains(escaped) && !said.contains('\u{1b}'), "{said:?}");
}

/// What nobody can be told changes no exit code.
#[test]
#[cfg(target_os = "linux")]
fn a_full_standard_error_is_no_failure_of_the_command() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("bad.ron"), "(").expect("written");
    for arguments in [["run", "bad.ron"], ["cases", "bad.ron"], ["sweep", "no-such-scenario"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_mallory"));
        let program = program.current_dir(folder.path()).args(arguments).stderr(full);
        let output = program.output().expect("the program starts");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    }
}

/// Without a model checker nothing can schedule threads: the error says so, and what to do.
#[cfg(not(feature = "shuttle"))]
#[test]
fn a_script_with_threads_asks_for_the_feature() {
    let script = package().join("scripts/threads/slot.ron").display().to_string();
    for command in ["run", "minimise"] {
        let (printed, said) = ran(package(), &[command, &script], 2);
        assert!(printed.is_empty(), "{printed}");
        assert!(said.contains("the script has 2 threads"), "{said}");
        assert!(said.contains("--features shuttle"), "{said}");
    }
    let (_, said) = ran(package(), &["cases"], 0);
    assert!(
        said.contains("left out, since it has several threads: build with --features shuttle"),
        "{said}"
    );
    ran(package(), &["fmt", "--check", &script], 0);
}
