//! Turns backtraces into call sites: chains of function paths from the subject to a request.
//!
//! Frames of std, of hashbrown and allocator-api2 (which replace parts of std), of Mallory and of
//! the test runner are left out. A call site is printed with file and line and compared without, so
//! it survives an edit elsewhere and is the same in debug and release builds.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::process::backtrace::Stack;
use crate::report::call_site::{Frame, Site};

/// The function that calls the subject: a call site ends there.
const BOUNDARY: &str = "mallory::run::boundary";

/// The function in which std starts a thread of the subject: further out there are only frames of
/// the system.
const THREAD: &str = "__rust_begin_short_backtrace";

/// Crates whose frames say nothing about the subject.
const LEFT_OUT: [&str; 10] = [
    "__rustc",
    "std",
    "core",
    "alloc",
    "mallory",
    "test",
    "hashbrown",
    "allocator_api2",
    "backtrace",
    "rustc_demangle",
];

/// The panic hook of `generator`, the crate whose stacks model checkers switch between. It is the
/// whole path, since a subject's own crate may have that name.
const HOOK: &str = "generator::detail::gen::catch_unwind_filter";

/// Types without a path.
const PRIMITIVES: [&str; 17] = [
    "bool", "char", "str", "f32", "f64", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16",
    "i32", "i64", "i128", "isize",
];

/// A function with its file and line, from the debug information.
type Resolved = (String, Option<PathBuf>, Option<u32>);

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
    frames: HashMap<usize, Vec<Resolved>>,
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
                if self.look_up(*address).iter().any(|frame| is_boundary(&frame.0)) {
                    break;
                }
            }
        }
        if stacks.iter().any(|stack| !stack.is_empty())
            && !self.frames.values().flatten().any(|(name, file, _)| {
                file.is_some() && !is_left_out(name) && !name.starts_with("__")
            })
        {
            return None;
        }
        self.root = self.find_root();
        Some(stacks.iter().map(|stack| self.site(stack)).collect())
    }

    /// Every function of a backtrace, including those of std; empty if there are no symbols.
    pub(crate) fn functions(&mut self, stack: &[usize]) -> Vec<&str> {
        for address in stack {
            self.look_up(*address);
        }
        let frames = stack.iter().filter_map(|address| self.frames.get(address)).flatten();
        frames.map(|(function, _, _)| function.as_str()).collect()
    }

    fn look_up(&mut self, address: usize) -> &[Resolved] {
        self.frames.entry(address).or_insert_with(|| resolve(address))
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
        let mut site = Site::default();
        for (function, file, line) in stack.iter().filter_map(|ip| self.frames.get(ip)).flatten() {
            if is_boundary(function) {
                break;
            }
            if function.is_empty() || is_left_out(function) {
                continue;
            }
            let place = match (file, line) {
                (Some(file), Some(line)) => format!("{}:{line}", self.relative(file)),
                _ => String::new(),
            };
            site.frames.push(Frame { function: function.clone(), place });
        }
        site
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

/// The functions at an address: the one that contains it, and those that were inlined there.
fn resolve(address: usize) -> Vec<Resolved> {
    let mut frames = Vec::new();
    backtrace::resolve(address as *mut std::ffi::c_void, |symbol| {
        let name = symbol.name().map(|name| plain(&format!("{name:#}"))).unwrap_or_default();
        frames.push((name, symbol.filename().map(Path::to_owned), symbol.lineno()));
    });
    frames
}

fn is_boundary(function: &str) -> bool {
    function.contains(BOUNDARY) || function.contains(THREAD)
}

fn slashes(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

fn is_left_out(function: &str) -> bool {
    if is_of_primitive(function) || function.starts_with(HOOK) {
        return true;
    }
    if let Some((of, by)) = split_impl(function) {
        // A trait of the subject's that is implemented for a type of std's is the subject's code, as
        // is a trait of std's that is implemented for a type of the subject's.
        return is_left_out_type(of) && is_left_out(by);
    }
    let path = function.trim_start_matches(['<', '&', '(', ' ']);
    let path = path.strip_prefix("dyn ").unwrap_or(path);
    let krate = path.split([':', ' ', '>']).next().unwrap_or(path);
    if path.starts_with(krate) && path[krate.len()..].starts_with("::") {
        return LEFT_OUT.contains(&krate);
    }
    // A bare C symbol.
    ["_start", "main", "rust_eh_personality"].contains(&function)
        || function.starts_with("__")
        // Mallory's functions that C code calls.
        || function.starts_with("mallory_") && !function.contains("::")
        || function.starts_with("_Unwind")
}

/// The type and the trait of a method `<Type as Trait>::method`.
fn split_impl(function: &str) -> Option<(&str, &str)> {
    if !function.starts_with('<') {
        return None;
    }
    let inner = &function[1..matching(function)];
    let mut depth = 0;
    let bytes = inner.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' => depth -= 1,
            b' ' if depth == 0 && inner[at..].starts_with(" as ") => {
                return Some((&inner[..at], &inner[at + 4..]));
            }
            _ => {}
        }
    }
    None
}

