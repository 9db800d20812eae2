//! `mallory exec --trace-children`: starts a program, and has it and each program that is started by it
//! swept where it begins. Each process asks for an order on a socket, and gets none where the same
//! was swept before.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;
use crate::exec::order::{Order, SentReport, VARIABLE};
use crate::exec::start::{ProgramStart, command, end_with_this, give, preload};
use crate::exec::{elf, folder};
use crate::process::scratch_dir::ScratchDir;
use crate::trace::hash_bytes;

/// The most files and bytes of a folder that is copied for each run.
const FILES_MAX: u64 = 4096;
const BYTES_MAX: u64 = 64 << 20;
/// How many processes a chain of parents is followed.
const PARENTS_MAX: usize = 64;
/// The most characters of a program's name in that of its place.
const NAME_MAX: usize = 28;

/// A program of the tree: all processes that were started by the same one with the same words.
#[derive(Debug)]
pub(crate) struct TreeProgram {
    /// The name of its sweep.
    pub(crate) name: String,
    pub(crate) words: Vec<String>,
    /// The name of the program that started it; empty for the first one.
    pub(crate) parent: String,
    /// How many such processes there were.
    pub(crate) processes: u64,
    /// `None` if it was not swept.
    pub(crate) report: Option<SentReport>,
}

/// All programs, by their names from the first one on, and how the first one ended by itself.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) programs: Vec<TreeProgram>,
    pub(crate) ended: Option<ExitStatus>,
}

/// What is known of the tree while it grows.
#[derive(Debug, Default)]
struct Growing {
    programs: BTreeMap<String, TreeProgram>,
    /// The names of the processes that were seen.
    names: BTreeMap<u32, String>,
}

/// What a tree is swept for.
pub(crate) struct TreeSweep<'a> {
    pub(crate) start: &'a ProgramStart,
    /// What the first program can't be watched at.
    pub(crate) unwatched: &'a [String],
    pub(crate) library: &'a [u8],
    /// The order, but for what each program has of its own.
    pub(crate) order: &'a Order,
    /// The program whose token is replayed: no other one is swept.
    pub(crate) replayed: Option<&'a str>,
    /// The name of a program from its words.
    pub(crate) name_of: &'a (dyn Fn(&str) -> String + Sync),
    pub(crate) on_progress: &'a (dyn Fn(u64, u64) + Sync),
}

impl TreeSweep<'_> {
    /// Starts the program, and has all programs swept.
    ///
    /// # Errors
    /// It can't be started.
    pub(crate) fn run(&self) -> Result<Tree, Error> {
        let scratch = ScratchDir::new(std::process::id());
        let result = self.run_in(scratch.path());
        ScratchDir::remove(std::process::id());
        result.map_err(|error| {
            Error::new(format!("cannot start the program: {error}")).at(self
                .start
                .file
                .display()
                .to_string())
        })
    }

    fn run_in(&self, place: &Path) -> io::Result<Tree> {
        let (library, socket) = (place.join("library.so"), place.join("socket"));
        fs::write(&library, self.library)?;
        let listener = UnixListener::bind(&socket)?;
        let mut command = command(self.start);
        let own = library.display().to_string();
        command.env("LD_PRELOAD", preload(&own, self.start.variable("LD_PRELOAD").as_deref()));
        command.env(VARIABLE, &socket);
        command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(match &self.order.stdin {
            Some(path) => Stdio::from(fs::File::open(path)?),
            None => Stdio::null(),
        });
        if let Some(from) = &self.order.folder {
            let copy = place.join("work");
            folder::copy(Path::new(from), &copy)?;
            command.current_dir(copy);
        }
        end_with_this(&mut command, || {});
        let growing = Mutex::new(Growing::default());
        let is_over = AtomicBool::new(false);
        let mut child = command.spawn()?;
        let ended = std::thread::scope(|scope| {
            let (growing, is_over, first) = (&growing, &is_over, child.id());
            scope.spawn(move || {
                for socket in listener.incoming().flatten() {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    scope.spawn(move || self.serve(socket, growing, first));
                }
            });
            let ended = child.wait().ok();
            is_over.store(true, Ordering::Relaxed);
            // Wakes the thread that waits for the next one.
            drop(UnixStream::connect(&socket));
            ended
        });
        let growing = growing.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Tree { programs: from_the_first_on(growing.programs), ended })
    }

    /// Gives one process an order, if it is to be swept.
    fn serve(&self, mut socket: UnixStream, growing: &Mutex<Growing>, first: u32) {
        let Some(pid) = peer(&socket) else { return };
        let words = words_of(pid);
        let Some(program) = words.first() else { return };
        let name = {
            let mut growing = growing.lock().unwrap_or_else(PoisonError::into_inner);
            let parent = parent_name(&growing.names, pid);
            let own = (self.name_of)(program);
            let name = if pid == first && parent.is_empty() {
                self.order.name.clone()
            } else {
                let own: String = own.chars().take(NAME_MAX).collect();
                format!("{own}-{:06x}", place_hash(&parent, &words) & 0xff_ffff)
            };
            growing.names.insert(pid, name.clone());
            let known = growing.programs.entry(name.clone()).or_insert_with(|| TreeProgram {
                name: name.clone(),
                words: words.clone(),
                parent,
                processes: 0,
                report: None,
            });
            known.processes += 1;
            if known.processes > 1 || self.replayed.is_some_and(|replayed| replayed != name) {
                return;
            }
            name
        };
        let report = match self.order_for(pid, &name, pid == first) {
            Ok(order) => {
                give(&mut socket, &order, &mut |done, total| {
                    (self.on_progress)(done, total);
                })
                .1
            }
            Err(error) => Some(SentReport::failed(&name, &error)),
        };
        drop(socket);
        let report = report.unwrap_or_else(|| {
            let lost = Error::new("it ended before the sweep was over");
            SentReport::failed(&name, &lost)
        });
        let mut growing = growing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = growing.programs.get_mut(&name) {
            known.report = Some(report);
        }
    }

    /// The order for this process.
    ///
    /// # Errors
    /// It can't be swept.
    fn order_for(&self, pid: u32, name: &str, is_first: bool) -> Result<Order, Error> {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let unwatched = match is_first {
            true => self.unwatched.to_vec(),
            false => {
                let bytes = fs::read(proc.join("exe"))
                    .map_err(|error| Error::new(format!("its file can't be read: {error}")))?;
                elf::check(&bytes, false)?
            }
        };
        let folder = fs::read_link(proc.join("cwd"))
            .map_err(|error| Error::new(format!("its folder is unknown: {error}")))?;
        if folder::is_bigger(&folder, FILES_MAX, BYTES_MAX) {
            return Err(Error::new("its folder is too big to copy it for each run")
                .at(folder.display().to_string())
                .help("start the command in a folder with just what it needs"));
        }
        Ok(Order {
            name: name.to_owned(),
            unwatched,
            folder: Some(folder.to_string_lossy().into_owned()),
            stdin: None,
            ..self.order.clone()
        })
    }
}

