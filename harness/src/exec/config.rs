//! What a project has committed on the programs that it sweeps: options, and findings that it accepts,
//! in `mallory.toml` or in `[package.metadata.mallory]` of `Cargo.toml`, in the current folder or in
//! one above it.
//!
//! ```toml
//! [exec.jq]
//! stdin = "data/small.json"        # relative to this file's folder
//! limit = 500
//!
//! [[exec.jq.allow]]
//! kind = "crash"
//! site = "jv_alloc"
//! reason = "jq aborts where memory runs out, by design"
//! ```

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::error::Error;
use crate::report::kind::Kind;
use crate::sweep::settings::Allowance;

/// The name of the file.
const FILE: &str = "mallory.toml";
/// The file that may hold the same as a part.
const MANIFEST: &str = "Cargo.toml";
/// How many folders above the current one are searched.
const FOLDERS_MAX: usize = 64;

/// What a project has committed on one command. Each option is that of the command line with the same
/// name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CommandConfig {
    pub(crate) stdin: Option<PathBuf>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) compare: Vec<PathBuf>,
    pub(crate) compare_with: Option<String>,
    pub(crate) limit: Option<u64>,
    pub(crate) timeout: Option<u64>,
    pub(crate) max_output: Option<u64>,
    pub(crate) only: Vec<String>,
    pub(crate) skip: Vec<String>,
    pub(crate) libc: bool,
    pub(crate) strict: bool,
    pub(crate) guard: bool,
    allow: Vec<AllowedFinding>,
    #[serde(skip)]
    pub(crate) allowances: Vec<Allowance>,
}

/// A finding that is accepted, as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowedFinding {
    kind: Spanned<String>,
    site: Spanned<String>,
    reason: Spanned<String>,
    max: Option<u64>,
}

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Committed {
    exec: BTreeMap<String, CommandConfig>,
}

/// The parts of a manifest that may hold the same.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Manifest {
    package: ManifestPackage,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ManifestPackage {
    metadata: ManifestMetadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ManifestMetadata {
    mallory: Option<Committed>,
}

/// A file that is being read: its path as errors print it, and its text.
struct SourceFile {
    path: PathBuf,
    text: String,
}

impl SourceFile {
    /// `file:line:column` of a part of the text.
    fn place(&self, part: &Range<usize>) -> String {
        let before = self.text.get(..part.start).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{}:{line}:{column}", self.path.display())
    }

    /// Reads the file; `None` if there is none.
    ///
    /// # Errors
    /// It can't be read.
    fn read(path: PathBuf) -> Result<Option<SourceFile>, Error> {
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(SourceFile { path, text })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::new(format!("cannot read the project's file: {error}"))
                .at(path.display().to_string())
                .help("check its permissions, or move it away")),
        }
    }

    fn parsed<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        toml::from_str(&self.text).map_err(|error| {
            let wrong = Error::new(error.message().to_owned());
            let wrong = match error.span() {
                Some(part) => wrong.at(self.place(&part)),
                None => wrong.at(self.path.display().to_string()),
            };
            wrong.help(
                "a section is [exec.COMMAND], with the options of `mallory exec`, or \
                 [[exec.COMMAND.allow]], with kind, site, reason and max",
            )
        })
    }
}

/// What is committed on the command with this file name, in the current folder or above.
///
/// # Errors
/// A file that can't be read or understood, with its place.
pub(crate) fn of_command(name: &OsStr) -> Result<CommandConfig, Error> {
    of_command_in(Path::new(""), name)
}

fn of_command_in(start: &Path, name: &OsStr) -> Result<CommandConfig, Error> {
    let mut folder = start.to_owned();
    for _ in 0..FOLDERS_MAX {
        if let Some(file) = SourceFile::read(folder.join(FILE))? {
            let committed = file.parsed::<Committed>()?;
            return chosen(committed, name, &folder, &file);
        }
        if let Some(file) = SourceFile::read(folder.join(MANIFEST))?
            && file.text.contains("metadata.mallory")
            && let Some(committed) = file.parsed::<Manifest>()?.package.metadata.mallory
        {
            return chosen(committed, name, &folder, &file);
        }
        let is_root = |folder: &Path| folder.canonicalize().is_ok_and(|it| it.parent().is_none());
        let here = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        if is_root(here) {
            break;
        }
        folder.push("..");
    }
    Ok(CommandConfig::default())
}

/// The part on one command, checked, with its paths seen from the current folder.
fn chosen(
    mut committed: Committed,
    name: &OsStr,
    folder: &Path,
    file: &SourceFile,
) -> Result<CommandConfig, Error> {
    // A mistake is one for whatever command the file is read.
    for config in committed.exec.values_mut() {
        config.allowances = std::mem::take(&mut config.allow)
            .into_iter()
            .map(|allowed| allowance(allowed, file))
            .collect::<Result<_, _>>()?;
        let here = |path: &mut PathBuf| *path = folder.join(&*path);
        config.stdin.as_mut().map(here);
        config.dir.as_mut().map(here);
    }
    let config = name.to_str().and_then(|name| committed.exec.remove(name));
    Ok(config.unwrap_or_default())
}

