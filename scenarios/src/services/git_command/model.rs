//! The plain model: std's collections, and a reader of the recording of its own.

use std::collections::BTreeMap;

use super::executor::{OUTPUT_MAX, SAID_MAX};
use super::invocation::Mistake;
use super::operation::{Op, Reply};
use super::runner::{Ending, RunnerError};
use crate::memory::bytes::Bytes;
use crate::services::git_log::Digest;

/// What is set, and what was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// The variables that were set.
    pub settings: BTreeMap<String, String>,
    /// Commands that were started.
    pub started: u64,
    /// Those of them that failed.
    pub failed: u64,
}

type ModelReply = Reply<Bytes<Vec<u8>>>;

/// What the recorded git did.
struct Answer {
    ending: Ending,
    output: Vec<u8>,
    error: Vec<u8>,
}

/// Looks a command up in a recording: the words before the ending identify it.
fn look_up(recording: &[u8], settings: &[String], arguments: &[&str]) -> Option<Answer> {
    let mut wanted: Vec<String> = vec!["run".to_owned()];
    wanted.extend(settings.iter().map(|setting| format!("set {setting}")));
    wanted.extend(arguments.iter().map(|argument| format!("arg {argument}")));
    let mut rest = recording;
    let mut head = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').expect("lines have ends");
        let line = String::from_utf8(rest[..end].to_vec()).expect("text");
        rest = &rest[end + 1..];
        let ending = match line.split_once(' ') {
            Some(("exit", status)) => Ending::Exited(status.parse().expect("a status")),
            Some(("killed", signal)) => Ending::Killed(signal.parse().expect("a signal")),
            _ => {
                head.push(line);
                continue;
            }
        };
        let mut block = || {
            let end = rest.iter().position(|byte| *byte == b'\n').expect("lines have ends");
            let line = std::str::from_utf8(&rest[..end]).expect("text");
            let length: usize = line[4..].parse().expect("a length");
            let bytes = rest[end + 1..][..length].to_vec();
            rest = &rest[end + 1 + length + 1..];
            bytes
        };
        let (output, error) = (block(), block());
        if std::mem::take(&mut head) == wanted {
            return Some(Answer { ending, output, error });
        }
    }
    None
}

impl Model {
    /// Performs an operation, as the git of this recording would.
    pub(super) fn handle(&mut self, op: &Op, recording: &[u8]) -> ModelReply {
        match op {
            Op::Set { name, value } => {
                let settable = ["ADVICE", "DIFF_OPTS", "ICASE_PATHSPECS", "LITERAL_PATHSPECS"];
                let known = name
                    .strip_prefix("GIT_")
                    .is_some_and(|rest| settable.contains(&rest) || rest == "NO_REPLACE_OBJECTS");
                if !known {
                    return Reply::Rejected(Mistake::Name);
                }
                if value.len() > 4096 || value.contains('\0') {
                    return Reply::Rejected(Mistake::Text);
                }
                self.settings.insert(name.clone(), value.clone());
                Reply::Set
            }
            Op::Unset { name } => Reply::Unset(self.settings.remove(name).is_some()),
            Op::Output { cap, .. } if *cap > OUTPUT_MAX => Reply::Rejected(Mistake::Cap),
            Op::Output { arguments, cap } => {
                self.run(&borrowed(arguments), recording, |output| match output.len() <= *cap {
                    true => Reply::Output(Bytes(output.to_vec())),
                    false => Reply::TooMuch,
                })
            }
            Op::Digest { arguments } => self.run(&borrowed(arguments), recording, |output| {
                Reply::Digest { length: output.len(), digest: Digest::of(output) }
            }),
            Op::Commits { revision } => {
                let arguments =
                    ["log", "--raw", "--no-abbrev", "--end-of-options", &revision[..], "--"];
                self.run(&arguments, recording, |output| {
                    let text = std::str::from_utf8(output).expect("a recording is text");
                    let begin = |with| text.lines().filter(|line| line.starts_with(with)).count();
                    Reply::Commits { commits: begin("commit "), changes: begin(":") }
                })
            }
            Op::Count => Reply::Count { started: self.started, failed: self.failed },
        }
    }

    fn run(
        &mut self,
        arguments: &[&str],
        recording: &[u8],
        reply: impl Fn(&[u8]) -> ModelReply,
    ) -> ModelReply {
        let name = arguments.first().copied().unwrap_or_default();
        let is_name = name.chars().all(|c| c == '-' || c.is_ascii_lowercase());
        if name.is_empty() || name.starts_with('-') || !is_name {
            return Reply::Rejected(Mistake::NoCommand);
        }
        if arguments.len() > 64 {
            return Reply::Rejected(Mistake::TooMany);
        }
        if arguments.iter().any(|argument| argument.len() > 4096 || argument.contains('\0')) {
            return Reply::Rejected(Mistake::Text);
        }
        let settings: Vec<String> =
            self.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let reply = match look_up(recording, &settings, arguments) {
            None => Reply::Unfinished(RunnerError::NotStarted(std::io::ErrorKind::NotFound)),
            Some(Answer { ending, output, mut error }) => match (reply(&output), ending) {
                (Reply::TooMuch, _) => Reply::TooMuch,
                (reply, Ending::Exited(0)) => reply,
                (_, ending) => {
                    error.truncate(SAID_MAX);
                    Reply::Failed { ending, said: Bytes(error) }
                }
            },
        };
        self.started += 1;
        let failed = matches!(reply, Reply::Failed { .. } | Reply::TooMuch | Reply::Unfinished(_));
        self.failed += u64::from(failed);
        reply
    }
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}