/// The process at the other end.
fn peer(socket: &UnixStream) -> Option<u32> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the structure has the size that is given, and is written.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut size,
        )
    };
    u32::try_from(peer.pid).ok().filter(|pid| result == 0 && *pid != 0)
}

/// The words with which a process was started.
fn words_of(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    let words = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let temporary = format!("{}/", std::env::temp_dir().display());
    words.map(|word| without_random_names(&word, &temporary)).collect()
}

/// A word with a star for each name in the folder for temporary files, up to its ending: compilers give
/// such files another name each time.
fn without_random_names(word: &str, temporary: &str) -> String {
    let mut parts = word.split(temporary);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
        plain.push_str(temporary);
        plain.push('*');
        plain.push_str(&part[end.unwrap_or(part.len())..]);
    }
    plain
}

/// The name of the nearest process that is known: this one, which may have been another program before,
/// or one that has started it.
fn parent_name(names: &BTreeMap<u32, String>, pid: u32) -> String {
    let mut pid = pid;
    for _ in 0..PARENTS_MAX {
        if let Some(name) = names.get(&pid) {
            return name.clone();
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name in parentheses: the state, and the parent.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        match fields.split_whitespace().nth(1).and_then(|parent| parent.parse().ok()) {
            Some(parent) if parent > 1 => pid = parent,
            _ => break,
        }
    }
    String::new()
}

/// A hash of where in the tree a program is.
fn place_hash(parent: &str, words: &[String]) -> u64 {
    hash_bytes(format!("{parent}\0{}", words.join("\0")).as_bytes())
}

/// The programs, each before those that it has started, and else by their names.
fn from_the_first_on(mut programs: BTreeMap<String, TreeProgram>) -> Vec<TreeProgram> {
    let mut sorted = Vec::with_capacity(programs.len());
    add_started_by("", &mut programs, &mut sorted);
    sorted
}

fn add_started_by(
    parent: &str,
    programs: &mut BTreeMap<String, TreeProgram>,
    sorted: &mut Vec<TreeProgram>,
) {
    let is_next = |program: &&TreeProgram| program.parent == parent;
    let names: Vec<String> =
        programs.values().filter(is_next).map(|program| program.name.clone()).collect();
    for name in names {
        sorted.extend(programs.remove(&name));
        add_started_by(&name, programs, sorted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_follow_the_one_that_started_them() {
        let program = |name: &str, parent: &str| {
            let (name, parent) = (name.to_owned(), parent.to_owned());
            let words = vec![name.clone()];
            (name.clone(), TreeProgram { name, words, parent, processes: 1, report: None })
        };
        let all = [("z", ""), ("a", "z"), ("c", "a"), ("b", "z"), ("d", "b")];
        let all = all.into_iter().map(|(name, parent)| program(name, parent)).collect();
        let names: Vec<String> =
            from_the_first_on(all).into_iter().map(|program| program.name).collect();
        assert_eq!(names, ["z", "a", "c", "b", "d"]);
    }

    #[test]
    fn a_place_is_known_by_the_parent_and_the_words() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let place = |parent: &str, text: &str| place_hash(parent, &words(text));
        assert_eq!(place("sh", "sort -u"), place("sh", "sort -u"));
        assert_ne!(place("sh", "sort -u"), place("sh", "sort"));
        assert_ne!(place("sh", "sort -u"), place("make", "sort -u"));
    }

    #[test]
    fn names_of_temporary_files_are_left_out() {
        for (word, plain) in [
            ("-o/tmp/ccA1b2.o", "-o/tmp/*.o"),
            ("/tmp/ccA1b2.res:/tmp/x", "/tmp/*.res:/tmp/*"),
            ("/tmpx/a", "/tmpx/a"),
            ("in.txt", "in.txt"),
        ] {
            assert_eq!(without_random_names(word, "/tmp/"), plain, "{word}");
        }
    }

    #[test]
    fn the_parent_is_the_nearest_process_that_is_known() {
        let own = std::process::id();
        let names = BTreeMap::from([(std::os::unix::process::parent_id(), "above".to_owned())]);
        assert_eq!(parent_name(&names, own), "above");
        let names = BTreeMap::from([(own, "before".to_owned())]);
        assert_eq!(parent_name(&names, own), "before");
        assert_eq!(parent_name(&BTreeMap::new(), own), "");
    }
}
