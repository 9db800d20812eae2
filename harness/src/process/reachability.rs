//! Which of a program's blocks are lost at its exit: those that nothing leads to, as LeakSanitizer has
//! it. Many programs exit with live memory on purpose; what a pointer still leads to is no leak.
//!
//! Every word is taken for a pointer that looks like one, also into the middle of a block. The search
//! begins with all memory that can be written to, but for the blocks themselves, the harness's own
//! memory, what is below the program's stack, and the stacks of threads that have ended. Blocks that are
//! found are searched in turn.
#![allow(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(feature = "preload")]
use crate::process::thread_births;

/// The most bytes that are read at a time.
const CHUNK: usize = 1 << 16;
const WORD: usize = size_of::<usize>();

/// The lowest address of the program's stack that is in use; 0 while it is unknown.
static STACK: AtomicUsize = AtomicUsize::new(0);
/// Memory of the harness's own.
static OWN: Mutex<Vec<Range<usize>>> = Mutex::new(Vec::new());

/// The blocks that something led to when the program's own exit handlers had run. What the destructors of
/// statics leave of them was not lost by the program.
static HELD: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Says how deep the program's stack is at its exit.
pub(crate) fn set_stack(lowest: usize) {
    STACK.store(lowest, Ordering::Relaxed);
}

/// Leaves this memory out: it is the harness's.
pub(crate) fn leave_out(range: Range<usize>) {
    if let Ok(mut own) = OWN.lock() {
        own.push(range);
    }
}

/// A block that nothing leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LostBlock {
    /// Its index among the blocks that were given.
    pub(crate) index: usize,
    /// The blocks, and their bytes, that only it leads to.
    pub(crate) below: (u64, u64),
}

/// The blocks that are lost, of those that are live: each as its address and its size. Of blocks that
/// lead to each other, only the first is returned, and it stands for the others.
pub(crate) fn lost(live: &[(usize, usize)]) -> Vec<LostBlock> {
    let mut search = search(live);
    let held = HELD.lock().map(|held| held.clone()).unwrap_or_default();
    search.begin_with(&held);
    search.follow();
    search.take_lost()
}

/// Notes which of the live blocks something leads to before the destructors of statics run.
pub(crate) fn note_held(live: &[(usize, usize)]) {
    let found = search(live).found;
    let held = live.iter().zip(found).filter(|(_, found)| *found);
    if let Ok(mut noted) = HELD.lock() {
        *noted = held.map(|((start, _), _)| *start).collect();
    }
}

/// Searches the program's memory for what leads to these blocks.
fn search(live: &[(usize, usize)]) -> BlockSearch<'_> {
    let mut own = OWN.lock().map(|own| own.clone()).unwrap_or_default();
    #[cfg(feature = "preload")]
    own.push(crate::memory::own::region());
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let roots = writable(&maps, STACK.load(Ordering::Relaxed));
    let mut search = BlockSearch::new(live);
    own.extend(live.iter().map(|(start, size)| *start..start + size));
    own.sort_unstable_by_key(|range| range.start);
    for root in roots {
        for part in without(root, &own) {
            search.scan(part);
        }
    }
    search.follow();
    search
}

/// The ranges of memory that can be written to, by the text of `/proc/self/maps`. Of the range with the
/// program's stack only the part that is in use.
fn writable(maps: &str, stack: usize) -> Vec<Range<usize>> {
    let range = |line: &str| {
        let (addresses, rest) = line.split_once(' ')?;
        let (start, end) = addresses.split_once('-')?;
        let address = |text: &str| usize::from_str_radix(text, 16).ok();
        let range = address(start)?..address(end)?;
        if !rest.starts_with("rw") {
            return None;
        }
        #[cfg(feature = "preload")]
        if let Some(end) = thread_births::end_of_left_stack(&range) {
            return Some(end..range.end);
        }
        Some(if range.contains(&stack) { stack..range.end } else { range })
    };
    maps.lines().filter_map(range).collect()
}

/// The parts of a range that are in none of these, which are sorted by their starts.
fn without(range: Range<usize>, taken: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut at = range.start;
    // A long range may begin far before this one.
    for other in taken.iter().filter(|other| other.end > range.start) {
        if other.start >= range.end {
            break;
        }
        if other.start > at {
            parts.push(at..other.start);
        }
        at = at.max(other.end);
    }
    if at < range.end {
        parts.push(at..range.end);
    }
    parts
}

