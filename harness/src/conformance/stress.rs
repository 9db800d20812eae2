//! Several threads use one port at the same time and pass blocks to each other. It shows what only real
//! concurrency shows, and is a sample: no sequence repeats the order of the threads.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::conformance::call;
use crate::conformance::call::{BlockAddress, Call, CallResult, perform};
use crate::conformance::clause::Clause;
use crate::conformance::generate::SequenceRange;
use crate::port::Port;
use crate::trace::Stream;

type StressBreach = (Clause, String);

#[derive(Clone, Copy)]
struct StressBlock {
    address: BlockAddress,
    length: usize,
    layout: Layout,
    tag: u64,
}

/// What the threads share beside the port.
#[derive(Default)]
struct StressModel {
    /// The first address and the end of each live block that is not empty.
    addresses: Mutex<BTreeMap<usize, usize>>,
    /// Blocks that one thread has passed to the others.
    passed: Mutex<Vec<StressBlock>>,
    breach: Mutex<Option<StressBreach>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StressModel {
    /// Checks a granted block and adds it.
    fn add(
        &self,
        address: BlockAddress,
        length: usize,
        layout: Layout,
    ) -> Result<(), StressBreach> {
        let start = address.addr();
        if !start.is_multiple_of(layout.align()) {
            return Err((Clause::Aligned, "a block is not aligned".to_owned()));
        }
        if length < layout.size() {
            return Err((Clause::LongEnough, "a block is too short".to_owned()));
        }
        if length == 0 {
            return Ok(());
        }
        let end = start.saturating_add(length);
        let mut addresses = lock(&self.addresses);
        if addresses.range(..end).next_back().is_some_and(|(_, other_end)| *other_end > start) {
            return Err((Clause::Overlap, "two live blocks overlap".to_owned()));
        }
        addresses.insert(start, end);
        Ok(())
    }

    fn remove(&self, block: &StressBlock) {
        if block.length > 0 {
            lock(&self.addresses).remove(&block.address.addr());
        }
    }

    /// Checks that a live block still has the bytes that were written.
    fn check_contents(block: &StressBlock) -> Result<(), StressBreach> {
        // SAFETY: the block is live, only the thread that holds it frees it, and `keep` filled it with its
        // tag.
        match unsafe { call::changed(block.address, block.length, block.length, block.tag) } {
            None => Ok(()),
            Some(_) => Err((Clause::Untouched, "a live block changed".to_owned())),
        }
    }
}

/// One thread, and the blocks that it holds.
struct StressThread<'a, P> {
    port: &'a P,
    model: &'a StressModel,
    stream: Stream,
    frees: bool,
    max_size: usize,
    live: Vec<StressBlock>,
}

