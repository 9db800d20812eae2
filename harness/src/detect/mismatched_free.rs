//! A block of a program was freed by another form than it was requested by: one of `new[]` by `delete`,
//! or of `malloc` by `delete`. The C++ library of today may forgive it, and the next one may not.

use crate::detect::block::BadFree;
use crate::memory::form::Form;
use crate::memory::preloaded::is_preloaded;
use crate::report::evidence::{Evidence, Moment};
use crate::report::kind::Kind;

pub(crate) fn check(free: &BadFree<'_>) -> Option<Evidence> {
    if !is_preloaded() {
        return None;
    }
    let block = free.blocks.live_at(free.address, free.heap)?;
    let (requested, freed) = (Form::of(block.align)?, Form::of(free.layout.align())?);
    if requested == freed {
        return None;
    }
    Some(
        Evidence::new(Kind::MismatchedFree)
            .about(free.subject(&block))
            .step(free.role, Moment::Event(free.event))
            .note(format!("requested by `{}`, freed by `{}`", requested.request(), freed.free())),
    )
}
