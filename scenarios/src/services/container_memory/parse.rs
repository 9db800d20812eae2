//! Reads specifications and configurations: lines of `key=value`. What is found is named by its place
//! in the text, so that it can be kept beside a copy of it.

use std::ops::Range;

use allocator_api2::vec::Vec;
use mallory::Refused;

use super::operation::ENV_MAX;
use crate::memory::RequestArena;
use crate::memory::bytes::try_push;

/// No value is longer than this.
pub(super) const VALUE_MAX: usize = 512;

/// A container's specification.
#[derive(Clone, Debug, Default)]
pub(super) struct Spec {
    pub(super) image: Range<usize>,
    /// The most bytes that it may hold, if it says so.
    pub(super) limit: Option<usize>,
    env: [Range<usize>; ENV_MAX],
    env_count: usize,
}

impl Spec {
    /// The places of its variables.
    pub(super) fn env(&self) -> &[Range<usize>] {
        &self.env[..self.env_count]
    }
}

/// The daemon's configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) name: Range<usize>,
    pub(super) container_limit: Option<usize>,
    pub(super) daemon_limit: Option<usize>,
}

/// Where a part of a text begins and ends.
fn place(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    start..start + part.len()
}

fn number(value: &str) -> Option<usize> {
    value.parse::<u32>().ok().filter(|number| *number != 0).map(|number| number as usize)
}

/// Reads each line by `read`, which returns whether it understands the line. All lines that it
/// doesn't are collected in the arena; returns the first, from 1.
fn lines(
    text: &str,
    arena: &RequestArena,
    mut read: impl FnMut(&str, &str) -> bool,
) -> Result<Option<usize>, Refused> {
    let mut wrong = Vec::new_in(arena.scope());
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty()) {
        let is_read = line.split_once('=').is_some_and(|(key, value)| {
            !value.is_empty() && value.len() <= VALUE_MAX && read(key, value)
        });
        if !is_read {
            try_push(&mut wrong, number)?;
        }
    }
    Ok(wrong.first().copied())
}

/// Reads a specification; the inner error is the line that is wrong, or 0 if the image is missing.
pub(super) fn spec(text: &str, arena: &RequestArena) -> Result<Result<Spec, usize>, Refused> {
    let mut spec = Spec::default();
    let wrong = lines(text, arena, |key, value| match key {
        "image" if spec.image.is_empty() => {
            spec.image = place(text, value);
            true
        }
        "limit" => {
            spec.limit = number(value);
            spec.limit.is_some()
        }
        "env" if value.contains('=') && spec.env_count < ENV_MAX => {
            spec.env[spec.env_count] = place(text, value);
            spec.env_count += 1;
            true
        }
        _ => false,
    })?;
    let missing = spec.image.is_empty().then_some(0);
    Ok(wrong.or(missing).map_or(Ok(spec), Err))
}

/// Reads a configuration; the inner error is the line that is wrong.
pub(super) fn settings(
    text: &str,
    arena: &RequestArena,
) -> Result<Result<Settings, usize>, Refused> {
    let mut settings = Settings::default();
    let wrong = lines(text, arena, |key, value| match key {
        "name" => {
            settings.name = place(text, value);
            true
        }
        "container_limit" => {
            settings.container_limit = number(value);
            settings.container_limit.is_some()
        }
        "daemon_limit" => {
            settings.daemon_limit = number(value);
            settings.daemon_limit.is_some()
        }
        _ => false,
    })?;
    Ok(wrong.map_or(Ok(settings), Err))
}
