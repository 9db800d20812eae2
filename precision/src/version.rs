//! The locked versions of packages.

/// The lock file of this crate.
const LOCK: &str = include_str!("../Cargo.lock");

fn entry(package: &str) -> Option<&'static str> {
    let head = format!("name = \"{package}\"\n");
    LOCK.split("[[package]]\n").find_map(|entry| entry.strip_prefix(&head))
}

/// The locked version of `package` that `dependent` uses. Where there are several, its entry says
/// which.
pub(crate) fn version(dependent: &str, package: &str) -> Option<&'static str> {
    let several = format!(" \"{package} ");
    let version = match entry(dependent)?.lines().find_map(|line| line.strip_prefix(&several)) {
        Some(version) => version,
        None => entry(package)?.strip_prefix("version = \"")?,
    };
    version.split('"').next()
}