impl<P: Port> StressThread<'_, P> {
    fn call(&self, call: Call) -> Result<Option<(BlockAddress, usize)>, StressBreach> {
        match perform(self.port, None, call) {
            CallResult::Block(address, length) => Ok(Some((address, length))),
            CallResult::Panicked(text) => {
                let line = text.lines().next().unwrap_or("").to_owned();
                Err((Clause::Unwinds, format!("it panicked: {line}")))
            }
            _ => Ok(None),
        }
    }

    fn layout(&mut self) -> Option<Layout> {
        let most = if self.stream.once_in(8) { self.max_size } else { self.max_size.min(256) };
        Layout::from_size_align(self.stream.below(most + 1), 1 << self.stream.below(7)).ok()
    }

    fn keep(
        &mut self,
        address: BlockAddress,
        length: usize,
        layout: Layout,
    ) -> Result<(), StressBreach> {
        self.model.add(address, length, layout)?;
        let tag = self.stream.next();
        // SAFETY: `add` found the block long enough and disjoint from all others, so its bytes are this
        // thread's if the port keeps its promise.
        unsafe { call::fill(address, length, tag) }
        self.live.push(StressBlock { address, length, layout, tag });
        Ok(())
    }

    fn alloc(&mut self) -> Result<(), StressBreach> {
        let Some(layout) = self.layout() else { return Ok(()) };
        let zeroed = self.stream.once_in(4);
        let asked = if zeroed { Call::Zeroed(layout) } else { Call::Alloc(layout) };
        let Some((address, length)) = self.call(asked)? else { return Ok(()) };
        // SAFETY: the port granted `length` bytes, which are this thread's if it keeps its promise.
        if zeroed && length >= layout.size() && unsafe { call::nonzero(address, length) }.is_some()
        {
            return Err((Clause::Zeroed, "a zeroed block is not zero".to_owned()));
        }
        self.keep(address, length, layout)
    }

    fn free(&mut self, block: StressBlock) -> Result<(), StressBreach> {
        StressModel::check_contents(&block)?;
        if self.frees {
            self.model.remove(&block);
            self.call(Call::Free(block.address, block.layout))?;
        }
        Ok(())
    }

    fn grow(&mut self, block: StressBlock) -> Result<(), StressBreach> {
        let more = self.stream.below(512);
        let new = Layout::from_size_align(block.layout.size() + more, block.layout.align());
        let Ok(new) = new else { return self.free(block) };
        StressModel::check_contents(&block)?;
        // Removed from the model first: another thread may be granted the old address at once.
        self.model.remove(&block);
        let Some((address, length)) = self.call(Call::Grow(block.address, block.layout, new))?
        else {
            self.model.add(block.address, block.length, block.layout)?;
            StressModel::check_contents(&block)?;
            self.live.push(block);
            return Ok(());
        };
        let common = block.layout.size();
        // SAFETY: the port granted at least `new.size()` bytes, and `common` is no more, if it keeps its
        // promise.
        if unsafe { call::changed(address, block.length, common, block.tag) }.is_some() {
            return Err((Clause::Kept, "a grown block lost bytes".to_owned()));
        }
        self.keep(address, length, new)
    }

    fn run(&mut self, operations: usize) -> Result<(), StressBreach> {
        for _ in 0..operations {
            if lock(&self.model.breach).is_some() {
                return Ok(());
            }
            match self.stream.below(8) {
                _ if self.live.is_empty() => self.alloc()?,
                0..=3 if self.live.len() < 24 => self.alloc()?,
                4 => {
                    let block = self.live.swap_remove(self.stream.below(self.live.len()));
                    self.grow(block)?;
                }
                5 => {
                    let block = self.live.swap_remove(self.stream.below(self.live.len()));
                    lock(&self.model.passed).push(block);
                }
                6 => {
                    let block = lock(&self.model.passed).pop();
                    block.map_or(Ok(()), |block| self.free(block))?;
                }
                _ => {
                    let block = self.live.swap_remove(self.stream.below(self.live.len()));
                    self.free(block)?;
                }
            }
        }
        for block in std::mem::take(&mut self.live) {
            self.free(block)?;
        }
        Ok(())
    }
}

/// Runs `threads` threads on a port, which share the operations of the range. Returns the first breach.
pub(crate) fn stress<P: Port + Sync>(
    port: &P,
    threads: u8,
    range: &SequenceRange,
) -> Option<StressBreach> {
    let model = StressModel::default();
    std::thread::scope(|scope| {
        for number in 0..threads {
            let model = &model;
            scope.spawn(move || {
                let stream = Stream::new(range.seed, u64::MAX - u64::from(number));
                let (max_size, frees) = (range.max_size, range.frees);
                let mut thread =
                    StressThread { port, model, stream, frees, max_size, live: Vec::new() };
                if let Err(breach) = thread.run(range.operations / usize::from(threads)) {
                    lock(&model.breach).get_or_insert(breach);
                }
            });
        }
    });
    let passed = std::mem::take(&mut *lock(&model.passed));
    let stream = Stream::new(0, 0);
    let mut thread = StressThread {
        port,
        model: &model,
        stream,
        frees: range.frees,
        max_size: 0,
        live: Vec::new(),
    };
    let freed = passed.into_iter().try_for_each(|block| thread.free(block));
    lock(&model.breach).take().or(freed.err())
}
