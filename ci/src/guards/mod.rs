//! `cargo run -p ci -- guards`: what the services promise about memory, checked in their sources.
//!
//! 1. All memory of a service comes from its heap. So it calls no function of std that allocates by
//!    itself, but for those that [`ALLOWED`] names with a reason ([`calls`]).
//! 2. A public function that hands out what has to be given back names in its documentation what does
//!    that, and one that lends says for how long ([`contracts`]). The same for each function of the C
//!    header ([`header`]).

mod calls;
mod contracts;
mod header;

pub(crate) use calls::is_test;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::{Step, root};

/// The folders of the services and of their parts.
const FOLDERS: [&str; 2] = ["scenarios/src/services", "scenarios/src/memory"];
/// The C header.
const HEADER: &str = "harness/c/mallory.h";
/// The calls that are allowed, with their reasons.
const ALLOWED: &str = "ci/guards.toml";

/// Something that breaks a promise: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    file: String,
    line: usize,
    what: String,
    help: String,
}

impl Breach {
    fn text(&self) -> String {
        let Breach { file, line, what, help } = self;
        format!("error: {what}\n  --> {file}:{line}\n  help: {help}")
    }
}

/// Checks all sources.
pub(crate) fn guards() -> Step {
    let allowed_text = read(Path::new(ALLOWED))?;
    let mut allowed = calls::Allowed::parse(&allowed_text)
        .map_err(|error| format!("error: {error}\n  --> {ALLOWED}"))?;
    let (mut breaches, mut functions) = (Vec::new(), 0);
    for (file, source) in sources()? {
        let parsed = syn::parse_file(&source).map_err(|error| {
            format!("error: {error}\n  --> {file}:{}", error.span().start().line)
        })?;
        breaches.extend(calls::check(&file, &parsed, &mut allowed));
        let (checked, broken) = contracts::check(&file, &parsed);
        functions += checked;
        breaches.extend(broken);
    }
    breaches.extend(allowed.unused(ALLOWED));
    let (checked, broken) = header::check(HEADER, &read(Path::new(HEADER))?);
    breaches.extend(broken);
    breaches.sort();
    if breaches.is_empty() {
        println!(
            "guards: {functions} functions of services and {checked} of C keep their promises"
        );
        return Ok(());
    }
    let texts: Vec<String> = breaches.iter().map(Breach::text).collect();
    Err(format!("{}\nguards: {} broken promises", texts.join("\n"), breaches.len()))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(root().join(path))
        .map_err(|error| format!("error: {error}\n  --> {}", path.display()))
}

/// What stands around a service and is none: the model that judges it, the system by which the harness
/// drives it, and its inputs.
const AROUND: [&str; 4] = ["fixture", "generate", "model", "system"];

/// The sources of the services, by their paths.
fn sources() -> Result<BTreeMap<String, String>, String> {
    let mut sources = BTreeMap::new();
    for folder in FOLDERS {
        add_sources(&PathBuf::from(folder), &mut sources)?;
    }
    Ok(sources)
}

fn add_sources(folder: &Path, sources: &mut BTreeMap<String, String>) -> Step {
    let failed = |error: std::io::Error| format!("error: {error}\n  --> {}", folder.display());
    for entry in std::fs::read_dir(root().join(folder)).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let path = folder.join(&name);
        let is_around = |stem: &OsStr| AROUND.iter().any(|name| stem == *name);
        if path.file_stem().is_some_and(is_around) {
            continue;
        }
        if root().join(&path).is_dir() {
            add_sources(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.insert(path.display().to_string(), read(&path)?);
        }
    }
    Ok(())
}
