//! The report: every backend with its circuit and its counts, and the latest changes, as JSON.

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::breakers::{Breaker, CircuitBreakers};
use crate::memory::bytes::{Appending, refused};
use crate::services::json_writer::JsonWriter;

fn name(breaker: &Breaker) -> &str {
    std::str::from_utf8(&breaker.name).unwrap_or_default()
}

/// Writes the report; it is freed when it is dropped.
///
/// # Errors
/// [`Refused`] if there is no memory.
pub(super) fn json(breakers: &CircuitBreakers, heap: &Heap) -> Result<Vec<u8, Heap>, Refused> {
    let mut text = Vec::new_in(heap.clone());
    let mut json = JsonWriter::new(Appending(&mut text));
    let written = json.object(|json| {
        json.key("now")?;
        json.literal(breakers.now)?;
        json.key("backends")?;
        json.array(|json| {
            breakers.breakers.iter().try_for_each(|breaker| {
                json.object(|json| {
                    json.key("name")?;
                    json.string(name(breaker))?;
                    json.key("state")?;
                    json.string(breaker.circuit.state().name())?;
                    let counts = &breaker.counts;
                    let counts = [
                        ("passed", counts.passed),
                        ("failed", counts.failed),
                        ("rejected", counts.rejected),
                    ];
                    counts.into_iter().try_for_each(|(key, count)| {
                        json.key(key)?;
                        json.literal(count)
                    })
                })
            })
        })?;
        json.key("changes")?;
        json.array(|json| {
            breakers.changes.iter().try_for_each(|change| {
                json.object(|json| {
                    json.key("at")?;
                    json.literal(change.at)?;
                    json.key("backend")?;
                    json.string(name(&breakers.breakers[change.backend]))?;
                    json.key("to")?;
                    json.string(change.to.name())
                })
            })
        })
    });
    written.map_err(refused)?;
    Ok(text)
}
