//! C programs that are linked with the static library: the README's examples, and the forms of
//! allocator that C libraries take. They are built with `cc`, as a reader would build them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The output of a program, and its exit code.
struct Ran {
    out: String,
    err: String,
    code: Option<i32>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("it lies in the workspace")
}

/// The static library of this build: the newest one, since others may be left from earlier builds.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a program");
    let deps = test.parent().expect("it lies in a folder");
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        name.starts_with("libmallory_c") && name.ends_with(".a")
    };
    let folder = std::fs::read_dir(deps).expect("the folder is there").flatten();
    let found = folder.map(|entry| entry.path()).filter(is_ours);
    let age = |path: &PathBuf| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    found.max_by_key(age).expect("cargo built the library for this test")
}

/// Builds a program with the README's flags.
fn build(source: &str, folder: &Path) -> PathBuf {
    build_with("-g", source, folder)
}

/// The same with this flag in the place of `-g`.
fn build_with(debug: &str, source: &str, folder: &Path) -> PathBuf {
    let program = folder.join(Path::new(source).file_stem().expect("a file"));
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", debug, "-Wall", "-Wextra", "-Werror", "-D_POSIX_C_SOURCE=200112L"]);
    cc.args(["-I", "harness/c"]).arg(source).arg(library());
    cc.args(["-lgcc_s", "-lpthread", "-ldl", "-lm"]).arg("-o").arg(&program);
    let built = cc.current_dir(root()).output().expect("there is a C compiler");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

fn run(program: &Path, arguments: &[&str], asked: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MALLORY_")) {
        command.env_remove(name);
    }
    let ran =
        command.args(arguments).envs(asked.iter().copied()).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("reports are text");
    Ran { out: text(ran.stdout), err: text(ran.stderr), code: ran.status.code() }
}

#[test]
fn the_example_finds_the_leak_and_its_corrected_twin_is_clean() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = build("harness/examples/c/words.c", folder.path());
    let clean = run(&words, &[], &[]);
    assert_eq!(clean.code, Some(0), "{}{}", clean.out, clean.err);
    // Seven words, and a list that grows to 2, 4 and 8. All requests have one chain of functions.
    let row = "seed 0\nwords             ✓ clean           10 requests     1 site       20 runs\n";
    assert!(clean.out.starts_with(row), "{}", clean.out);

    let leak = run(&words, &["leak"], &[]);
    assert_eq!(leak.code, Some(1), "{}{}", leak.out, leak.err);
    let token = leak.out.split('\'').nth(1).expect("a replay line");
    let expected = format!(
        "\
seed 0
words-leak        ✗ 1 finding       10 requests     1 site       20 runs

leak L-ac770354  words-leak
  1 block, 7 bytes (align 16), heap `main`
  a1  allocated  words_add    harness/examples/c/words.c:30
               ← words_split  harness/examples/c/words.c:62
               ← subject      harness/examples/c/words.c:74
  lost when T0#2 fails: 16 bytes in words_add    harness/examples/c/words.c:36
                                  ← words_split  harness/examples/c/words.c:62
                                  ← subject      harness/examples/c/words.c:74
  seen at 3 of 10 requests; never without a fault
  replay  MALLORY_REPLAY='{token}' ./words leak

note: words-leak: recovery unverified: nothing survives the error; .setup(..).operation(..) keeps an object, and checks it
"
    );
    assert_eq!(leak.out, expected);

    let replayed = run(&words, &["leak"], &[("MALLORY_REPLAY", token)]);
    assert_eq!(replayed.code, Some(1), "{}", replayed.err);
    assert!(replayed.out.contains("reproduced"), "{}", replayed.out);
}

#[test]
fn a_program_without_debug_information_is_told_what_its_compiler_needs() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = build_with("-g0", "harness/examples/c/words.c", folder.path());
    let leak = run(&words, &["leak"], &[]);
    assert_eq!(leak.code, Some(1), "{}{}", leak.out, leak.err);
    assert!(leak.out.contains("sites unavailable: build with -g to see them"), "{}", leak.out);
    assert!(!leak.out.contains("debug = 1"), "{}", leak.out);
}

