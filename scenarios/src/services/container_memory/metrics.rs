//! The metrics, as numbers and as JSON.

use std::fmt::{self, Write};

use super::tracker::{Count, Owner, Tracker};
use crate::services::json_writer::JsonWriter;

/// What the manager measures of itself. Ratios are in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Live bytes.
    pub total_allocated: usize,
    /// The most live bytes.
    pub peak_allocation: usize,
    /// Containers that run.
    pub active_containers: usize,
    /// The bytes of blocks and buffers that are lent, of those that the pools keep at most.
    pub pool_utilization: usize,
    /// Blocks allocated for each operation.
    pub allocation_rate: usize,
    /// Blocks freed for each operation.
    pub deallocation_rate: usize,
    /// By owner.
    pub owners: [Count; 3],
    /// What the manager holds of its heap. Unlike the others it depends on what waits in pools and
    /// in the cache, and so on earlier faults.
    pub held: Option<Held>,
}

/// What is held of a heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Bytes.
    pub bytes: usize,
    /// The part of them that is used for nothing, in thousandths: 1 − live/held.
    pub fragmentation_ratio: usize,
}

/// So much of the whole, in thousandths.
pub(super) fn ratio(part: usize, whole: usize) -> usize {
    part.saturating_mul(1000) / whole.max(1)
}

impl Metrics {
    pub(super) fn of_tracker(tracker: &Tracker, operations: usize) -> Metrics {
        let (allocations, deallocations) = tracker.calls();
        Metrics {
            total_allocated: tracker.total().live,
            peak_allocation: tracker.total().peak,
            active_containers: 0,
            pool_utilization: 0,
            allocation_rate: ratio(allocations, operations),
            deallocation_rate: ratio(deallocations, operations),
            owners: Owner::ALL.map(|owner| tracker.of(owner)),
            held: None,
        }
    }

    /// Their names and values, as reports show them. Dropping the list frees it.
    #[must_use]
    pub fn reported(&self) -> Vec<(&'static str, u64)> {
        let held = self.held.map(|held| (held.bytes, held.fragmentation_ratio));
        let (held, fragmentation) = held.unzip();
        let numbers = [
            ("total_allocated", Some(self.total_allocated)),
            ("peak_allocation", Some(self.peak_allocation)),
            ("active_containers", Some(self.active_containers)),
            ("held", held),
            ("pool_utilization_permille", Some(self.pool_utilization)),
            ("fragmentation_permille", fragmentation),
            ("allocation_rate_permille", Some(self.allocation_rate)),
            ("deallocation_rate_permille", Some(self.deallocation_rate)),
        ];
        numbers.iter().filter_map(|(name, number)| Some((*name, (*number)? as u64))).collect()
    }

    /// Writes them as a JSON object.
    ///
    /// # Errors
    /// The output takes no more.
    pub fn write_json(&self, out: impl Write) -> fmt::Result {
        JsonWriter::new(out).object(|json| {
            let numbers = [
                ("total_allocated", self.total_allocated),
                ("peak_allocation", self.peak_allocation),
                ("active_containers", self.active_containers),
            ];
            for (key, number) in numbers {
                json.key(key)?;
                json.literal(number)?;
            }
            let ratios = [
                ("pool_utilization", Some(self.pool_utilization)),
                ("fragmentation_ratio", self.held.map(|held| held.fragmentation_ratio)),
                ("allocation_rate", Some(self.allocation_rate)),
                ("deallocation_rate", Some(self.deallocation_rate)),
            ];
            for (key, thousandths) in ratios.iter().filter_map(|(key, of)| Some((*key, (*of)?))) {
                json.key(key)?;
                json.literal(format_args!("{}.{:03}", thousandths / 1000, thousandths % 1000))?;
            }
            if let Some(held) = self.held {
                json.key("held")?;
                json.literal(held.bytes)?;
            }
            json.key("owners")?;
            json.object(|json| {
                for (owner, Count { live, peak }) in Owner::ALL.into_iter().zip(self.owners) {
                    json.key(owner.name())?;
                    json.object(|json| {
                        json.key("live")?;
                        json.literal(live)?;
                        json.key("peak")?;
                        json.literal(peak)
                    })?;
                }
                Ok(())
            })
        })
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |of: usize| (of / 10, of % 10);
        writeln!(f, "Memory metrics:")?;
        writeln!(f, "  total allocated: {} KiB", self.total_allocated / 1024)?;
        writeln!(f, "  peak allocation: {} KiB", self.peak_allocation / 1024)?;
        writeln!(f, "  active containers: {}", self.active_containers)?;
        let (whole, tenth) = percent(self.pool_utilization);
        writeln!(f, "  pool utilization: {whole}.{tenth} %")?;
        if let Some(Held { bytes, fragmentation_ratio }) = self.held {
            let (whole, tenth) = percent(fragmentation_ratio);
            writeln!(f, "  held: {} KiB, fragmentation: {whole}.{tenth} %", bytes / 1024)?;
        }
        Ok(())
    }
}
