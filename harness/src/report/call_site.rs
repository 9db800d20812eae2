//! A call site: the chain of functions from the subject to a request. It is printed with file and
//! line but compared by function paths alone, so that it survives edits and is equal in debug and
//! release.

use std::fmt::Write as _;

use crate::trace::hash_bytes;

/// One function on the way from the subject to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The function's path, without hashes and generic arguments.
    pub(crate) function: String,
    /// The line of the call, as `file:line`; empty if the debug information has none.
    pub(crate) place: String,
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
}

impl Site {
    /// The hash that call sites are compared by: of the function paths alone.
    pub(crate) fn key(&self) -> u64 {
        let functions: Vec<&str> = self.frames.iter().map(|f| f.function.as_str()).collect();
        hash_bytes(functions.join("\n").as_bytes())
    }

    /// The upper 24 bits of the key, as tokens hold them.
    pub(crate) fn short(&self) -> u32 {
        (self.key() >> 40) as u32
    }

    /// Whether the path of one of its functions contains this text.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.frames.iter().any(|frame| frame.function.contains(text))
    }
}
