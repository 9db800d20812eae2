//! A call site: the chain of functions from the subject to a request. It is printed with file and
//! line but compared by function paths alone, so that it survives edits and is equal in debug and
//! release.

use std::fmt::Write as _;

use crate::trace::hash_bytes;

/// One function on the way from the subject to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The function's path, without hashes and generic arguments.
    pub(crate) function: String,
    /// The line of the call, as `file:line`; empty if the debug information has none.
    pub(crate) place: String,
    /// The file of the program or the library that contains it, without its folder; empty where the
    /// subject is no whole program.
    pub(crate) module: String,
}

impl Frame {
    /// A short form of the function's path: from its type on, or the last two segments.
    pub(crate) fn short_name(&self) -> String {
        let mut short = String::new();
        for part in self.function.split_inclusive([' ', '<', '>']) {
            let path = part.trim_end_matches([' ', '<', '>']);
            let tail = &part[path.len()..];
            // A path after a `>` continues the one before it.
            let (separator, path) = path.strip_prefix("::").map_or(("", path), |path| ("::", path));
            let segments: Vec<&str> = path.split("::").collect();
            let is_type = |s: &&str| s.starts_with(|c: char| c.is_ascii_uppercase());
            let last_two = segments.len().saturating_sub(2);
            let closures = segments.iter().rev().take_while(|s| s.starts_with("{{")).count();
            let from =
                segments.iter().position(is_type).unwrap_or(last_two.saturating_sub(closures));
            let _ = write!(short, "{separator}{}{tail}", segments[from..].join("::"));
        }
        short
    }
}

/// A chain of calls, the innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) frames: Vec<Frame>,
    /// The function of the C library that a whole program called, if the request is one that it makes
    /// by itself; empty otherwise, and where it was asked for memory that the caller gets, as by
    /// `strdup`.
    pub(crate) c_call: String,
}

/// What the names of the C library's files begin with: it is divided into several.
const C_LIBRARY: [&str; 12] = [
    "libc.so",
    "libc-",
    "ld-linux",
    "libpthread",
    "libm.so",
    "libdl.so",
    "librt.so",
    "libresolv.so",
    "libnss_",
    "libnsl.so",
    "libutil.so",
    "libanl.so",
];

/// Whether a module is part of the C library.
pub(crate) fn is_c_library(module: &str) -> bool {
    C_LIBRARY.iter().any(|name| module.starts_with(name))
}

/// Whether a module is the C library's loader.
pub(crate) fn is_loader(module: &str) -> bool {
    module.starts_with("ld-linux")
}

impl Site {
    /// The hash that call sites are compared by: of the function paths alone, and without the names of
    /// their crates. A module that several test programs contain is the same in each.
    pub(crate) fn key(&self) -> u64 {
        let functions: Vec<String> =
            self.frames.iter().map(|frame| without_crates(&frame.function)).collect();
        hash_bytes(functions.join("\n").as_bytes())
    }

    /// The same of its innermost functions alone.
    pub(crate) fn innermost(&self, count: usize) -> u64 {
        let frames = self.frames.iter().take(count).cloned().collect();
        Site { frames, ..Site::default() }.key()
    }

    /// The upper 24 bits of the key, as tokens hold them.
    pub(crate) fn short(&self) -> u32 {
        (self.key() >> 40) as u32
    }

    /// Whether the path of one of its functions contains this text.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.frames.iter().any(|frame| frame.function.contains(text))
    }

    /// Whether only the C library takes part in it.
    pub(crate) fn is_c_library_alone(&self) -> bool {
        let is_empty = self.frames.is_empty() && self.c_call.is_empty();
        !is_empty && self.frames.iter().all(|frame| is_c_library(&frame.module))
    }

    /// Whether both are in the same call of a function of the C library's.
    pub(crate) fn is_in_same_c_call(&self, other: &Site) -> bool {
        let callers = |site: &Site| -> Vec<Frame> {
            let of_caller = |frame: &&Frame| !is_c_library(&frame.module);
            site.frames.iter().filter(of_caller).cloned().collect()
        };
        !self.c_call.is_empty() && self.c_call == other.c_call && callers(self) == callers(other)
    }

    /// The same of its functions and their modules.
    pub(crate) fn passes_through(&self, text: &str) -> bool {
        self.mentions(text) || self.frames.iter().any(|frame| frame.module.contains(text))
    }
}

/// A function's path without the names of crates: the first segment of each path in it.
fn without_crates(function: &str) -> String {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut short = String::with_capacity(function.len());
    let mut rest = function;
    // Whether a path begins here, and doesn't continue one, as after the `>` of a type.
    let mut begins = true;
    while let Some(first) = rest.chars().next() {
        let is_word = is_name(first);
        let end = rest.find(|c| is_name(c) != is_word).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        if is_word
            && begins
            && let Some(path) = after.strip_prefix("::")
        {
            rest = path;
            begins = false;
        } else {
            short.push_str(piece);
            begins = !is_word && !piece.ends_with("::");
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_has_the_same_key_in_whatever_crate_it_is() {
        for (function, short) in [
            ("props::queue::Queue::push", "queue::Queue::push"),
            (
                "<props::queue::Queue as mallory::system::System>::apply",
                "<queue::Queue as system::System>::apply",
            ),
            ("alloc::vec::Vec<props::Op, A>::push", "vec::Vec<Op, A>::push"),
            ("props::main::{{closure}}::{{closure}}", "main::{{closure}}::{{closure}}"),
            ("<impl core::fmt::Debug for [props::Op]>::fmt", "<impl fmt::Debug for [Op]>::fmt"),
            ("png_read_row", "png_read_row"),
            ("", ""),
        ] {
            assert_eq!(without_crates(function), short, "{function}");
        }
        let site = |function: &str| {
            let frame = Frame { function: function.to_owned(), ..Frame::default() };
            Site { frames: vec![frame], ..Site::default() }.key()
        };
        assert_eq!(site("props::queue::Queue::push"), site("scripts::queue::Queue::push"));
        assert_ne!(site("props::queue::Queue::push"), site("props::stack::Queue::push"));
    }
}
