//! Crates that hash and draw with random seeds: what they do differs from run to run, and what they
//! return doesn't.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher;

use super::TEXT;

/// Counts words in a map with this hasher, splits the map and joins it again.
fn count<S: BuildHasher + Default>() -> Vec<(String, usize)> {
    let mut counts: HashMap<String, usize, S> = HashMap::default();
    for word in TEXT.split(' ') {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    let often: HashSet<String, S> =
        counts.iter().filter(|(_, count)| **count > 1).map(|(word, _)| word.clone()).collect();
    let rare: HashMap<String, usize, S> =
        counts.extract_if(|word, _| !often.contains(word)).collect();
    counts.extend(rare);
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort();
    counts
}

pub(super) fn ahash() -> Vec<(String, usize)> {
    count::<ahash::RandomState>()
}

pub(super) fn foldhash() -> Vec<(String, usize)> {
    count::<foldhash::quality::RandomState>()
}

pub(super) fn rustc_hash() -> Vec<(String, usize)> {
    count::<rustc_hash::FxBuildHasher>()
}

pub(super) fn itertools() -> (BTreeMap<usize, Vec<String>>, String, Vec<Vec<usize>>) {
    use itertools::Itertools;

    let by_length = TEXT.split(' ').map(str::to_owned).into_group_map_by(String::len);
    let by_length = by_length.into_iter().sorted().collect();
    let counts = TEXT.split(' ').counts();
    let often = counts.into_iter().filter(|(_, count)| *count > 1).map(|(word, _)| word);
    let often = often.sorted().join(", ");
    let products = (0..3).map(|from| from..from + 2).multi_cartesian_product();
    (by_length, often, products.collect())
}

pub(super) fn rand() -> (Vec<u32>, Vec<u64>, bool) {
    use rand::seq::{IndexedRandom, SliceRandom};
    use rand::{RngExt, SeedableRng};

    let mut random = rand::rng();
    let mut numbers: Vec<u32> = (0..64).collect();
    numbers.shuffle(&mut random);
    let sample: HashSet<u32> = numbers.sample(&mut random, 16).copied().collect();
    numbers.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
    let mut seeded = rand::rngs::StdRng::seed_from_u64(7);
    let drawn = (0..8).map(|_| seeded.random_range(0..1_000)).collect();
    (numbers, drawn, sample.len() == 16)
}
