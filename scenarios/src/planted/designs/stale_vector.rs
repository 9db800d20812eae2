//! A service whose requests collect numbers in a vector from a pool.

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Report, Sweep};

use super::DesignPair;
use crate::planted::pair::Oom;

pub(super) const PAIR: DesignPair = DesignPair {
    name: "planted/stale-vector",
    kind: Kind::NotRecovered,
    wrong: "leaves it to the request to clear the vector, which an error skips",
    right: "clears the vector on its way back to the pool",
    planted: |sweep| run(sweep, planted),
    near_miss: |sweep| run(sweep, near_miss),
};

type Numbers = Vec<u32, Heap>;

#[derive(Debug)]
struct Service {
    /// The vector that waits.
    idle: Numbers,
    heap: Heap,
}

/// A vector that is lent.
struct Lent<'s> {
    numbers: Numbers,
    service: &'s mut Service,
    give_back: fn(&mut Lent<'_>),
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        (self.give_back)(self);
    }
}

fn lend(service: &mut Service, give_back: fn(&mut Lent<'_>)) -> Lent<'_> {
    let fresh = Vec::new_in(service.heap.clone());
    Lent { numbers: std::mem::replace(&mut service.idle, fresh), service, give_back }
}

/// One request: collects numbers, and returns their sum in a block of its own.
fn request(service: &mut Service, give_back: fn(&mut Lent<'_>)) -> Result<u32, Oom> {
    let mut lent = lend(service, give_back);
    for number in [3, 4, 5] {
        lent.numbers.try_reserve(1)?;
        lent.numbers.push(number);
    }
    let mut reply = Vec::new_in(lent.service.heap.clone());
    reply.try_reserve_exact(1)?;
    reply.push(lent.numbers.iter().sum());
    lent.numbers.clear();
    Ok(reply[0])
}

/// A request that fails is made once more, with memory.
fn run(sweep: Sweep, give_back: fn(&mut Lent<'_>)) -> Report {
    let open =
        |heap: &Heap| Ok::<_, Oom>(Service { idle: Vec::new_in(heap.clone()), heap: heap.clone() });
    let sweep =
        sweep.oom(|_: &Oom| true).observe(|service: &Service| format!("{:?}", service.idle));
    sweep.setup(open).atomic().operation(move |service| request(service, give_back))
}

/// The bug: what a failed request has collected is there for the next one.
fn planted(lent: &mut Lent<'_>) {
    std::mem::swap(&mut lent.service.idle, &mut lent.numbers);
}

fn near_miss(lent: &mut Lent<'_>) {
    lent.numbers.clear();
    std::mem::swap(&mut lent.service.idle, &mut lent.numbers);
}
