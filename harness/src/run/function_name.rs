//! What a function's name says: whose it is, and how it is printed. Pure text, as the demangler
//! writes it.
//!
//! Where the debug information has only lines, as with `debug = "line-tables-only"`, a function's
//! name comes without its path. Its file then says whose it is.

use std::fmt::Write as _;
use std::path::Path;

use crate::memory::preloaded::is_preloaded;

/// The function that calls the subject: a call site ends there.
const BOUNDARY: &str = "mallory::run::boundary";

/// The function in which std starts a thread of the subject: further out there are only frames of
/// the system.
const THREAD: &str = "__rust_begin_short_backtrace";

/// The functions that call `main` and the first function of a thread.
const PROGRAM_BOUNDARIES: [&str; 8] = [
    "__libc_start_call_main",
    "__libc_start_main_impl",
    "__libc_start_main",
    "_start",
    "start_thread",
    "clone3",
    "_dl_call_fini",
    "_dl_fini",
];

/// Functions of the C library through which a program aborts.
const WAYS_TO_ABORT: [&str; 5] = ["abort", "raise", "gsignal", "pthread_kill", "kill"];

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

/// Functions of the C library whose caller gets the memory that they ask for.
const GIVES_MEMORY: [&str; 18] = [
    "strdup",
    "strndup",
    "wcsdup",
    "getline",
    "getdelim",
    "asprintf",
    "vasprintf",
    "reallocarray",
    "malloc",
    "calloc",
    "realloc",
    "aligned_alloc",
    "memalign",
    "posix_memalign",
    "getcwd",
    "realpath",
    "canonicalize_file_name",
    "get_current_dir_name",
];

/// Whether this is a function of the C library whose caller gets the memory that it asks for. Inside
/// of it each has several names, such as `__GI___strdup` and `__asprintf_chk`.
pub(crate) fn gives_memory(function: &str) -> bool {
    let mut name = function.trim_start_matches('_');
    for prefix in ["GI_", "IO_"] {
        name = name.strip_prefix(prefix).unwrap_or(name).trim_start_matches('_');
    }
    for suffix in ["_internal", "_chk"] {
        name = name.strip_suffix(suffix).unwrap_or(name);
    }
    GIVES_MEMORY.contains(&name)
}

/// Whether a call site ends at this function.
pub(crate) fn is_boundary(function: &str, file: Option<&Path>) -> bool {
    if is_preloaded() && PROGRAM_BOUNDARIES.contains(&function) {
        return true;
    }
    let is_ours = || file.is_some_and(|file| crate_of(file) == Some("mallory"));
    function.contains(BOUNDARY)
        || function.contains(THREAD)
        || BOUNDARY.rsplit("::").next() == Some(function) && is_ours()
}

/// Whether a function says nothing about the subject.
pub(crate) fn is_left_out(function: &str, file: Option<&Path>) -> bool {
    let krate = (!function.contains("::")).then(|| crate_of(file?)).flatten();
    is_left_out_name(function) || krate.is_some_and(|krate| LEFT_OUT.contains(&krate))
}

/// The crate of a file, as far as it can be one of those that are left out.
fn crate_of(file: &Path) -> Option<&'static str> {
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    if file.starts_with(ours) {
        return Some("mallory");
    }
    let text = file.to_str()?;
    if text.starts_with("/rustc/") || text.contains("/rustlib/src/rust/library/") {
        return Some("std");
    }
    // A folder of cargo's registry, or of the dependencies of std, such as `backtrace-0.3.77`.
    let folders = text.split(['/', '\\']);
    let mut named = folders.filter_map(|folder| folder.rsplit_once('-'));
    named.find_map(|(name, version)| {
        let is_version = version.starts_with(|c: char| c.is_ascii_digit());
        LEFT_OUT.into_iter().find(|krate| is_version && krate.replace('_', "-") == name)
    })
}

fn is_left_out_name(function: &str) -> bool {
    if is_of_primitive(function) || function.starts_with(HOOK) {
        return true;
    }
    if let Some((of, by)) = split_impl(function) {
        // A trait of the subject's that is implemented for a type of std's is the subject's code, as
        // is a trait of std's that is implemented for a type of the subject's.
        return is_left_out_type(of) && is_left_out_name(by);
    }
    let path = function.trim_start_matches(['<', '&', '(', ' ']);
    let path = path.strip_prefix("dyn ").unwrap_or(path);
    let krate = path.split([':', ' ', '>']).next().unwrap_or(path);
    if path.starts_with(krate) && path[krate.len()..].starts_with("::") {
        return LEFT_OUT.contains(&krate);
    }
    // A bare C symbol.
    ["_start", "rust_eh_personality"].contains(&function)
        // On the way from a program to its end.
        || is_preloaded() && WAYS_TO_ABORT.contains(&function)
        // In a program of C's it is the subject.
        || function == "main" && !is_preloaded()
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
        return is_left_out_name(of);
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
pub(crate) fn plain(name: &str) -> String {
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
            assert!(is_left_out(left_out, None), "{left_out}");
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
            assert!(!is_left_out(kept, None), "{kept}");
        }
    }

    #[test]
    fn a_name_without_a_path_is_judged_by_its_file() {
        let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/src/run/mod.rs");
        let registry = "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f";
        for (name, file, left_out) in [
            ("request", ours.to_owned(), true),
            ("trace", format!("{registry}/backtrace-0.3.77/src/backtrace/mod.rs"), true),
            ("push", format!("{registry}/allocator-api2-0.4.0/src/vec.rs"), true),
            ("write_bytes", "/rustc/1c8f/library/core/src/ptr/mod.rs".to_owned(), true),
            ("push", format!("{registry}/smallvec-1.15.0/src/lib.rs"), false),
            ("trace", "/home/me/app/src/backtrace/mod.rs".to_owned(), false),
            ("app::request", ours.to_owned(), false),
        ] {
            let file = Path::new(&file);
            assert_eq!(is_left_out(name, Some(file)), left_out, "{name} {}", file.display());
        }
        assert!(is_boundary("boundary", Some(Path::new(ours))));
        assert!(!is_boundary("boundary", Some(Path::new("/home/me/app/src/run/mod.rs"))));
    }
}
