//! Crates that hold data: vectors, maps, sets, arenas, ropes.

use super::TEXT;

pub(super) fn arrayvec() -> (Vec<String>, String, bool) {
    let mut words: arrayvec::ArrayVec<String, 40> = TEXT.split(' ').map(str::to_owned).collect();
    let mut title = arrayvec::ArrayString::<24>::new();
    for word in words.drain(3..9) {
        if title.try_push_str(&word).is_err() {
            break;
        }
    }
    words.retain(|word| word.len() > 3);
    let copy = words.clone();
    words.truncate(2);
    (copy.to_vec(), title.to_string(), words.try_insert(1, "last".to_owned()).is_ok())
}

pub(super) fn bitvec() -> (usize, Vec<usize>, Vec<u16>) {
    use bitvec::prelude::*;

    let mut sieve: BitVec<u32, Lsb0> = BitVec::repeat(true, 400);
    sieve[..2].fill(false);
    for number in 2..20 {
        if sieve[number] {
            (number * number..400).step_by(number).for_each(|multiple| sieve.set(multiple, false));
        }
    }
    let primes: Vec<usize> = sieve.iter_ones().skip(60).collect();
    let mut packed = BitVec::<u8, Msb0>::new();
    for number in 0..30_u16 {
        packed.extend_from_bitslice(&number.view_bits::<Lsb0>()[..11]);
    }
    let read = packed.chunks(11).map(|chunk| chunk.iter().by_vals().map(u16::from).sum());
    let twice = sieve.clone() & sieve.repeat(1);
    (twice.count_ones(), primes, read.collect())
}

pub(super) fn fixedbitset() -> (usize, Vec<usize>) {
    let mut seen = fixedbitset::FixedBitSet::new();
    for number in 0..40 {
        seen.grow_and_insert(number * number % 211);
    }
    let even: fixedbitset::FixedBitSet = (0..300).step_by(2).collect();
    let mut both = seen.clone();
    both.intersect_with(&even);
    seen.union_with(&even);
    let rest: fixedbitset::FixedBitSet = seen.difference(&both).collect();
    (rest.count_ones(..), both.ones().collect())
}

pub(super) fn im() -> (usize, Vec<(String, usize)>, Vec<u32>) {
    let mut versions = vec![im::HashMap::new()];
    for word in TEXT.split(' ') {
        let last = versions.last().expect("there is one");
        let count = last.get(word).copied().unwrap_or(0_usize);
        versions.push(last.update(word.to_owned(), count + 1));
    }
    let counted = versions.pop().expect("there is one");
    let ordered: im::OrdMap<String, usize> = counted.iter().map(|(w, c)| (w.clone(), *c)).collect();
    let mut numbers: im::Vector<u32> = (0..200).collect();
    let back = numbers.split_off(90);
    numbers.insert(10, 1000);
    let all = back + numbers;
    let chosen = all.iter().step_by(29).copied().collect();
    (versions.len(), ordered.into_iter().collect(), chosen)
}

pub(super) fn lru() -> (Vec<(String, usize)>, usize) {
    let capacity = std::num::NonZeroUsize::new(6).expect("not zero");
    let mut cache = lru::LruCache::new(capacity);
    let mut hits = 0;
    for word in TEXT.split(' ') {
        match cache.get_mut(word) {
            Some(count) => {
                *count += 1;
                hits += 1;
            }
            None => drop(cache.push(word.to_owned(), 1_usize)),
        }
    }
    cache.pop("fox");
    cache.resize(std::num::NonZeroUsize::new(4).expect("not zero"));
    (cache.iter().map(|(word, count)| (word.clone(), *count)).collect(), hits)
}

