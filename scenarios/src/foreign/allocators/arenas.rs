//! Arenas, whose blocks are freed together or with the arena; our own is among them.

use mallory::adapters::{Api2Port, Api2V04Port, GlobalPort};
use mallory::{SystemPort, conformance};

use super::allocator::{Allocator, Known, Shows, run_trial};
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
            run_trial(conformance(port).name("bumpalo").clones(2), what)
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
            run_trial(conformance(port).name("blink-alloc"), what)
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
            run_trial(conformance(port).name("bump-scope").clones(2), what)
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
            run_trial(suite.threads(3), what)
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
            run_trial(conformance(port).name("arena"), what)
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
            run_trial(suite.held(Arena::held), what)
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
            run_trial(conformance(port).name("arena-direct").held(Arena::held), what)
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
    reason: "A bug of the package. The size of a chunk is the request plus a header, rounded up. It \
             is passed to `Layout::from_size_align_unchecked` without a check, although no layout \
             may be longer than `isize::MAX`: undefined behaviour. Builds with checks abort; in \
             others the allocator below happens to refuse the request.",
}];