/// A search for blocks.
struct BlockSearch<'a> {
    live: &'a [(usize, usize)],
    /// Indices of `live`, by address.
    by_address: Vec<usize>,
    /// The lowest and the highest address of a block.
    bounds: Range<usize>,
    found: Vec<bool>,
    /// Blocks that were found and not searched yet.
    due: Vec<usize>,
    /// The first blocks of groups of lost ones, and those of them that were met since.
    firsts: BTreeSet<usize>,
    met: Vec<usize>,
    buffer: Vec<u8>,
}

impl<'a> BlockSearch<'a> {
    fn new(live: &'a [(usize, usize)]) -> Self {
        let mut by_address: Vec<usize> = (0..live.len()).collect();
        by_address.sort_unstable_by_key(|index| live[*index].0);
        let lowest = by_address.first().map_or(0, |index| live[*index].0);
        let highest = live.iter().map(|(start, size)| start + size.max(&1)).max().unwrap_or(0);
        BlockSearch {
            live,
            by_address,
            bounds: lowest..highest,
            found: vec![false; live.len()],
            due: Vec::new(),
            firsts: BTreeSet::new(),
            met: Vec::new(),
            buffer: vec![0; CHUNK],
        }
    }

    /// The block that an address leads to.
    fn block(&self, address: usize) -> Option<usize> {
        if !self.bounds.contains(&address) {
            return None;
        }
        let after = self.by_address.partition_point(|index| self.live[*index].0 <= address);
        let index = self.by_address[after.checked_sub(1)?];
        let (start, size) = self.live[index];
        (address - start < size.max(1)).then_some(index)
    }

    /// Takes the blocks at these addresses for found.
    fn begin_with(&mut self, starts: &[usize]) {
        for start in starts {
            if let Some(index) = self.block(*start)
                && !self.found[index]
            {
                self.found[index] = true;
                self.due.push(index);
            }
        }
    }

    /// Finds the blocks that words of this memory lead to.
    fn scan(&mut self, range: Range<usize>) {
        let mut at = range.start.next_multiple_of(WORD);
        let mut buffer = std::mem::take(&mut self.buffer);
        while at + WORD <= range.end {
            let length = (range.end - at).min(CHUNK);
            let read = read(at, &mut buffer[..length]);
            for word in buffer[..read].chunks_exact(WORD) {
                let address = usize::from_ne_bytes(word.try_into().unwrap_or_default());
                let Some(index) = self.block(address) else { continue };
                if !self.found[index] {
                    self.found[index] = true;
                    self.due.push(index);
                } else if self.firsts.contains(&index) {
                    self.met.push(index);
                }
            }
            // A page that can't be read is left out.
            let next =
                if read < length { (at + read + 1).next_multiple_of(4096) } else { at + read };
            at = next;
        }
        self.buffer = buffer;
    }

    /// Searches the blocks that were found, and those that they lead to.
    fn follow(&mut self) {
        while let Some(index) = self.due.pop() {
            let (start, size) = self.live[index];
            self.scan(start..start + size);
        }
    }

    /// The blocks that were not found. Those that another one of them leads to are counted with it.
    fn take_lost(mut self) -> Vec<LostBlock> {
        let missing = (0..self.live.len()).filter(|index| !self.found[*index]).collect::<Vec<_>>();
        // By the index of its first block, each group of lost blocks.
        let mut groups: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
        for first in missing {
            if self.found[first] {
                continue;
            }
            self.found[first] = true;
            self.firsts.remove(&first);
            self.met.clear();
            self.due.push(first);
            let (mut blocks, mut bytes) = (0, 0);
            while let Some(index) = self.due.pop() {
                let (start, size) = self.live[index];
                if index != first {
                    (blocks, bytes) = (blocks + 1, bytes + size as u64);
                }
                self.scan(start..start + size);
            }
            // It leads to the first block of another group, which is of this one then.
            for other in std::mem::take(&mut self.met) {
                if let Some(below) = groups.remove(&other) {
                    let size = self.live[other].1 as u64;
                    (blocks, bytes) = (blocks + below.0 + 1, bytes + below.1 + size);
                    self.firsts.remove(&other);
                }
            }
            groups.insert(first, (blocks, bytes));
            self.firsts.insert(first);
        }
        groups.into_iter().map(|(index, below)| LostBlock { index, below }).collect()
    }
}

