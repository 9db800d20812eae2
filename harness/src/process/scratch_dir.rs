//! The scratch directory: a directory for the subject's files that is empty at the start of each
//! run.
//!
//! It is in the system's directory for temporary files, which others use as well. So its name can't be
//! guessed, it is made only if there is nothing of that name yet (a link neither), and nobody else
//! may enter it. Beside the subject's files it holds a file that names its owner. Directories without
//! such a file, or whose owner may live, are never touched.
//!
//! ```text
//! /tmp/mallory-<32 random digits>-<process>/   made by a child when the subject asks for it
//!   owner                                      boot, process namespace, process, start time
//!   files/                                     what the subject sees
//! ```

use std::cell::Cell;
use std::fs::{self, DirBuilder, File};
use std::io::Read;
#[cfg(unix)]
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// How the names of all scratch directories begin.
const PREFIX: &str = "mallory-";
/// The file that names the owner.
const MARKER: &str = "owner";
/// The longest marker that is read.
const MARKER_MAX: u64 = 1 << 10;

/// A process that owns scratch directories, its own and those of its children.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    /// The system's start, and the namespace in which process ids mean something: empty where the
    /// system doesn't say.
    place: String,
    process: u32,
    /// When the process started, in the system's ticks; process ids are used again.
    started: u64,
}

impl Owner {
    fn this_process() -> Owner {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let place = format!("{} {}", boot.trim(), namespace.display());
        let process = std::process::id();
        Owner { place, process, started: start_time(process).unwrap_or(0) }
    }

    fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.place, self.process, self.started)
    }

    fn of_text(text: &str) -> Option<Owner> {
        let mut lines = text.lines();
        let (place, process, started) = (lines.next()?, lines.next()?, lines.next()?);
        let (process, started) = (process.parse().ok()?, started.parse().ok()?);
        Some(Owner { place: place.to_owned(), process, started })
    }

    /// Whether it is known to have ended. Of a process elsewhere, such as one in another container,
    /// nothing is known.
    fn has_ended(&self, is_alive: impl Fn(u32) -> bool) -> bool {
        let here = names();
        let is_again = || start_time(self.process).is_some_and(|started| started != self.started);
        self.place == here.owner.place && (!is_alive(self.process) || is_again())
    }
}

/// When a process started; `None` where the system doesn't say.
fn start_time(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name, in parentheses, may hold anything. The start is 20 fields behind it.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// What the scratch directories of a process and its children are called.
#[derive(Debug)]
struct Names {
    /// The path, up to the number of the process.
    stem: String,
    owner: Owner,
}

fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut random = [0; 16];
        // Without it the name can be guessed, and it is still made only where there is nothing.
        let _ = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random));
        let random = u128::from_ne_bytes(random);
        let stem = std::env::temp_dir().join(format!("{PREFIX}{random:032x}-"));
        Names { stem: stem.to_string_lossy().into_owned(), owner: Owner::this_process() }
    })
}

/// Chooses the names of this process's scratch directories. Children that are forked from here on
/// have the same, so that the parent can remove theirs.
pub(crate) fn choose_names() {
    names();
}

/// The scratch directory of one process, created when it is first asked for.
///
/// A child makes it its working directory and hands out `.`, a path that has the same length on
/// every machine and in every process: the memory in which a subject keeps it is part of the trace.
pub(crate) struct ScratchDir {
    /// The process whose directory it is: this one, or the child that forked this one for one run.
    process: u32,
    folder: PathBuf,
    is_child: bool,
    used: Cell<bool>,
    /// Whether it could not be made.
    is_missing: Cell<bool>,
}

/// What is handed out in place of a directory that could not be made: nothing can be written there. It
/// is the same on every machine, as `.` is.
const NOWHERE: &str = "/dev/null/no scratch directory";

