//! Hosts: loops that own us. A model checker calls the subject, once for each schedule, and asks
//! which of its threads goes on.

#[cfg(feature = "shuttle")]
mod shuttle;

use std::cell::RefCell;
use std::rc::Rc;

use crate::error::Error;
use crate::explore::schedule::Search;
use crate::run::{Conducted, Conductor};

/// Something that is run once for each schedule of a search.
pub(crate) trait Piece {
    /// Before a schedule's threads begin.
    fn begin(&mut self);

    /// What its first thread does.
    fn body(&mut self);

    /// After the last of its threads. False: that is enough.
    fn end(&mut self, conducted: Conducted, search: &Search) -> bool;
}

/// Who runs threads one at a time, and asks a search whose turn it is.
pub(crate) trait Host: Conductor {
    /// Runs a piece for each schedule of the search.
    fn search(&self, search: Rc<RefCell<Search>>, piece: &mut dyn Piece);
}

/// Who lets the threads take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Shuttle,
    Loom,
}

impl Engine {
    pub(crate) const ALL: [Engine; 2] = [Engine::Shuttle, Engine::Loom];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Shuttle => "shuttle",
            Engine::Loom => "loom",
        }
    }

    /// Whether this build has it.
    pub(crate) fn is_there(self) -> bool {
        match self {
            Engine::Shuttle => cfg!(feature = "shuttle"),
            Engine::Loom => cfg!(feature = "loom"),
        }
    }

    /// What is wrong where it isn't there.
    pub(crate) fn missing(self) -> Error {
        let name = self.name();
        Error::new(format!("this build has no {name}: exploring needs the feature `{name}`"))
            .mend(format!("build with --features {name}"))
    }
}

/// Shuttle, where this build has it.
pub(crate) fn shuttle() -> Result<&'static dyn Host, Error> {
    #[cfg(feature = "shuttle")]
    return Ok(&shuttle::Shuttle);
    #[cfg(not(feature = "shuttle"))]
    Err(Engine::Shuttle.missing())
}

/// Readies this process for runs under a host. Before any fork.
pub(crate) fn settle() {
    #[cfg(feature = "shuttle")]
    shuttle::settle();
}
