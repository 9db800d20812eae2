//! Turns backtraces into call sites: chains of function paths from the subject to a request.
//!
//! Frames of std, of hashbrown and allocator-api2 (which replace parts of std), of Mallory and of
//! the test runner are left out. A call site is printed with file and line and compared without, so
//! it survives an edit elsewhere and is the same in debug and release builds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::memory::preloaded::is_preloaded;
use crate::printable;
use crate::process::backtrace::Stack;
use crate::process::codec::codec_struct;
use crate::process::{shared_log, status};
use crate::report::call_site::{Frame, Site, is_c_library};
use crate::run::function_name::{gives_memory, is_boundary, is_left_out, plain};

/// A function with its file and line, from the debug information.
type Resolved = (String, Option<PathBuf>, Option<u32>);

/// What the debug information says of an address, as all children of a process share it: reading it
/// takes a debug build a good part of a second, and a sweep names call sites in several children.
struct SharedFrames {
    address: usize,
    /// Functions, files (empty if unknown) and lines.
    frames: Vec<(String, (String, Option<u32>))>,
}

codec_struct!(SharedFrames { address, frames });

/// The working directory of this process at the first call, which must be before a child changes
/// it.
pub(crate) fn home() -> Option<&'static Path> {
    static HOME: OnceLock<Option<PathBuf>> = OnceLock::new();
    HOME.get_or_init(|| std::env::current_dir().ok()).as_deref()
}

/// Turns backtraces into call sites. It reads the debug information of the whole program, which is
/// slow at first and takes much memory, so it is used in a child process.
#[derive(Default)]
pub(crate) struct Symbolizer {
    frames: BTreeMap<usize, Vec<Resolved>>,
    /// What other children found out, `None` until it is needed.
    shared: Option<BTreeMap<usize, Vec<Resolved>>>,
    /// What this one found out, and hasn't shared yet.
    fresh: Vec<usize>,
    /// The modules of addresses, in a preloaded library.
    modules: BTreeMap<usize, String>,
    /// The workspace's folder, which is cut off every path.
    root: Option<PathBuf>,
    /// The path of a file relative to that folder.
    known_file: String,
}

impl Symbolizer {
    /// `known_file` is the path of a source file as it was passed to the compiler, such as a
    /// caller's `Location::file()`. It identifies the workspace's folder.
    pub(crate) fn new(known_file: &str) -> Self {
        Symbolizer { known_file: known_file.to_owned(), ..Symbolizer::default() }
    }

    /// The call sites of these backtraces; `None` if there is no debug information.
    pub(crate) fn sites(&mut self, stacks: &[Stack]) -> Option<Vec<Site>> {
        for stack in stacks {
            // Frames outside the boundary are not looked up: their debug information, such as the C
            // library's, may take longer to read than all the rest.
            for address in stack {
                let frames = self.look_up(*address);
                if is_preloaded() && status::is_in_this_library(*address) {
                    continue;
                }
                if frames.iter().any(|(name, file, _)| is_boundary(name, file.as_deref())) {
                    break;
                }
            }
        }
        if !is_preloaded()
            && stacks.iter().any(|stack| !stack.is_empty())
            && !self.frames.values().flatten().any(|(name, file, _)| {
                file.is_some() && !is_left_out(name, file.as_deref()) && !name.starts_with("__")
            })
        {
            return None;
        }
        self.root = self.find_root();
        self.share();
        if is_preloaded() {
            for address in stacks.iter().flatten() {
                self.modules.entry(*address).or_insert_with(|| module_name(*address));
            }
        }
        Some(stacks.iter().map(|stack| self.site(stack)).collect())
    }

    /// Every function of a backtrace, including those of std; empty if there are no symbols.
    pub(crate) fn functions(&mut self, stack: &[usize]) -> Vec<&str> {
        for address in stack {
            self.look_up(*address);
        }
        self.share();
        let frames = stack.iter().filter_map(|address| self.frames.get(address)).flatten();
        frames.map(|(function, _, _)| function.as_str()).collect()
    }

