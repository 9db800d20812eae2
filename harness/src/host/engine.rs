//! The engines by name, and which of them this build has.

use crate::error::Error;
#[cfg(feature = "loom")]
use crate::host::loom::{self as loom_host, Loom};
use crate::host::scheduled_run::Host;
#[cfg(feature = "shuttle")]
use crate::host::shuttle::{self as shuttle_host, Shuttle};

/// A model checker.
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

    /// Whether this build has the engine.
    pub(crate) fn is_available(self) -> bool {
        match self {
            Engine::Shuttle => cfg!(feature = "shuttle"),
            Engine::Loom => cfg!(feature = "loom"),
        }
    }

    /// The error for a caller that asks for the engine in a build without it.
    pub(crate) fn missing(self) -> Error {
        let name = self.name();
        Error::new(format!("this build has no {name}: exploring needs the feature `{name}`"))
            .help(format!("build with --features {name}"))
    }
}

/// Shuttle, if this build has it.
pub(crate) fn shuttle() -> Result<&'static dyn Host, Error> {
    #[cfg(feature = "shuttle")]
    return Ok(&Shuttle);
    #[cfg(not(feature = "shuttle"))]
    Err(Engine::Shuttle.missing())
}

/// Loom, if this build has it.
pub(crate) fn loom() -> Result<&'static dyn Host, Error> {
    #[cfg(feature = "loom")]
    return Ok(&Loom);
    #[cfg(not(feature = "loom"))]
    Err(Engine::Loom.missing())
}

/// Prepares this process for runs under its hosts: deals with the panic hooks that the engines
/// install. Has to be called before the process forks.
pub(crate) fn prepare_process() {
    #[cfg(feature = "loom")]
    loom_host::prepare_process();
    #[cfg(feature = "shuttle")]
    shuttle_host::prepare_process();
}