#[test]
fn a_heap_is_what_c_libraries_expect_of_an_allocator() {
    let folder = tempfile::tempdir().expect("a folder");
    let shapes = build("harness/c/tests/c/shapes.c", folder.path());
    for (which, requests) in [("malloc", 4), ("slot", 3), ("slots", 2), ("table", 2), ("port", 1)] {
        let ran = run(&shapes, &[which], &[]);
        assert_eq!(ran.code, Some(0), "{which}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(&format!(" {requests} request")), "{which}: {}", ran.out);
    }
    // The options take effect.
    assert!(run(&shapes, &["port"], &[]).out.starts_with("seed 7\n"));
}

#[test]
fn wrong_frees_without_a_size_are_found_by_their_own_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let shapes = build("harness/c/tests/c/shapes.c", folder.path());
    for (which, kind) in [
        ("twice", "double-free"),
        ("inside", "invalid-free"),
        ("realloc", "double-free"),
        ("cross", "cross-allocator-free"),
        ("table-lie", "layout-mismatch"),
        ("slots-mixed", "cross-allocator-free"),
        ("slots-grow", "cross-allocator-free"),
        ("slots-late", "leak"),
    ] {
        let ran = run(&shapes, &[which], &[]);
        assert_eq!(ran.code, Some(1), "{which}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains("✗ 1 finding "), "{which}: {}", ran.out);
        assert!(ran.out.lines().any(|line| line.starts_with(kind)), "{which}: {}", ran.out);
    }
    let right = run(&shapes, &["once"], &[]);
    assert_eq!(right.code, Some(0), "{}{}", right.out, right.err);
}

/// The lines of a finding's sequence.
fn sequence(report: &str) -> Vec<&str> {
    report.lines().filter_map(|line| line.strip_prefix("    ")).collect()
}

#[test]
fn the_example_of_an_allocator_breaks_its_contract_and_its_corrected_twin_keeps_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let pool = build("harness/examples/c/pool.c", folder.path());
    let clean = run(&pool, &[], &[]);
    assert_eq!(clean.code, Some(0), "{}{}", clean.out, clean.err);
    let counted = "8,192 operations in 40 sequences, checked for 14 promises";
    assert!(clean.out.contains(counted), "{}", clean.out);

    let careless = run(&pool, &["careless"], &[]);
    assert_eq!(careless.code, Some(1), "{}{}", careless.out, careless.err);
    let smallest = [
        "a1 = alloc 0 align 1",
        "a2 = alloc 1 align 64",
        "a3 = alloc 0 align 1",
        "a4 = alloc 0 align 1",
        "grow a4 to 33 align 1",
    ];
    assert_eq!(sequence(&careless.out), smallest, "{}", careless.out);
    let broken = "broken: blocks that are alive are disjoint";
    assert!(careless.out.contains(broken), "{}", careless.out);

    // By its token, and by its lines in a file; the correct pool does the same without a finding.
    let token = careless.out.split('\'').nth(1).expect("a replay line");
    let line = format!("  replay  MALLORY_REPLAY='{token}' ./pool careless\n");
    assert!(careless.out.contains(&line), "{}", careless.out);
    let replayed = run(&pool, &["careless"], &[("MALLORY_REPLAY", token)]);
    assert!(replayed.out.contains("reproduced"), "{}{}", replayed.out, replayed.err);
    let file = folder.path().join("found.txt");
    std::fs::write(&file, smallest.join("\n")).expect("the file is written");
    let by_file = [("MALLORY_SEQUENCE", file.to_str().expect("a name"))];
    let replayed = run(&pool, &["careless"], &by_file);
    assert_eq!((replayed.code, sequence(&replayed.out)), (Some(1), smallest.to_vec()));
    assert!(replayed.out.contains(broken), "{}", replayed.out);
    assert_eq!(run(&pool, &[], &by_file).code, Some(0));
}

#[test]
fn a_calloc_that_multiplies_without_looking_is_found_and_one_that_looks_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let callocs = build("harness/c/tests/c/callocs.c", folder.path());
    let looks = run(&callocs, &["looks"], &[]);
    assert_eq!(looks.code, Some(0), "{}{}", looks.out, looks.err);
    let wraps = run(&callocs, &["wraps"], &[]);
    assert_eq!(wraps.code, Some(1), "{}{}", wraps.out, wraps.err);
    assert!(wraps.out.contains("broken: what nobody has is refused"), "{}", wraps.out);
    assert_eq!(sequence(&wraps.out), ["a1 = zeroed max align 1"], "{}", wraps.out);
    assert_eq!(run(&callocs, &["again-looks"], &[]).code, Some(0));
    assert_eq!(run(&callocs, &["again-wraps"], &[]).code, Some(1));
    for (which, what) in [
        ("null", "the table is null"),
        ("no-malloc", "the allocator's table has no `malloc`"),
        ("no-renew", "`fixed` is set, and `renew` is null"),
        ("bad-name", "is not a valid name for a port"),
        ("bad-lines", "a1 was not allocated before"),
    ] {
        let ran = run(&callocs, &[which], &[]);
        assert_eq!(ran.code, Some(2), "{which}: {}{}", ran.out, ran.err);
        assert!(ran.err.starts_with("error: ") && ran.err.contains(what), "{which}: {}", ran.err);
    }
}

#[test]
fn what_the_caller_did_wrong_is_said_with_a_help_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let shapes = build("harness/c/tests/c/shapes.c", folder.path());
    for (which, what) in [
        ("no-free", "the port's table has no `free`"),
        ("bad-name", "is no name for a sweep"),
        ("null", "the subject is null"),
    ] {
        let ran = run(&shapes, &[which], &[]);
        assert_eq!(ran.code, Some(2), "{which}: {}{}", ran.out, ran.err);
        assert!(ran.err.starts_with("error: ") && ran.err.contains(what), "{which}: {}", ran.err);
        assert_eq!(ran.out, "", "{which}");
    }
}
