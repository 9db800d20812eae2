//! Templates: texts in which `${key}` is the value of that key.

use allocator_api2::vec::Vec;

use super::operation::{Failure, Stopped, VALUE_MAX};
use super::values::Values;
use crate::memory::bytes::try_extend;
use crate::memory::context::Scope;

/// The text that a template describes, in the arena of the present step.
pub(super) fn expand<'a>(
    template: &str,
    values: &Values,
    scope: Scope<'a>,
) -> Result<Vec<u8, Scope<'a>>, Stopped> {
    let mut text = Vec::new_in(scope);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        append(&mut text, before.as_bytes())?;
        let (key, behind) = after.split_once('}').ok_or(Failure::Template)?;
        append(&mut text, values.get(key)?)?;
        rest = behind;
    }
    append(&mut text, rest.as_bytes())?;
    Ok(text)
}

fn append(text: &mut Vec<u8, Scope<'_>>, more: &[u8]) -> Result<(), Stopped> {
    if text.len() + more.len() > VALUE_MAX {
        return Err(Failure::TooLong.into());
    }
    Ok(try_extend(text, more)?)
}
