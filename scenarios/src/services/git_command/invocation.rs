//! An invocation of git: its arguments and its environment, as copies in a command's arena.

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::executor::Setting;
use crate::memory::bytes::{try_copy, try_push, try_with_capacity};

/// The variables that every git gets: the machine's and the user's configuration, their language and
/// their clock don't matter, and nobody is asked anything.
pub const FIXED: [(&str, &str); 8] = [
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("HOME", "/nonexistent"),
    ("LC_ALL", "C"),
    ("TZ", "UTC"),
];

/// The variables that may be set: none of them names a program or a file.
const SETTABLE: [&str; 5] = [
    "GIT_ADVICE",
    "GIT_DIFF_OPTS",
    "GIT_ICASE_PATHSPECS",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NO_REPLACE_OBJECTS",
];

/// No command has more arguments.
const ARGUMENTS_MAX: usize = 64;
/// No argument and no value is longer.
const LENGTH_MAX: usize = 4096;

/// Why something is not done at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The first argument is no command. Options that come before a command could choose another
    /// repository or another configuration.
    NoCommand,
    /// There are too many arguments.
    TooMany,
    /// A text is too long, or has a zero in it.
    Text,
    /// The variable can't be set.
    Name,
    /// More output is asked for than is ever kept.
    Cap,
}

fn is_text(text: &str) -> bool {
    text.len() <= LENGTH_MAX && !text.contains('\0')
}

/// What is wrong with the arguments of a command, if anything is.
pub(super) fn mistake_in<T: AsRef<str>>(arguments: &[T]) -> Option<Mistake> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    let is_command = |name: &str| {
        name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
            && name.bytes().all(is_letter)
    };
    if !arguments.first().is_some_and(|name| is_command(name.as_ref())) {
        return Some(Mistake::NoCommand);
    }
    if arguments.len() > ARGUMENTS_MAX {
        return Some(Mistake::TooMany);
    }
    (!arguments.iter().all(|argument| is_text(argument.as_ref()))).then_some(Mistake::Text)
}

/// What is wrong with a variable, if anything is.
pub(super) fn mistake_in_setting(name: &str, value: &str) -> Option<Mistake> {
    if !SETTABLE.contains(&name) {
        return Some(Mistake::Name);
    }
    (!is_text(value)).then_some(Mistake::Text)
}

type ArenaText<'a> = Vec<u8, &'a Heap>;

/// What git is started with.
#[derive(Debug)]
pub struct Invocation<'a> {
    arguments: Vec<ArenaText<'a>, &'a Heap>,
    /// Names and values: first the fixed ones, then what was set, in the order of the names.
    environment: Vec<[ArenaText<'a>; 2], &'a Heap>,
}

impl<'a> Invocation<'a> {
    /// A command with these settings, copied into the arena.
    pub(super) fn new<T: AsRef<str>>(
        arena: &'a Heap,
        arguments: &[T],
        settings: &[Setting],
    ) -> Result<Self, Refused> {
        let copy = |text: &str| try_copy(text.as_bytes(), arena);
        let mut copies = try_with_capacity(arguments.len(), arena)?;
        for argument in arguments {
            try_push(&mut copies, copy(argument.as_ref())?)?;
        }
        let mut environment = try_with_capacity(FIXED.len() + settings.len(), arena)?;
        let set = settings.iter().map(|setting| (setting.name(), setting.value()));
        for (name, value) in FIXED.into_iter().chain(set) {
            try_push(&mut environment, [copy(name)?, copy(value)?])?;
        }
        Ok(Invocation { arguments: copies, environment })
    }

    /// The arguments, which the invocation lends: a command, and what is its own.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().map(|argument| text(argument))
    }

    /// The whole environment by names and values, which the invocation lends.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|[name, value]| (text(name), text(value)))
    }

    /// The part of the environment that was set, lent in the same way.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment().skip(FIXED.len())
    }
}

/// Bytes that were copied from a text.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
