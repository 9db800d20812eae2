//! How this test program was built, for tests that start cargo: with the same flags it builds nothing.

use std::path::Path;

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it lies in the workspace")
}

/// The flags that this program was built with, so that cargo builds nothing twice.
pub(crate) fn flags() -> Vec<String> {
    let features = [
        ("allocator-api2-04", cfg!(feature = "allocator-api2-04")),
        ("arbitrary", cfg!(feature = "arbitrary")),
        ("c", cfg!(feature = "c")),
        ("cli", cfg!(feature = "cli")),
        ("json", cfg!(feature = "json")),
        ("loom", cfg!(feature = "loom")),
        ("proptest", cfg!(feature = "proptest")),
        ("ron", cfg!(feature = "ron")),
        ("script-tests", cfg!(feature = "script-tests")),
        ("shuttle", cfg!(feature = "shuttle")),
    ];
    let on = features.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| *name);
    let on: Vec<&str> = on.collect();
    let mut flags = vec!["-p".to_owned(), "mallory".to_owned()];
    if !cfg!(feature = "allocator-api2") {
        flags.push("--no-default-features".to_owned());
    }
    if !on.is_empty() {
        flags.extend(["--features".to_owned(), on.join(",")]);
    }
    let program = std::env::current_exe().expect("it has a file");
    let profile = program.parent().and_then(Path::parent).and_then(Path::file_name);
    match profile.and_then(|name| name.to_str()).expect("a profile") {
        "debug" => {}
        "release" => flags.push("--release".to_owned()),
        other => panic!("no test is run in the profile {other}"),
    }
    flags
}
