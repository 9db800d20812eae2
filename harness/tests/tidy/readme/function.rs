use hashbrown::HashMap;
use mallory::{Heap, Sweep};

fn index(heap: &Heap, words: &[&str]) -> Result<usize, hashbrown::TryReserveError> {
    let mut seen = HashMap::new_in(heap.clone());
    for word in words {
        seen.try_reserve(1)?;
        *seen.entry(*word).or_insert(0_u32) += 1;
    }
    Ok(seen.len())
}

#[test]
fn indexing_survives_every_failed_allocation() {
    Sweep::new("index").run(|heap| index(heap, &["a", "b", "a"])).assert_clean();
}