    fn look_up(&mut self, address: usize) -> &[Resolved] {
        self.frames.entry(address).or_insert_with(|| {
            if is_preloaded() && status::is_in_this_library(address) {
                return Vec::new();
            }
            let shared = self.shared.get_or_insert_with(shared_frames);
            shared.get(&address).cloned().unwrap_or_else(|| {
                self.fresh.push(address);
                resolve(address)
            })
        })
    }

    /// Shares with other children what this one found out.
    fn share(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        let found = fresh.into_iter().filter_map(|address| {
            let text = |file: &PathBuf| file.to_str().map(str::to_owned);
            let frames = self.frames.get(&address)?.iter().map(|(function, file, line)| {
                Some((function.clone(), (file.as_ref().map_or(Some(String::new()), text)?, *line)))
            });
            Some(SharedFrames { address, frames: frames.collect::<Option<Vec<_>>>()? })
        });
        let found: Vec<SharedFrames> = found.collect();
        if !found.is_empty() {
            shared_log::append(&found);
        }
    }

    fn find_root(&self) -> Option<PathBuf> {
        let known = Path::new(&self.known_file);
        let is_relative = !known.as_os_str().is_empty() && !known.is_absolute();
        let root = |frame: &Resolved| {
            let file = frame.1.as_ref().filter(|file| is_relative && file.ends_with(known))?;
            Some(file.ancestors().nth(known.components().count())?.to_owned())
        };
        let by_subject = self.frames.values().flatten().find_map(root);
        // The subject may be in another workspace; the caller of the sweep is further out on this
        // stack.
        let by_caller = || {
            let mut found = None;
            backtrace::trace(|frame| {
                found = resolve(frame.ip() as usize).iter().find_map(root);
                is_relative && found.is_none()
            });
            found
        };
        by_subject.or_else(by_caller).or_else(|| {
            let root = home()?.ancestors().filter(|dir| dir.join("Cargo.lock").exists()).last();
            root.map(Path::to_owned)
        })
    }

    fn site(&self, stack: &[usize]) -> Site {
        let mut site = Site { c_call: self.c_call(stack), ..Site::default() };
        let frames = stack.iter().filter_map(|ip| Some((ip, self.frames.get(ip)?)));
        let frames = frames.flat_map(|(ip, all)| all.iter().map(move |frame| (ip, frame)));
        for (address, (function, file, line)) in frames {
            if is_boundary(function, file.as_deref()) {
                break;
            }
            if function.is_empty() || is_left_out(function, file.as_deref()) {
                continue;
            }
            let place = match (file, line) {
                (Some(file), Some(line)) => format!("{}:{line}", self.relative(file)),
                (Some(module), None) if is_preloaded() => file_name(module),
                _ => String::new(),
            };
            site.frames.push(Frame {
                function: printable::line(function),
                place: printable::line(&place),
                module: self.modules.get(address).cloned().unwrap_or_default(),
            });
        }
        site
    }

    /// The function of the C library that a program called for what begins this stack: see
    /// [`Site::c_call`].
    fn c_call(&self, stack: &[usize]) -> String {
        let mut outermost = "";
        for address in stack {
            let Some(frames) = self.frames.get(address).filter(|frames| !frames.is_empty()) else {
                // Ours, before the first of others.
                continue;
            };
            let is_inside = self.modules.get(address).is_some_and(|name| is_c_library(name));
            if !is_inside || frames.iter().any(|(name, file, _)| is_boundary(name, file.as_deref()))
            {
                break;
            }
            outermost = frames.last().map_or(outermost, |(name, ..)| name);
        }
        // Inside of another function it is that one's, and not the program's.
        if gives_memory(outermost) { String::new() } else { printable::line(outermost) }
    }

