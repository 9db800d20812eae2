//! Several threads on one port at once, which hand blocks over to each other: what only real
//! concurrency shows. Sampled: no sequence tells how the threads met.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::conformance::call;
use crate::conformance::call::{BlockAddress, Call, CallResult, perform};
use crate::conformance::contract::Clause;
use crate::conformance::generate::SequenceRange;
use crate::port::Port;
use crate::trace::Stream;

type StressBreach = (Clause, String);

#[derive(Clone, Copy)]
struct StressBlock {
    place: BlockAddress,
    length: usize,
    layout: Layout,
    tag: u64,
}

/// What the threads share besides the port.
#[derive(Default)]
struct StressModel {
    /// Begin to end.
    places: Mutex<BTreeMap<usize, usize>>,
    /// Blocks on their way from one thread to another.
    handed: Mutex<Vec<StressBlock>>,
    breach: Mutex<Option<StressBreach>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StressModel {
    /// Checks a block and takes it in.
    fn admit(
        &self,
        place: BlockAddress,
        length: usize,
        layout: Layout,
    ) -> Result<(), StressBreach> {
        let start = place.address();
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
        let mut places = lock(&self.places);
        if places.range(..end).next_back().is_some_and(|(_, its_end)| *its_end > start) {
            return Err((Clause::Overlap, "two live blocks overlap".to_owned()));
        }
        places.insert(start, end);
        Ok(())
    }

    fn dismiss(&self, block: &StressBlock) {
        if block.length > 0 {
            lock(&self.places).remove(&block.place.address());
        }
    }

    fn intact(block: &StressBlock) -> Result<(), StressBreach> {
        // SAFETY: the block is alive, in one thread's hands, and was filled with its tag.
        match unsafe { call::changed(block.place, block.length, block.length, block.tag) } {
            None => Ok(()),
            Some(_) => Err((Clause::Untouched, "a live block changed".to_owned())),
        }
    }
}

/// One thread's part.
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
            CallResult::Block(place, length) => Ok(Some((place, length))),
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
        place: BlockAddress,
        length: usize,
        layout: Layout,
    ) -> Result<(), StressBreach> {
        self.model.admit(place, length, layout)?;
        let tag = self.stream.next();
        // SAFETY: the block was admitted: it is this thread's and disjoint from all others.
        unsafe { call::fill(place, length, tag) }
        self.live.push(StressBlock { place, length, layout, tag });
        Ok(())
    }

    fn alloc(&mut self) -> Result<(), StressBreach> {
        let Some(layout) = self.layout() else { return Ok(()) };
        let zeroed = self.stream.once_in(4);
        let asked = if zeroed { Call::Zeroed(layout) } else { Call::Alloc(layout) };
        let Some((place, length)) = self.call(asked)? else { return Ok(()) };
        // SAFETY: the port says that these bytes are the caller's and zero.
        if zeroed && length >= layout.size() && unsafe { call::nonzero(place, length) }.is_some() {
            return Err((Clause::Zeroed, "a zeroed block is not zero".to_owned()));
        }
        self.keep(place, length, layout)
    }

    fn free(&mut self, block: StressBlock) -> Result<(), StressBreach> {
        StressModel::intact(&block)?;
        if self.frees {
            self.model.dismiss(&block);
            self.call(Call::Free(block.place, block.layout))?;
        }
        Ok(())
    }

    fn grow(&mut self, block: StressBlock) -> Result<(), StressBreach> {
        let more = self.stream.below(512);
        let new = Layout::from_size_align(block.layout.size() + more, block.layout.align());
        let Ok(new) = new else { return self.free(block) };
        StressModel::intact(&block)?;
        // Out of the model first: another thread may be given the old place at once.
        self.model.dismiss(&block);
        let Some((place, length)) = self.call(Call::Grow(block.place, block.layout, new))? else {
            self.model.admit(block.place, block.length, block.layout)?;
            StressModel::intact(&block)?;
            self.live.push(block);
            return Ok(());
        };
        let common = block.layout.size();
        // SAFETY: the port says that so many bytes are there, and that they are the old ones.
        if unsafe { call::changed(place, block.length, common, block.tag) }.is_some() {
            return Err((Clause::Kept, "a grown block lost bytes".to_owned()));
        }
        self.keep(place, length, new)
    }

    fn sail(&mut self, operations: usize) -> Result<(), StressBreach> {
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
                    lock(&self.model.handed).push(block);
                }
                6 => {
                    let block = lock(&self.model.handed).pop();
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

/// Runs `threads` threads on a port, which share the operations. Answers the first breach.
pub(crate) fn storm<P: Port + Sync>(
    port: &P,
    threads: u8,
    range: &SequenceRange,
) -> Option<StressBreach> {
    let model = StressModel::default();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let model = &model;
            scope.spawn(move || {
                let stream = Stream::new(range.seed, u64::MAX - u64::from(thread));
                let (max_size, frees) = (range.max_size, range.frees);
                let mut sailor =
                    StressThread { port, model, stream, frees, max_size, live: Vec::new() };
                if let Err(breach) = sailor.sail(range.operations / usize::from(threads)) {
                    lock(&model.breach).get_or_insert(breach);
                }
            });
        }
    });
    let left = std::mem::take(&mut *lock(&model.handed));
    let stream = Stream::new(0, 0);
    let mut last = StressThread {
        port,
        model: &model,
        stream,
        frees: range.frees,
        max_size: 0,
        live: Vec::new(),
    };
    let ended = left.into_iter().try_for_each(|block| last.free(block));
    lock(&model.breach).take().or(ended.err())
}
