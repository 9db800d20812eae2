//! The locked versions of other people's packages.

/// The lock file of the workspace.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// The locked version of a package that this crate depends on.
#[must_use]
pub fn version(package: &str) -> Option<&'static str> {
    let entry = |name: &str| {
        let head = format!("name = \"{name}\"\n");
        LOCK.split("[[package]]\n").find_map(|entry| entry.strip_prefix(&head))
    };
    // Where there are several versions of a package, its dependents say which is theirs.
    let several = format!(" \"{package} ");
    let ours = entry(env!("CARGO_PKG_NAME"))?.lines().find_map(|line| line.strip_prefix(&several));
    match ours {
        Some(version) => version.split('"').next(),
        None => entry(package)?.strip_prefix("version = \"")?.split('"').next(),
    }
}
