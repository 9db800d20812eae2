//! A fuzzer finds each planted bug from an empty corpus, with a fixed seed, within the number of
//! executions that `ci` states; and the files for fuzzing services are complete.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn nightly_planted_bugs_are_reached_by_a_fuzzer() {
    let run = Command::new(env!("CARGO_BIN_EXE_ci")).args(["fuzz", "--planted"]).output();
    let run = run.expect("it starts");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert_eq!(said.matches(" reached after ").count(), 8, "{said}");
}

#[test]
fn the_files_for_fuzzing_services_are_whole() {
    for folder in ["fuzz/oss-fuzz", ".clusterfuzzlite"] {
        let read = |name: &str| {
            let path = root().join(folder).join(name);
            std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{folder}/{name}: {error}"))
        };
        assert!(read("project.yaml").contains("language: rust"), "{folder}");
        let image = "FROM gcr.io/oss-fuzz-base/base-builder-rust";
        assert!(read("Dockerfile").contains(image), "{folder}");
        let script = root().join(folder).join("build.sh");
        let parsed = Command::new("bash").arg("-n").arg(&script).status().expect("bash starts");
        assert!(parsed.success(), "{folder}/build.sh");
        // One script builds for both services.
        let builds = ["$OUT", ".clusterfuzzlite/build.sh"];
        assert!(builds.iter().any(|part| read("build.sh").contains(part)), "{folder}");
    }
}
