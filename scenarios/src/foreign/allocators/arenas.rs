//! Arenas: blocks are given up together, or with the arena. And our own.

use mallory::adapters::{Api2Port, Api2V04Port, GlobalPort};
use mallory::{SystemPort, conformance};

use super::{Allocator, Known, Shows, held_to};
use crate::memory::arena::Arena;

pub(super) const ALL: [Allocator; 7] = [
    Allocator {
        package: "bumpalo",
        name: "&Bump",
        kind: "bump arena",
        through: "`Api2Port`",
        how: "2 clones",
        run: |what| {
            let port = || Api2Port(&*Box::leak(Box::new(bumpalo::Bump::new())));
            held_to(conformance(port).name("bumpalo").clones(2), what)
        },
        known: &[],
    },
    Allocator {
        package: "blink-alloc",
        name: "BlinkAlloc",
        kind: "bump arena",
        through: "`Api2V04Port`",
        how: "one handle",
        run: |what| {
            let port = || Api2V04Port(blink_alloc::BlinkAlloc::new());
            held_to(conformance(port).name("blink-alloc"), what)
        },
        known: BLINK_ALLOC,
    },
    Allocator {
        package: "bump-scope",
        name: "&Bump",
        kind: "bump arena with scopes",
        through: "`Api2V04Port`",
        how: "2 clones",
        run: |what| {
            let port = || {
                let bump: bump_scope::Bump = bump_scope::Bump::new();
                Api2V04Port(bump_scope::alloc::compat::AllocatorApi2V04Compat(&*Box::leak(
                    Box::new(bump),
                )))
            };
            held_to(conformance(port).name("bump-scope").clones(2), what)
        },
        known: &[],
    },
    Allocator {
        package: "static-alloc",
        name: "Bump",
        kind: "bump arena in a static",
        through: "`GlobalPort`",
        how: "3 threads; no frees",
        run: |what| {
            let port = || GlobalPort(static_alloc::Bump::<[u64; 32 << 10]>::uninit());
            let suite = conformance(port).name("static-alloc").no_free().fixed(256 << 10);
            held_to(suite.threads(3), what)
        },
        known: &[],
    },
    Allocator {
        package: "mallory-scenarios",
        name: "Arena::new",
        kind: "our arena: bump, chunks under a cap",
        through: "a `Port` itself",
        how: "single frees",
        run: |what| {
            let port = || Arena::new(SystemPort::new(), CAP);
            held_to(conformance(port).name("arena"), what)
        },
        known: &[],
    },
    Allocator {
        package: "mallory-scenarios",
        name: "Arena::new",
        kind: "our arena: bump, chunks under a cap",
        through: "a `Port` itself",
        how: "all given up at once",
        run: |what| {
            let port = || Arena::new(SystemPort::new(), CAP);
            let suite = conformance(port).name("arena-reset").no_free().fixed(CAP);
            held_to(suite.held(Arena::held), what)
        },
        known: &[],
    },
    Allocator {
        package: "mallory-scenarios",
        name: "Arena::direct",
        kind: "our arena, passing all on",
        through: "a `Port` itself",
        how: "single frees",
        run: |what| {
            let port = || Arena::direct(SystemPort::new(), CAP);
            held_to(conformance(port).name("arena-direct").held(Arena::held), what)
        },
        known: &[],
    },
];

/// The most that our arena may hold.
const CAP: usize = 1 << 20;

const BLINK_ALLOC: &[Known] = &[Known {
    shows: Shows::Checked,
    promise: "a call comes back",
    sequence: "a1 = alloc max align 1",
    reason: "Its own fault. A chunk's size is the request's with the header's and rounded up, and \
             goes into `Layout::from_size_align_unchecked` as it is, though no layout is longer \
             than `isize::MAX`: undefined behaviour. Builds that check abort; others happen to be \
             refused by the allocator below.",
}];
