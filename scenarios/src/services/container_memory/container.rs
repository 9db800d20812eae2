//! A container, and what it is counted with.

use crate::memory::blocks::{BUFFER_BYTES, STRING_BLOCK};
use crate::memory::{Buffer, PoolString, Pooled};

use super::operation::{ENV_MAX, State};
use super::tracker::{Owner, Tracker};

/// How many buffers a log has; the oldest is used again for the newest text.
pub const LOG_BUFFERS: usize = 4;

/// The bytes of a container without its texts.
pub const CONTAINER_BYTES: usize = size_of::<Container>();

pub(super) struct Container {
    pub(super) id: PoolString,
    pub(super) image: PoolString,
    pub(super) env: [Option<PoolString>; ENV_MAX],
    /// The name of its network interface, while it runs.
    pub(super) interface: Option<PoolString>,
    /// Its log, the oldest buffer first.
    pub(super) log: [Option<Pooled<Buffer>>; LOG_BUFFERS],
    pub(super) state: State,
    pub(super) address: u8,
    pub(super) group: u8,
    /// The most bytes that it may be counted with.
    pub(super) limit: usize,
}

/// The bytes of the block that a text of a pool is in.
pub(super) fn block_bytes(length: usize) -> usize {
    length.max(STRING_BLOCK)
}

impl Container {
    /// The blocks of what it has from its creation to its end.
    pub(super) fn blocks(&self) -> impl Iterator<Item = usize> {
        let texts = [&self.id, &self.image].into_iter().chain(self.env.iter().flatten());
        std::iter::once(CONTAINER_BYTES).chain(texts.map(|text| block_bytes(text.len())))
    }

    /// The bytes that it is counted with.
    fn bytes(&self) -> usize {
        let interface = self.interface.iter().map(|text| block_bytes(text.len()));
        self.blocks().chain(interface).sum::<usize>() + self.log_buffers() * BUFFER_BYTES
    }

    /// The bytes that it is counted with, and its limit.
    pub(super) fn load(&self) -> (usize, usize) {
        (self.bytes(), self.limit)
    }

    pub(super) fn log_buffers(&self) -> usize {
        self.log.iter().flatten().count()
    }

    /// The bytes that are in its log.
    pub(super) fn log_bytes(&self) -> usize {
        self.log.iter().flatten().map(|buffer| buffer.len()).sum()
    }

    /// How many bytes there is room for in the newest buffer.
    pub(super) fn log_room(&self) -> usize {
        self.log.iter().flatten().last().map_or(0, |buffer| BUFFER_BYTES - buffer.len())
    }

    /// Appends to its log, with these buffers once the newest one is full.
    pub(super) fn append(
        &mut self,
        mut text: &[u8],
        buffers: &mut impl Iterator<Item = Pooled<Buffer>>,
        tracker: &mut Tracker,
    ) {
        while !text.is_empty() {
            if self.log_room() == 0 {
                let Some(buffer) = buffers.next() else { return };
                let place = self.log_buffers();
                if place == LOG_BUFFERS {
                    self.log.rotate_left(1);
                    tracker.freed(Owner::Network, BUFFER_BYTES);
                }
                self.log[place.min(LOG_BUFFERS - 1)] = Some(buffer);
                tracker.allocated(Owner::Network, BUFFER_BYTES);
            }
            let Some(newest) = self.log.iter_mut().flatten().last() else { return };
            text = newest.fill(text);
        }
    }

    /// Drops its log; returns how many bytes were in it.
    pub(super) fn drop_log(&mut self, tracker: &mut Tracker) -> usize {
        let bytes = self.log_bytes();
        for buffer in &mut self.log {
            if buffer.take().is_some() {
                tracker.freed(Owner::Network, BUFFER_BYTES);
            }
        }
        bytes
    }
}