/// The finding that is accepted.
fn allowance(allowed: AllowedFinding, file: &SourceFile) -> Result<Allowance, Error> {
    let AllowedFinding { kind, site, reason, max } = allowed;
    let place = file.place(&kind.span());
    let known = Kind::ALL.into_iter().find(|known| known.name() == kind.get_ref());
    let Some(known) = known else {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        let help = match similar::get_close_matches(kind.get_ref().as_str(), &names, 1, 0.6)[..] {
            [nearest] => format!("did you mean `{nearest}`?"),
            _ => format!("it is one of {}", names.join(", ")),
        };
        let what = format!("there is no kind of finding `{}`", kind.get_ref());
        return Err(Error::new(what).at(place).help(help));
    };
    for (text, what) in [(&site, "site"), (&reason, "reason")] {
        if text.get_ref().trim().is_empty() {
            let help = match what {
                "site" => "name a function of the finding's call sites",
                _ => "say why the finding is accepted, for whoever reads this next",
            };
            let error = Error::new(format!("`{what}` is empty"));
            return Err(error.at(file.place(&text.span())).help(help));
        }
    }
    Ok(Allowance {
        kind: known,
        site: site.into_inner(),
        max: max.unwrap_or(u64::MAX),
        reason: reason.into_inner(),
        place: Some(place),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file with this name and text, in a folder above, says on the command `jq`.
    fn read(name: &str, text: &str) -> Result<CommandConfig, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("a/b");
        std::fs::create_dir_all(&below).expect("folders");
        std::fs::write(folder.path().join(name), text).expect("written");
        let root = folder.path().display().to_string();
        of_command_in(&below, OsStr::new("jq"))
            .map_err(|error| error.to_string().replace(&root, "ROOT"))
    }

    const GOOD: &str = r#"
[exec.jq]
stdin = "small.json"
limit = 7
max-output = 3
env = { A = "b" }
only = ["jv_parse"]

[[exec.jq.allow]]
kind = "crash"
site = "jv_alloc"
reason = "by design"

[exec.other]
strict = true
"#;

    #[test]
    fn options_and_accepted_findings_are_read_from_a_folder_above() {
        for (name, text) in [
            (FILE, GOOD.to_owned()),
            (MANIFEST, GOOD.replace("exec.", "package.metadata.mallory.exec.")),
        ] {
            let config = read(name, &text).expect(name);
            assert_eq!((config.limit, config.max_output, config.strict), (Some(7), Some(3), false));
            assert_eq!(config.only, ["jv_parse"]);
            assert_eq!(config.env["A"], "b");
            let stdin = config.stdin.expect("there is one");
            assert!(stdin.ends_with("a/b/../../small.json"), "{}", stdin.display());
            let [Allowance { kind, site, max, reason, place }] = &config.allowances[..] else {
                panic!("{:?}", config.allowances);
            };
            let of = (*kind, &**site, *max, &**reason);
            assert_eq!(of, (Kind::Crash, "jv_alloc", u64::MAX, "by design"));
            assert!(place.as_deref().is_some_and(|place| place.ends_with(&format!("{name}:10:8"))));
        }
        let none = read(MANIFEST, "[package]\nname = \"x\"\n").expect("nothing is committed");
        assert_eq!(none.limit, None);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, what, place) in [
            ("[exec.jq]\nlimt = 3\n", "unknown field `limt`", ":2:1"),
            ("[exec.jq]\nlimit = \"x\"\n", "invalid type: string", ":2:9"),
            ("[exec.jq\n", "", ":1:"),
            ("[exe.jq]\n", "unknown field `exe`", ":1:2"),
            (
                "[[exec.x.allow]]\nkind = \"leek\"\nsite = \"f\"\nreason = \"r\"\n",
                "there is no kind of finding `leek`",
                ":2:8",
            ),
            (
                "[[exec.x.allow]]\nkind = \"leak\"\nsite = \"f\"\nreason = \" \"\n",
                "`reason` is empty",
                ":4:10",
            ),
            ("[[exec.x.allow]]\nkind = \"leak\"\nsite = \"f\"\n", "missing field `reason`", ":1:"),
        ] {
            let error = read(FILE, text).expect_err(text);
            let place = format!("--> ROOT/a/b/../../{FILE}{place}");
            assert!(error.contains(what) && error.contains(&place), "{error}");
            assert!(error.contains("help: "), "{error}");
        }
    }
}
