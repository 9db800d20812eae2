//! A call site: the chain of functions from the subject to a request. It is printed with file and
//! line and compared without, so that it survives an edit elsewhere and is equal in debug and release.

use crate::trace::hash_bytes;
use std::fmt::Write as _;

/// One function on the way from the subject to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The function's path, without hashes and generic arguments.
    pub(crate) function: String,
    /// Where in it, as `file:line`; empty where the debug information doesn't say.
    pub(crate) place: String,
}

impl Frame {
    /// The function as a person would say it: from its type on, or its last two segments.
    pub(crate) fn short_name(&self) -> String {
        let mut short = String::new();
        for part in self.function.split_inclusive([' ', '<', '>']) {
            let path = part.trim_end_matches([' ', '<', '>']);
            let tail = &part[path.len()..];
            // What goes on after a `>` belongs to what stands before it.
            let (goes_on, path) = path.strip_prefix("::").map_or(("", path), |path| ("::", path));
            let segments: Vec<&str> = path.split("::").collect();
            let is_type = |s: &&str| s.starts_with(|c: char| c.is_ascii_uppercase());
            let last_two = segments.len().saturating_sub(2);
            let closures = segments.iter().rev().take_while(|s| s.starts_with("{{")).count();
            let from =
                segments.iter().position(is_type).unwrap_or(last_two.saturating_sub(closures));
            let _ = write!(short, "{goes_on}{}{tail}", segments[from..].join("::"));
        }
        short
    }
}

/// A chain of calls, the innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) frames: Vec<Frame>,
}

impl Site {
    /// What sites are compared by.
    pub(crate) fn key(&self) -> u64 {
        let functions: Vec<&str> = self.frames.iter().map(|f| f.function.as_str()).collect();
        hash_bytes(functions.join("\n").as_bytes())
    }

    /// 24 bits of the key, as they stand in tokens.
    pub(crate) fn short(&self) -> u32 {
        (self.key() >> 40) as u32
    }

    /// Whether one of the functions' paths has this text in it.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.frames.iter().any(|frame| frame.function.contains(text))
    }
}
