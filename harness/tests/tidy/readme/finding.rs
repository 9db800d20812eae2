use hashbrown::HashSet;
use mallory::{Heap, Sweep};

/// Counts the different words.
fn count(heap: &Heap, words: &[&str]) -> Result<usize, hashbrown::TryReserveError> {
    let mut seen = HashSet::new_in(heap.clone());
    for word in words {
        if seen.try_reserve(1).is_err() {
            continue; // The bug: the word is skipped, and nobody is told.
        }
        seen.insert(*word);
    }
    Ok(seen.len())
}
