//! Crates that hold data: maps, vectors, buffers, arenas, graphs.

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A hasher that is the same in every run, unlike the default one.
type Fixed = BuildHasherDefault<DefaultHasher>;

const TEXT: &str = "the quick brown fox jumps over the lazy dog and the dog sleeps on as the quick \
                    fox runs along the brown river where every other fox has run before it";

pub(super) fn hashbrown() -> Result<(usize, u32, usize), hashbrown::TryReserveError> {
    let mut counts: hashbrown::HashMap<&str, u32, Fixed> = hashbrown::HashMap::default();
    for word in TEXT.split(' ') {
        counts.try_reserve(1)?;
        *counts.entry(word).or_insert(0) += 1;
    }
    let mut often: hashbrown::HashSet<&str, Fixed> = hashbrown::HashSet::default();
    often.extend(counts.iter().filter(|(_, count)| **count > 1).map(|(word, _)| *word));
    counts.retain(|word, _| !often.contains(word));
    counts.shrink_to_fit();
    Ok((often.len(), counts.values().sum(), counts.len()))
}

pub(super) fn indexmap() -> Vec<(String, usize)> {
    let mut places: indexmap::IndexMap<String, Vec<usize>, Fixed> = indexmap::IndexMap::default();
    for (place, word) in TEXT.split(' ').enumerate() {
        places.entry(word.to_owned()).or_default().push(place);
    }
    places.sort_by(|a, x, b, y| y.len().cmp(&x.len()).then_with(|| a.cmp(b)));
    places.swap_remove("fox");
    places.shift_remove("the");
    places.retain(|_, places| places[0] > 2);
    let mut other = places.clone();
    other.insert("wolf".to_owned(), vec![1]);
    other.into_iter().map(|(word, places)| (word, places.len())).collect()
}

pub(super) fn smallvec() -> Result<(Vec<u32>, bool), smallvec::CollectionAllocErr> {
    let mut numbers: smallvec::SmallVec<[u32; 8]> = smallvec::SmallVec::new();
    for number in 0..40 {
        numbers.try_reserve(1)?;
        numbers.push(number * number % 17);
    }
    numbers.insert_many(3, [100, 101, 102]);
    numbers.retain(|number| *number % 3 != 0);
    let copy = numbers.clone();
    numbers.truncate(5);
    numbers.shrink_to_fit();
    Ok((copy.into_vec(), numbers.spilled()))
}

pub(super) fn bytes() -> (Vec<usize>, Bytes) {
    let mut buffer = BytesMut::with_capacity(16);
    for word in TEXT.split(' ') {
        buffer.put_u16(word.len() as u16);
        buffer.put_slice(word.as_bytes());
    }
    let mut frames = Vec::new();
    while buffer.has_remaining() {
        let length = usize::from(buffer.get_u16());
        frames.push(buffer.split_to(length).freeze());
    }
    let shared: Vec<Bytes> = frames.iter().map(|frame| frame.slice(1..)).collect();
    drop(frames);
    let mut joined = BytesMut::new();
    shared.iter().step_by(3).for_each(|frame| joined.extend_from_slice(frame));
    let rest = joined.split_off(10);
    joined.unsplit(rest);
    (shared.iter().map(Bytes::len).collect(), joined.freeze())
}

pub(super) fn slab() -> (usize, Vec<String>) {
    let mut places = slab::Slab::new();
    let keys: Vec<usize> = TEXT.split(' ').map(|word| places.insert(word.to_owned())).collect();
    for key in keys.iter().step_by(2) {
        places.remove(*key);
    }
    let entry = places.vacant_entry();
    let next = entry.key();
    entry.insert("next".to_owned());
    places.compact(|_, _, _| true);
    (next, places.drain().collect())
}

pub(super) fn bumpalo() -> Result<(usize, u64), bumpalo::AllocErr> {
    let mut arena = bumpalo::Bump::new();
    let mut sum = 0;
    for round in 1..=2_u64 {
        for number in 0..50 {
            sum += *arena.try_alloc(number * round)?;
            sum +=
                arena.try_alloc_layout(std::alloc::Layout::new::<[u64; 9]>())?.is_aligned() as u64;
        }
        let mut words = bumpalo::collections::Vec::new_in(&arena);
        for word in TEXT.split(' ') {
            words.try_reserve(1).map_err(|_| bumpalo::AllocErr)?;
            words.push(&*arena.try_alloc_str(word)?);
        }
        sum += words.len() as u64;
        drop(words);
        arena.reset();
    }
    Ok((arena.iter_allocated_chunks().count(), sum))
}

pub(super) fn rpds() -> (usize, usize, Vec<usize>, Option<usize>) {
    let empty = rpds::HashTrieMap::new_with_hasher_and_ptr_kind(Fixed::default());
    let mut maps: Vec<rpds::HashTrieMapSync<&str, usize, Fixed>> = vec![empty];
    let mut tree = rpds::RedBlackTreeMap::new();
    let mut vector = rpds::Vector::new();
    for (place, word) in TEXT.split(' ').enumerate() {
        let last = maps.last().expect("there is one");
        maps.push(if place % 4 == 3 { last.remove(word) } else { last.insert(word, place) });
        tree.insert_mut(word, place);
        vector = vector.push_back(word.len());
    }
    let first: Option<usize> = tree.first().map(|(_, place)| *place);
    let vector = vector.drop_last().unwrap_or_default();
    let sizes = maps.iter().step_by(7).map(rpds::HashTrieMap::size).collect();
    (tree.size(), vector.len(), sizes, first)
}

pub(super) fn petgraph() -> (usize, Vec<usize>, usize) {
    let mut graph = petgraph::graph::DiGraph::<usize, u32>::new();
    let nodes: Vec<_> = (0..24).map(|number| graph.add_node(number)).collect();
    for (from, start) in nodes.iter().enumerate() {
        for (to, end) in
            nodes.iter().enumerate().skip(from + 1).filter(|(to, _)| to % (from + 1) == 0)
        {
            graph.add_edge(*start, *end, (from + to) as u32);
        }
    }
    let order = petgraph::algo::toposort(&graph, None).expect("edges lead upwards only");
    let order = order.iter().map(|node| graph[*node]).collect();
    graph.remove_node(nodes[0]);
    let components = petgraph::algo::kosaraju_scc(&graph).len();
    (components, order, graph.edge_count())
}
