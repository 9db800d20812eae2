//! A pool of request contexts, each lent as a guard that gives it back when it is dropped.

use std::cell::RefCell;

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind};

use super::DesignPair;
use crate::planted::pair::{self, Oom};

pub(super) const PAIR: DesignPair = DesignPair {
    name: "planted/context-guard",
    kind: Kind::Panic,
    wrong: "builds a new context to put in the place of the one that goes back to the pool",
    right: "takes the context out of its guard, and puts nothing in its place",
    planted: |sweep| pair::run(sweep, |heap| serve(heap, planted)),
    near_miss: |sweep| pair::run(sweep, |heap| serve(heap, near_miss)),
};

/// What a request is handled with: a buffer for its reply.
struct Context(Vec<u8, Heap>);

impl Context {
    fn new(heap: &Heap) -> Result<Context, Oom> {
        let mut buffer = Vec::new_in(heap.clone());
        buffer.try_reserve_exact(64)?;
        Ok(Context(buffer))
    }
}

/// The contexts that wait, with room for all of them.
type Pool = RefCell<Vec<Context, Heap>>;

/// A context that is lent.
struct Lent<'p> {
    context: Option<Context>,
    pool: &'p Pool,
    heap: &'p Heap,
    give_back: fn(&mut Lent<'_>),
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        (self.give_back)(self);
    }
}

/// Handles a request: an error returns from here, and drops the guard.
fn handle(mut lent: Lent<'_>, request: &str) -> Result<usize, Oom> {
    let Some(Context(buffer)) = &mut lent.context else { return Ok(0) };
    buffer.clear();
    buffer.try_reserve(request.len())?;
    buffer.extend_from_slice(request.as_bytes());
    Ok(buffer.len())
}

fn serve(heap: &Heap, give_back: fn(&mut Lent<'_>)) -> Result<usize, Oom> {
    let mut idle = Vec::new_in(heap.clone());
    idle.try_reserve_exact(1)?;
    let pool = Pool::new(idle);
    let mut sum = 0;
    for request in
        ["short", "a request that needs more room than a new context's buffer has: it grows"]
    {
        let waiting = pool.borrow_mut().pop();
        let context = waiting.map_or_else(|| Context::new(heap), Ok)?;
        sum += handle(Lent { context: Some(context), pool: &pool, heap, give_back }, request)?;
    }
    Ok(sum)
}

/// The bug: a guard is dropped on the way out of an error, when there is no memory.
fn planted(lent: &mut Lent<'_>) {
    let fresh = Context::new(lent.heap).expect("memory for another context");
    let used = lent.context.replace(fresh);
    lent.pool.borrow_mut().extend(used);
}

fn near_miss(lent: &mut Lent<'_>) {
    let used = lent.context.take();
    lent.pool.borrow_mut().extend(used);
}
