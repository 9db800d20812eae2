//! The limits: of a container, of the daemon, and of what the host leaves of that.

use super::operation::Refusal;
use super::pressure::Level;

/// The most bytes that a container is counted with, unless the configuration or its specification
/// says otherwise.
const CONTAINER_LIMIT: usize = 1 << 20;
/// The most bytes that all are counted with, unless the configuration says otherwise.
const DAEMON_LIMIT: usize = 200 << 20;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) container: usize,
    pub(super) daemon: usize,
    /// The hundredths of the daemon's limit that the host has just now.
    pub(super) percent: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { container: CONTAINER_LIMIT, daemon: DAEMON_LIMIT, percent: 100 }
    }
}

impl Limits {
    /// Takes over what is configured, and the usual limits for what isn't.
    pub(super) fn configure(&mut self, container: Option<usize>, daemon: Option<usize>) {
        self.container = container.unwrap_or(CONTAINER_LIMIT);
        self.daemon = daemon.unwrap_or(DAEMON_LIMIT);
    }

    /// The limit of a container whose specification asks for this one.
    pub(super) fn of_container(&self, asked: Option<usize>) -> usize {
        asked.map_or(self.container, |asked| asked.min(self.container))
    }

    /// The bytes that the daemon may be counted with just now.
    fn there(&self) -> usize {
        self.daemon / 100 * self.percent
    }

    /// How much pressure there is.
    pub(super) fn level(&self, live: usize) -> Level {
        Level::of(live, self.there())
    }

    /// Whether a container with this many bytes and this limit may be counted with more, while this
    /// many are live in all.
    pub(super) fn allow(
        &self,
        (bytes, limit): (usize, usize),
        live: usize,
        more: usize,
    ) -> Result<(), Refusal> {
        if bytes.saturating_add(more) > limit {
            return Err(Refusal::ContainerLimit);
        }
        if live.saturating_add(more) > self.there() { Err(Refusal::DaemonLimit) } else { Ok(()) }
    }
}
