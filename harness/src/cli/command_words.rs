//! The words of a command as text.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// How runs of a program are made, in words.
pub(crate) const EACH: &str = ", each in a fork at the entry of main";

/// A word as a shell reads it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A command as a shell reads it.
pub(crate) fn line(words: &[OsString]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(&word.to_string_lossy())).collect();
    words.join(" ")
}

/// The name of a sweep of this program: its file's name, as far as names may have its characters.
pub(crate) fn name_of(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let plain = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' });
    let name: String = plain.collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "program".to_owned() } else { name.chars().take(40).collect() }
}