impl ScratchDir {
    /// The scratch directory of this process. `owner` is the process that sweeps: the parent in a
    /// child, otherwise this process itself.
    pub(crate) fn new(owner: u32) -> Self {
        let process = std::process::id();
        let folder = outer(process).join("files");
        let (used, is_missing) = (Cell::new(false), Cell::new(false));
        ScratchDir { process, folder, is_child: owner != process, used, is_missing }
    }

    /// The directory's path: `.` in a child.
    pub(crate) fn path(&self) -> &Path {
        if !self.used.replace(true) {
            let mut made = create(self.process);
            if made.is_ok() {
                // A run before this one, in a fork of the same child, may have used it.
                self.empty();
            }
            if self.is_child {
                made = made.and_then(|()| std::env::set_current_dir(&self.folder));
            }
            self.is_missing.set(made.is_err());
        }
        // The subject gets the error when it uses the directory. It must not write to the caller's.
        if self.is_missing.get() {
            return Path::new(NOWHERE);
        }
        if self.is_child { Path::new(".") } else { &self.folder }
    }

    /// Whether there are files in it.
    pub(crate) fn holds_files(&self) -> bool {
        let entries = || fs::read_dir(&self.folder).ok();
        self.used.get() && entries().is_some_and(|mut entries| entries.next().is_some())
    }

    /// Removes everything in it.
    pub(crate) fn empty(&self) {
        if self.used.get() {
            let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
            for entry in entries {
                let path = entry.path();
                let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
            }
        }
    }