/// Whether a type is of a crate that is left out, or has no path: a type parameter, a slice.
fn is_left_out_type(of: &str) -> bool {
    if of.starts_with('<') {
        return is_left_out(of);
    }
    if of.starts_with('[') {
        return true;
    }
    let path = of.trim_start_matches(['&', '(', ' ']);
    let path = path.strip_prefix("dyn ").unwrap_or(path);
    let krate = path.split([':', ' ', '>', '<']).next().unwrap_or(path);
    !path[krate.len()..].starts_with("::") || LEFT_OUT.contains(&krate)
}

/// Whether it is a method of a type without a path, such as `<[T]>::to_vec` or `<str>::repeat`:
/// only std can define one.
fn is_of_primitive(function: &str) -> bool {
    let Some(inner) = function.strip_prefix('<') else { return false };
    let (inner, rest) = inner.split_at(matching(function).saturating_sub(1).min(inner.len()));
    let starts = inner.starts_with(['[', '*', '(']) || PRIMITIVES.contains(&inner);
    starts && rest.starts_with(">::") && !inner.contains(" as ")
}

/// A demangled name without generic arguments, and with closures written as `{{closure}}`.
fn plain(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(start) = rest.find(['<', '{']) {
        out.push_str(&rest[..start]);
        let tail = &rest[start..];
        if tail.starts_with('{') {
            let close = tail.find('}').map_or(tail.len(), |at| at + 1);
            let inner = tail[..close].trim_matches(['{', '}']);
            let _ = write!(out, "{{{{{}}}}}", inner.split('#').next().unwrap_or(inner));
            rest = tail[close..].trim_start_matches('}');
            continue;
        }
        // `<A as B>::c` at the start of a path is kept; `::<…>` and `Vec<…>` are arguments.
        let is_argument = out.ends_with("::") || out.ends_with(|c: char| c.is_alphanumeric());
        let close = matching(tail);
        if is_argument {
            out.truncate(out.trim_end_matches("::").len());
        } else {
            let _ = write!(out, "<{}>", plain(&tail[1..close.max(1)]));
        }
        rest = tail.get(close + 1..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

/// The index of the `>` that closes the `<` at the start. The one of an arrow `->` doesn't count.
fn matching(text: &str) -> usize {
    let mut depth = 0;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    text.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_generics_and_hashes() {
        for (name, expected) in [
            ("app::Batch<T>::stage", "app::Batch::stage"),
            ("app::run::<alloc::vec::Vec<u8>, 3>", "app::run"),
            ("app::run::{closure#0}::<u8>", "app::run::{{closure}}"),
            ("app::run::{{closure}}", "app::run::{{closure}}"),
            (
                "<app::Buf<A> as core::ops::drop::Drop>::drop",
                "<app::Buf as core::ops::drop::Drop>::drop",
            ),
            ("<fn() -> u8 as app::Call<u8>>::call", "<fn() -> u8 as app::Call>::call"),
        ] {
            assert_eq!(plain(name), expected);
        }
    }

    #[test]
    fn only_the_subjects_frames_stay() {
        for left_out in [
            "std::rt::lang_start",
            "<alloc::vec::Vec as core::ops::drop::Drop>::drop",
            "<T as core::convert::Into>::into",
            "hashbrown::raw::RawTable::reserve_rehash",
            "mallory::heap::Heap::request",
            "main",
            "__libc_start_main_impl",
            "mallory_malloc",
            "generator::detail::gen::catch_unwind_filter::{{closure}}",
            "<[u8]>::to_vec_in",
            "<u8 as <[_]>::to_vec_in::ConvertVec>::to_vec",
            "<str>::repeat",
            "<alloc::boxed::Box as core::clone::Clone>::clone",
            "<[app::X] as core::slice::cmp::SlicePartialEq>::equal",
        ] {
            assert!(is_left_out(left_out), "{left_out}");
        }
        for kept in [
            "app::stage",
            "mallory_scenarios::x",
            "generator::Draws::next",
            "loom::crossed",
            "<app::Buf as core::ops::drop::Drop>::drop",
            "<[u8] as app::Bytes>::copy",
            "<str as app::Text>::copy",
            "<alloc::boxed::Box as app::Text>::copy",
            "<alloc::vec::Vec as app::Text>::copy",
            "<<app::Text as app::Show>::show::Pen as core::fmt::Write>::write_str",
        ] {
            assert!(!is_left_out(kept), "{kept}");
        }
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
            let frame = Frame { function: function.into(), place: String::new() };
            assert_eq!(frame.short_name(), expected);
        }
    }
}