/// Reads memory of this process, as far as it can be read.
fn read(at: usize, buffer: &mut [u8]) -> usize {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: buffer.len() };
    // SAFETY: the system writes at most the buffer's length into it, and reads only what can be read.
    let count = unsafe {
        libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
    };
    usize::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_nowhere_is_left_out_of_the_roots() {
        let maps =
            "1000-2000 rw-p 0 0:0 0\n3000-4000 r--p 0 0:0 0\n5000-9000 rw-p 0 0:0 0 [stack]\n";
        assert_eq!(writable(maps, 0x7000), [0x1000..0x2000, 0x7000..0x9000]);
        let own = [0x1200..0x1300, 0x1280..0x1400, 0x1f00..0x3000];
        assert_eq!(without(0x1000..0x2000, &own), [0x1000..0x1200, 0x1400..0x1f00]);
        assert_eq!(
            without(0x1000..0x1100, &own).as_slice(),
            std::slice::from_ref(&(0x1000..0x1100))
        );
    }

    /// Blocks of three words each, which lead to each other as `links` says, and a search of them that
    /// begins with `roots`.
    fn lost_of(count: usize, links: &[(usize, usize)], roots: &[usize]) -> Vec<LostBlock> {
        lost_but(count, links, roots, &[])
    }

    /// The same where something led to the `held` ones before.
    fn lost_but(
        count: usize,
        links: &[(usize, usize)],
        roots: &[usize],
        held: &[usize],
    ) -> Vec<LostBlock> {
        let mut memory = vec![[0_usize; 3]; count];
        let address = |memory: &[[usize; 3]], nth: usize| memory[nth].as_ptr() as usize;
        for (nth, (from, to)) in links.iter().enumerate() {
            // Into the middle of a block, too.
            memory[*from][nth % 3] = address(&memory, *to) + 9;
        }
        let live: Vec<(usize, usize)> =
            (0..count).map(|nth| (address(&memory, nth), 3 * WORD)).collect();
        let words: Vec<usize> = roots.iter().map(|root| address(&memory, *root)).collect();
        let mut search = BlockSearch::new(&live);
        let start = words.as_ptr() as usize;
        search.scan(start..start + words.len() * WORD);
        let held: Vec<usize> = held.iter().map(|nth| address(&memory, *nth)).collect();
        search.begin_with(&held);
        search.follow();
        search.take_lost()
    }

    #[test]
    fn blocks_are_lost_that_nothing_leads_to() {
        let lost = |index, blocks| LostBlock { index, below: (blocks, blocks * 24) };
        assert_eq!(lost_of(3, &[(0, 1), (1, 2)], &[0]), []);
        assert_eq!(lost_of(3, &[(0, 1), (1, 2)], &[1]), [lost(0, 0)]);
        assert_eq!(lost_of(3, &[(0, 1), (1, 2)], &[]), [lost(0, 2)]);
        // The one that leads to the others was made last.
        assert_eq!(lost_of(4, &[(3, 1), (1, 0), (3, 2)], &[]), [lost(3, 3)]);
        // They lead to each other.
        assert_eq!(lost_of(2, &[(0, 1), (1, 0)], &[]), [lost(0, 1)]);
        assert_eq!(lost_of(3, &[], &[1]), [lost(0, 0), lost(2, 0)]);
    }

    #[test]
    fn what_something_led_to_before_the_destructors_is_not_lost() {
        let lost = |index| LostBlock { index, below: (0, 0) };
        assert_eq!(lost_but(4, &[(1, 2)], &[], &[1]), [lost(0), lost(3)]);
        assert_eq!(lost_but(2, &[], &[0], &[0, 1]), []);
    }

    #[test]
    fn memory_that_cannot_be_read_is_left_out() {
        let mut buffer = [1; 16];
        assert_eq!(read(16, &mut buffer), 0);
        let words = [7_usize, 8];
        assert_eq!(read(words.as_ptr() as usize, &mut buffer), 16);
        assert_eq!(buffer[..8], 7_usize.to_ne_bytes());
    }
}