    /// Removes the directory of a process that has ended: this one, or a child of it.
    pub(crate) fn remove(process: u32) {
        let folder = outer(process);
        if owner_of(&folder).is_some_and(|owner| owner == names().owner) {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Makes the directories and the marker of a process.
fn create(process: u32) -> std::io::Result<()> {
    let outer = outer(process);
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    builder.mode(0o700);
    // Sweeps of one process use its directory one after the other.
    if owner_of(&outer).is_none_or(|owner| owner != names().owner) {
        builder.create(&outer)?;
        let marker = outer.join(MARKER);
        if let Err(error) = fs::write(&marker, names().owner.to_text()) {
            // Without a whole marker it would never be removed. The first error is reported.
            let _ = fs::remove_file(marker);
            let _ = fs::remove_dir(outer);
            return Err(error);
        }
    }
    match builder.create(outer.join("files")) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Removes the directories of owners that were killed before they could do so.
pub(crate) fn tidy(is_alive: impl Fn(u32) -> bool) {
    tidy_in(&std::env::temp_dir(), is_alive);
}

fn tidy_in(folder: &Path, is_alive: impl Fn(u32) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_named =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)).is_some_and(is_ours);
        if is_named
            && let path = entry.path()
            && owner_of(&path).is_some_and(|owner| owner.has_ended(&is_alive))
        {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Whether the rest of a name is 32 digits and the number of a process.
fn is_ours(rest: &str) -> bool {
    rest.split_once('-').is_some_and(|(random, process)| {
        random.len() == 32
            && random.bytes().all(|digit| digit.is_ascii_hexdigit())
            && process.parse::<u32>().is_ok()
    })
}

/// The owner that a directory's marker names; `None` if it has no marker, or is a link.
fn owner_of(folder: &Path) -> Option<Owner> {
    let is_folder = |path: &Path| fs::symlink_metadata(path).is_ok_and(|data| data.is_dir());
    let marker = folder.join(MARKER);
    if !is_folder(folder) || !fs::symlink_metadata(&marker).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(marker).ok()?.take(MARKER_MAX).read_to_string(&mut text).ok()?;
    Owner::of_text(&text)
}

/// The directory of a process. All have names of one length, which a program may see as that of its
/// working folder: the memory in which it keeps that is part of the trace.
fn outer(process: u32) -> PathBuf {
    PathBuf::from(format!("{}{process:07}", names().stem))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A directory as `tidy` finds it, with a file in it.
    fn planted(temp: &Path, name: &str, marker: Option<&str>) -> PathBuf {
        let folder = temp.join(name);
        fs::create_dir_all(folder.join("files")).expect("made");
        fs::write(folder.join("files/important.txt"), "text").expect("written");
        if let Some(marker) = marker {
            fs::write(folder.join(MARKER), marker).expect("written");
        }
        folder
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let temp = std::env::temp_dir().join(format!("tidy-test-{}", std::process::id()));
        let owner = |change: &dyn Fn(&mut Owner)| {
            let mut owner = names().owner.clone();
            change(&mut owner);
            owner.to_text()
        };
        let dead = owner(&|owner| owner.process = 0x7FFF_FFF1);
        let name = |nth: u32| format!("{PREFIX}{nth:032x}-77");
        let gone = [
            planted(&temp, &name(1), Some(&dead)),
            planted(&temp, &name(2), Some(&owner(&|owner| owner.started += 1))),
        ];
        let kept = [
            planted(&temp, "mallory-2024-notes", None),
            planted(&temp, "mallory-2024-marked", Some(&dead)),
            planted(&temp, &name(3), None),
            planted(&temp, &name(4), Some("not a marker")),
            planted(&temp, &name(5), Some(&owner(&|_| ()))),
            planted(
                &temp,
                &name(6),
                Some(&owner(&|owner| {
                    (owner.place, owner.process) = ("elsewhere".to_owned(), 0x7FFF_FFF1);
                })),
            ),
        ];
        // A link to a marked directory, which is itself not named as one.
        let target = planted(&temp, "target", Some(&dead));
        std::os::unix::fs::symlink(&target, temp.join(name(7))).expect("linked");
        tidy_in(&temp, |process| process != 0x7FFF_FFF1);
        for folder in &gone {
            assert!(!folder.exists(), "{}", folder.display());
        }
        for folder in kept.iter().chain([&target]) {
            assert!(folder.join("files/important.txt").exists(), "{}", folder.display());
        }
        fs::remove_dir_all(temp).expect("removed");
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let victim = std::env::temp_dir().join(format!("victim-test-{}", std::process::id()));
        fs::create_dir_all(&victim).expect("made");
        let process = 0x7FFF_FFF2;
        std::os::unix::fs::symlink(&victim, outer(process)).expect("linked");
        assert!(create(process).is_err());
        ScratchDir::remove(process);
        assert_eq!(fs::read_dir(&victim).expect("still there").count(), 0);
        fs::remove_file(outer(process)).expect("the link is still there");
        create(process).expect("made");
        assert!(outer(process).join("files").is_dir());
        ScratchDir::remove(process);
        assert!(!outer(process).exists());
        fs::remove_dir_all(victim).expect("removed");
    }

    #[test]
    fn links_that_are_planted_all_the_time_are_not_followed() {
        let victim = std::env::temp_dir().join(format!("loop-test-{}", std::process::id()));
        fs::create_dir_all(&victim).expect("made");
        let process = 0x7FFF_FFF3;
        let entries = || fs::read_dir(&victim).expect("still there").count();
        let (mut made, mut refused) = (0, 0);
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Whoever shares the directory may plant links, and remove only their own.
                while !is_done.load(Ordering::Relaxed) {
                    let _ = std::os::unix::fs::symlink(&victim, outer(process));
                    let _ = fs::remove_file(outer(process));
                }
            });
            while (made < 100 || refused < 100) && entries() == 0 {
                match create(process) {
                    Ok(()) => made += 1,
                    Err(_) => refused += 1,
                }
                let _ = fs::write(outer(process).join("files/it"), "what a subject writes");
                ScratchDir::remove(process);
            }
            is_done.store(true, Ordering::Relaxed);
        });
        assert_eq!(entries(), 0, "{made} times made, {refused} times refused");
        let _ = fs::remove_file(outer(process));
        fs::remove_dir_all(victim).expect("removed");
    }
}