pub(super) fn roaring() -> (u64, u64, Vec<u32>, bool) {
    let mut first: roaring::RoaringBitmap = (0..200_000).step_by(9).collect();
    let second: roaring::RoaringBitmap = (100_000..140_000).chain([1 << 20, 1 << 30]).collect();
    first.insert_range(70_000..70_500);
    let both = &first & &second;
    let either = &first | &second;
    let mut bytes = Vec::new();
    either.serialize_into(&mut bytes).expect("into memory");
    let read = roaring::RoaringBitmap::deserialize_from(&*bytes).expect("it was written so");
    let far: Vec<u32> = (&second - &first).iter().rev().take(3).collect();
    (both.len(), either.len(), far, read == either)
}

pub(super) fn ropey() -> (usize, String, String) {
    let mut rope = ropey::Rope::new();
    for number in 0..120 {
        rope.insert(rope.len_chars() / 2, &format!("line {number} of the text: {TEXT}\n"));
    }
    let copy = rope.clone();
    rope.remove(1_000..9_000);
    let line = rope.line(rope.len_lines() / 2).to_string();
    let after = rope.split_off(rope.len_chars() - 700);
    rope.append(copy.slice(40..90).into());
    (rope.len_bytes(), line, after.slice(..20).to_string())
}

pub(super) fn slotmap() -> (usize, Vec<String>, Vec<usize>) {
    let mut places = slotmap::SlotMap::new();
    let mut lengths = slotmap::SecondaryMap::new();
    let keys: Vec<slotmap::DefaultKey> =
        TEXT.split(' ').map(|word| places.insert(word.to_owned())).collect();
    for key in &keys {
        lengths.insert(*key, places[*key].len());
    }
    for key in keys.iter().step_by(3) {
        places.remove(*key);
    }
    let again = places.insert("again".to_owned());
    lengths.retain(|key, _| places.contains_key(key));
    let gone = keys.iter().filter(|key| places.get(**key).is_none()).count();
    lengths.insert(again, 5);
    (gone, places.values().cloned().collect(), lengths.values().copied().collect())
}

pub(super) fn thin_vec() -> (Vec<String>, usize, usize) {
    let mut words: thin_vec::ThinVec<String> = TEXT.split(' ').map(str::to_owned).collect();
    words.insert(4, "inserted".to_owned());
    words.swap_remove(0);
    let tail = words.split_off(words.len() - 6);
    words.retain(|word| word != "the");
    words.dedup();
    words.shrink_to_fit();
    let nested: thin_vec::ThinVec<thin_vec::ThinVec<u8>> =
        words.iter().map(|word| word.bytes().collect()).collect();
    (tail.into_iter().rev().collect(), words.len(), nested.iter().map(thin_vec::ThinVec::len).sum())
}

pub(super) fn tinyvec() -> (Vec<u32>, Vec<String>, bool) {
    let mut numbers: tinyvec::TinyVec<[u32; 8]> = tinyvec::TinyVec::new();
    for number in 0..50 {
        numbers.push(number * number % 23);
    }
    numbers.insert(3, 100);
    numbers.retain(|number| number % 3 != 0);
    let tail = numbers.split_off(10);
    numbers.shrink_to_fit();
    let mut words: tinyvec::TinyVec<[String; 4]> = tinyvec::TinyVec::new();
    words.extend(TEXT.split(' ').map(str::to_owned));
    words.drain(2..20);
    (tail.to_vec(), words.to_vec(), numbers.is_heap())
}

/// A node of a graph in an arena.
struct Node<'arena> {
    name: String,
    next: std::cell::Cell<Option<&'arena Node<'arena>>>,
}

pub(super) fn typed_arena() -> (usize, Vec<String>) {
    let arena = typed_arena::Arena::with_capacity(4);
    let mut first: Option<&Node<'_>> = None;
    for word in TEXT.split(' ') {
        let node = arena.alloc(Node { name: word.to_owned(), next: std::cell::Cell::new(first) });
        first = Some(node);
    }
    let nodes = std::iter::successors(first, |node| node.next.get());
    let names = nodes.map(|node| node.name.clone()).step_by(5).collect();
    let numbers = typed_arena::Arena::new();
    let slice = numbers.alloc_extend(0..300_u32);
    slice.reverse();
    (arena.len() + numbers.len(), names)
}
