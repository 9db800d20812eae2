//! The plain model: a list of strings, copied before each task.

use serde::Serialize;

use super::operation::{Failure, KEY_MAX, Op, Reply, STEPS_MAX, Step, VALUE_MAX, VALUES_MAX};
use crate::memory::bytes::Bytes;

/// The values, in the order in which they were added, and the tasks so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// Keys and values.
    pub values: Vec<(String, String)>,
    /// Tasks that were done.
    pub done: usize,
    /// Tasks of which a step failed.
    pub rolled_back: usize,
    /// Changes that were taken back.
    pub undone: usize,
}

#[derive(Serialize)]
struct Pair<'m> {
    key: &'m str,
    value: &'m str,
}

#[derive(Serialize)]
struct Report<'m> {
    done: usize,
    rolled_back: usize,
    undone: usize,
    values: Vec<Pair<'m>>,
}

type Text = Bytes<Vec<u8>>;

impl Model {
    /// Performs an operation.
    pub(super) fn handle(&mut self, op: &Op) -> Reply<Text> {
        match op {
            Op::Run(steps) if steps.len() > STEPS_MAX => Reply::TooManySteps,
            Op::Run(steps) => self.run(steps),
            Op::Get(key) => {
                Reply::Value(self.value(key).ok().map(|value| Bytes(value.as_bytes().to_vec())))
            }
            Op::Report => {
                let pair = |(key, value): &'_ (String, String)| (key.clone(), value.clone());
                let copies: Vec<_> = self.values.iter().map(pair).collect();
                let values = copies.iter().map(|(key, value)| Pair { key, value }).collect();
                let Model { done, rolled_back, undone, .. } = *self;
                let report = Report { done, rolled_back, undone, values };
                Reply::Report(Bytes(serde_json::to_vec(&report).unwrap_or_default()))
            }
            Op::Count => Reply::Counted(self.values.len()),
        }
    }

    fn run(&mut self, steps: &[Step]) -> Reply<Text> {
        let before = self.values.clone();
        let (mut output, mut changes) = (String::new(), 0);
        for (step, what) in steps.iter().enumerate() {
            match self.perform(what, &mut output) {
                Ok(()) => {
                    let is_change = !matches!(what, Step::Require { .. } | Step::Emit { .. });
                    changes += usize::from(is_change);
                }
                Err(why) => {
                    self.values = before;
                    self.rolled_back += 1;
                    self.undone += changes;
                    return Reply::RolledBack { step, why, undone: changes };
                }
            }
        }
        self.done += 1;
        Reply::Done(Bytes(output.into_bytes()))
    }

    fn perform(&mut self, step: &Step, output: &mut String) -> Result<(), Failure> {
        match step {
            Step::Set { key, .. } | Step::Rename { to: key, .. } if key.len() > KEY_MAX => {
                Err(Failure::TooLong)
            }
            Step::Set { key, value } => {
                let value = self.expanded(value)?;
                if let Some(pair) = self.values.iter_mut().find(|pair| pair.0 == *key) {
                    pair.1 = value;
                } else if self.values.len() == VALUES_MAX {
                    return Err(Failure::TooMany);
                } else {
                    self.values.push((key.clone(), value));
                }
                Ok(())
            }
            Step::Remove { key } => {
                self.value(key)?;
                self.values.retain(|pair| pair.0 != *key);
                Ok(())
            }
            Step::Rename { from, to } => {
                self.value(from)?;
                if self.value(to).is_ok() {
                    return Err(Failure::Exists);
                }
                let renamed = self.values.iter_mut().filter(|pair| pair.0 == *from);
                renamed.for_each(|pair| pair.0.clone_from(to));
                Ok(())
            }
            Step::Require { key, value } => {
                let wanted = self.expanded(value)?;
                if self.value(key)? == wanted { Ok(()) } else { Err(Failure::Differs) }
            }
            Step::Emit { text } => {
                output.push_str(&self.expanded(text)?);
                Ok(())
            }
        }
    }

    fn value(&self, key: &str) -> Result<&str, Failure> {
        let pair = self.values.iter().find(|pair| pair.0 == key);
        pair.map(|pair| pair.1.as_str()).ok_or(Failure::Unknown)
    }

    /// A template with its keys replaced, one character after the other.
    fn expanded(&self, template: &str) -> Result<String, Failure> {
        let (mut text, mut rest) = (String::new(), template.chars());
        loop {
            if rest.as_str().starts_with("${") {
                rest.nth(1);
                let key: String = rest.by_ref().take_while(|character| *character != '}').collect();
                let used = template.len() - rest.as_str().len();
                if !template[..used].ends_with('}') {
                    return Err(Failure::Template);
                }
                text.push_str(self.value(&key)?);
            } else if let Some(character) = rest.next() {
                text.push(character);
            } else {
                return Ok(text);
            }
            if text.len() > VALUE_MAX {
                return Err(Failure::TooLong);
            }
        }
    }
}
