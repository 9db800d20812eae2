//! Each way to start a program, and the command that starts it again.

use std::path::PathBuf;

use crate::launch::Launch;

/// The command for a program of the package `p`, in a workspace, that was started like this.
fn again(file: &str, words: &[&str], thread: Option<&str>, runner: &str) -> String {
    start(file, words, thread, runner, &|name| match name {
        "CARGO_PKG_NAME" => Some("p".to_owned()),
        "NEXTEST" => runner.contains("nextest").then(|| "1".to_owned()),
        _ => None,
    })
}

fn start(
    file: &str,
    words: &[&str],
    thread: Option<&str>,
    runner: &str,
    look: &dyn Fn(&str) -> Option<String>,
) -> String {
    let words = [file].iter().chain(words).map(|word| (*word).to_owned()).collect();
    let runner = runner.split_whitespace().map(str::to_owned).collect();
    let thread = thread.map(str::to_owned);
    Launch { file: PathBuf::from(file), words, thread, runner, look }.again()
}

#[test]
fn a_test_is_repeated_by_its_runner_with_its_profile_and_features() {
    let test = "/w/target/debug/deps/it-0123456789abcdef";
    for (file, runner, command) in [
        (test, "cargo test", "cargo test -p p a::b -- --exact"),
        (test, "cargo-nextest nextest run", "cargo nextest run -p p a::b"),
        (
            "/w/target/release/deps/it-0123456789abcdef",
            "cargo test -r --features=x,y --all a::b -- --features z",
            "cargo test --release -p p --features x,y a::b -- --exact",
        ),
        (
            "/w/target/smoke/deps/it-0123456789abcdef",
            "cargo-nextest nextest run --cargo-profile smoke --no-default-features -F x",
            "cargo nextest run --cargo-profile smoke -p p --no-default-features --features x \
             a::b",
        ),
        // Cargo refuses features of other packages beside `-p`.
        (
            test,
            "cargo-nextest nextest run --workspace --features p/x,other/y,z",
            "cargo nextest run -p p --features p/x,z a::b",
        ),
        (test, "cargo test --features other/y", "cargo test -p p a::b -- --exact"),
        // The unit tests of an example.
        (
            "/w/target/debug/examples/it-0123456789abcdef",
            "cargo test",
            "cargo test -p p a::b -- --exact",
        ),
    ] {
        assert_eq!(again(file, &[], Some("a::b"), runner), command);
    }
    let spaced = again(test, &[], Some("a b"), "cargo test");
    assert_eq!(spaced, "cargo test -p p 'a b' -- --exact");
    // A thread of the test's own has no name, or tests have a `main` of their own.
    assert_eq!(again(test, &[], None, "cargo test"), "cargo test -p p");
    let named = again(test, &["a::b", "--exact"], Some("its-own"), "cargo test");
    assert_eq!(named, "cargo test -p p a::b -- --exact");
    assert_eq!(again(test, &[], Some("main"), "cargo test"), "cargo test -p p --test it");
}

#[test]
fn programs_are_repeated_as_what_cargo_built_them_as() {
    let main = Some("main");
    for (file, words, command) in [
        ("/w/target/debug/examples/words", &[][..], "cargo run -p p --example words"),
        (
            "/w/target/release/examples/words",
            &["a b", "-c"],
            "cargo run --release -p p --example words -- 'a b' -c",
        ),
        (
            "/w/target/release/deps/speed-0123456789abcdef",
            &["--bench"],
            "cargo bench -p p --bench speed",
        ),
        (
            "/tmp/rustdoctestx1/rust_out",
            &[],
            if cfg!(debug_assertions) {
                "cargo test -p p --doc"
            } else {
                "cargo test --release -p p --doc"
            },
        ),
    ] {
        assert_eq!(again(file, words, main, ""), command);
    }
    // Nothing but cargo's folders says that cargo built it.
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(folder.path().join("target/debug/deps")).expect("made");
    let file = folder.path().join("target/debug/words");
    let file = file.to_str().expect("text");
    assert_eq!(again(file, &["x"], main, ""), "cargo run -p p --bin words -- x");
    assert_eq!(start(file, &["x"], main, "", &|_| None), "./words x");
    // The only package of its folder needs no name.
    let alone = |name: &str| match name {
        "CARGO_PKG_NAME" => Some("p".to_owned()),
        "CARGO_MANIFEST_DIR" => folder.path().to_str().map(str::to_owned),
        _ => None,
    };
    assert_eq!(start(file, &[], main, "", &alone), "cargo run --bin words");
}

#[test]
fn a_program_that_cargo_does_not_know_is_named_as_it_was_typed_but_for_folders() {
    for (words, line) in [
        (&["target/words", "leak"][..], "target/words leak"),
        (&["words"], "words"),
        (&["/home/somebody/words", "a b", "it's", ""], r"./words 'a b' 'it'\''s' ''"),
    ] {
        let text = start(words[0], &words[1..], Some("main"), "", &|_| None);
        assert_eq!(text, line);
    }
}