    /// A path without the part that differs between machines.
    fn relative(&self, file: &Path) -> String {
        let inside = self.root.as_ref().and_then(|root| file.strip_prefix(root).ok());
        if let Some(inside) = inside {
            return slashes(inside);
        }
        let text = slashes(file);
        if let Some((_, crates)) = text.split_once("/registry/src/") {
            return crates.split_once('/').map_or(crates, |(_, file)| file).to_owned();
        }
        // The folder that contains `src` usually has the crate's name.
        let parts: Vec<&str> = text.split('/').collect();
        let src = parts.iter().rposition(|part| ["src", "tests", "benches"].contains(part));
        let from = src.unwrap_or(parts.len().saturating_sub(1)).saturating_sub(1);
        parts[from..].join("/")
    }
}

/// What other children of this process found out about addresses.
fn shared_frames() -> BTreeMap<usize, Vec<Resolved>> {
    let known = |SharedFrames { address, frames }| {
        let frames = frames.into_iter().map(|(function, (file, line))| {
            (function, Some(PathBuf::from(file)).filter(|file| file != Path::new("")), line)
        });
        (address, frames.collect())
    };
    shared_log::read::<Vec<SharedFrames>>().into_iter().flatten().map(known).collect()
}

/// The name of the file that contains an address.
fn module_name(address: usize) -> String {
    let module = status::module_of(address).map(|(module, _)| module);
    module.map(|module| printable::line(&file_name(Path::new(&module)))).unwrap_or_default()
}

/// The last part of a path.
fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The functions at an address: the one that contains it, and those that were inlined there. In a
/// program without debug information the file is the module's, and where nothing is known of the
/// function its name is the module's with an offset.
fn resolve(address: usize) -> Vec<Resolved> {
    let mut frames = resolve_symbols(address);
    if !is_preloaded() {
        return frames;
    }
    frames.retain(|(name, ..)| !name.is_empty());
    let Some((module, offset)) = status::module_of(address) else { return frames };
    let module = PathBuf::from(module);
    if frames.is_empty() {
        // The call itself is before the address to which it returns.
        let name = format!("{}+{:#x}", file_name(&module), offset.saturating_sub(1));
        return vec![(name, None, None)];
    }
    for (_, file, line) in frames.iter_mut().filter(|(_, _, line)| line.is_none()) {
        (*file, *line) = (Some(module.clone()), None);
    }
    frames
}

fn resolve_symbols(address: usize) -> Vec<Resolved> {
    let mut frames = Vec::new();
    backtrace::resolve(address as *mut std::ffi::c_void, |symbol| {
        let name = symbol.name().map(|name| plain(&format!("{name:#}"))).unwrap_or_default();
        frames.push((name, symbol.filename().map(Path::to_owned), symbol.lineno()));
    });
    frames
}

fn slashes(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_finds_out_another_one_need_not() {
        shared_log::open();
        let here = a_short_name_begins_with_the_type as *const () as usize + 1;
        assert!(!shared_frames().contains_key(&here));
        let mut first = Symbolizer::new(file!());
        let named = first.functions(&[here]).concat();
        assert!(named.contains("a_short_name_begins_with_the_type"), "{named}");
        let shared = shared_frames();
        assert_eq!(shared.get(&here), first.frames.get(&here));
        let mut second = Symbolizer::new(file!());
        assert_eq!(second.look_up(here), &shared[&here]);
        assert!(second.fresh.is_empty());
    }

    #[test]
    fn a_short_name_begins_with_the_type() {
        for (function, expected) in [
            ("scenarios::lfs_batch::Batch::stage", "Batch::stage"),
            ("scenarios::lfs_batch::stage", "lfs_batch::stage"),
            ("app::tests::it::{{closure}}", "tests::it::{{closure}}"),
            ("<app::x::Buf as core::ops::drop::Drop>::drop", "<Buf as Drop>::drop"),
            (
                "<<app::Text as app::Show>::show::Pen as app::Write>::write",
                "<<Text as Show>::Pen as Write>::write",
            ),
        ] {
            let frame = Frame { function: function.into(), ..Frame::default() };
            assert_eq!(frame.short_name(), expected);
        }
    }
}
