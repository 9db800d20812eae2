//! The forms by which C and C++ request and free a block of a preloaded program: a block of one form
//! is not to be freed by another. A block's form is written down as its alignment, which none of them
//! asks for: every such block is aligned to 16 bytes anyway.

use crate::memory::preloaded::is_preloaded;

/// How a block was requested, or is freed. The preloaded library names it.
#[cfg_attr(not(feature = "preload"), allow(unreachable_pub, reason = "public to that library"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `malloc` and its kin, and `free`.
    Malloc,
    /// `new` and `delete`.
    New,
    /// `new[]` and `delete[]`.
    NewArray,
}

/// The alignment from which on a block was requested with one, and has no form.
#[cfg(feature = "preload")]
const ALIGNED: usize = 16;

impl Form {
    /// The alignment by which the ledger knows it.
    #[cfg(feature = "preload")]
    pub(crate) fn align(self) -> usize {
        match self {
            Form::Malloc => 1,
            Form::New => 2,
            Form::NewArray => 4,
        }
    }

    /// The alignment of a block of this form that was requested with that one.
    #[cfg(feature = "preload")]
    pub(crate) fn aligned(self, align: usize) -> usize {
        if align > ALIGNED { align } else { self.align() }
    }

    /// The form of a block of this alignment; `None` if it was requested with one.
    pub(crate) fn of(align: usize) -> Option<Form> {
        match align {
            1 => Some(Form::Malloc),
            2 => Some(Form::New),
            4 => Some(Form::NewArray),
            _ => None,
        }
    }

    /// What requests such a block.
    pub(crate) fn request(self) -> &'static str {
        match self {
            Form::Malloc => "malloc",
            Form::New => "new",
            Form::NewArray => "new[]",
        }
    }

    /// What frees such a block.
    pub(crate) fn free(self) -> &'static str {
        match self {
            Form::Malloc => "free",
            Form::New => "delete",
            Form::NewArray => "delete[]",
        }
    }
}

/// The alignment that a block was asked for: 0 if it has a form instead.
pub(crate) fn asked_align(align: usize) -> usize {
    if is_preloaded() && Form::of(align).is_some() { 0 } else { align }
}
