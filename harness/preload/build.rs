//! Builds the library by a cargo of its own, optimised also where the rest is not: it runs inside the
//! programs that are swept. The folder of its build is apart, since that of the cargo that runs this is
//! locked.

use std::path::{Path, PathBuf};
use std::process::Command;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn main() {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(variable("OUT_DIR"));
    let place = out.join("library.so");
    for watched in
        ["build.rs", "library", "../src", "../Cargo.toml", "../build.rs", "../../Cargo.lock"]
    {
        println!("cargo::rerun-if-changed={watched}");
    }
    let is_watched = variable("CARGO_CFG_TARGET_OS") == "linux"
        && variable("CARGO_CFG_TARGET_ENV") == "gnu"
        && ["x86_64", "aarch64"].contains(&&*variable("CARGO_CFG_TARGET_ARCH"));
    if !is_watched {
        write(&place, &[]);
        return;
    }
    let target = variable("TARGET");
    let folder = out.join("build");
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--profile", "preload", "--target", &target, "--target-dir"]).arg(&folder);
    cargo.arg("--manifest-path").arg(here.join("library/Cargo.toml"));
    // Flags for the rest, such as a sanitizer's or a coverage's, are not for it.
    for flags in
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"]
    {
        cargo.env_remove(flags);
    }
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_FEATURE_") || name.starts_with("CARGO_CFG_") {
            cargo.env_remove(name);
        }
    }
    let status = cargo.status().unwrap_or_else(|error| panic!("cargo can't be started: {error}"));
    assert!(status.success(), "the library that is preloaded could not be built: {status}");
    let built = folder.join(target).join("preload/libmallory_preload.so");
    let bytes =
        std::fs::read(&built).unwrap_or_else(|error| panic!("{}: {error}", built.display()));
    write(&place, &bytes);
}

fn write(place: &Path, bytes: &[u8]) {
    std::fs::write(place, bytes).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
}
