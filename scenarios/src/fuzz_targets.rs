//! The fuzz targets, each a function of bytes, so that tests can replay what a fuzzer found: the
//! systems, parsers, ports and detectors.

use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use mallory::script::Script;
use mallory::{Heap, Kind, SystemPort, Token, fuzz};

use crate::memory::arena::Arena;
use crate::planted::shelf::{
    Aborts, Forgets, Leaks, Mistakes, Overruns, Panics, Shelf, Shortens, Sound, Swallows,
};
use crate::services::circuit_breaker::Gateway;
use crate::services::config_cache::ConfigCache;
use crate::services::container_memory::MemoryManager;
use crate::services::fixture;
use crate::services::git_command::GitCommand;
use crate::services::git_log::Log;
use crate::services::lfs_batch::server::{Call, Server};
use crate::services::lfs_batch::store::MemoryStore;
use crate::services::state_listener::StateHub;
use crate::services::task_executor::TaskExecutor;
use crate::services::{cache_rebuild, journal_intern, lfs_batch, request_context};
use crate::systems::{Arenas, Blocks, Damage, Interns, Regions, Slabs};

/// A target: its name, as the file in `fuzz/fuzz_targets` has it, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, the systems' among them.
pub const TARGETS: [Target; 23] = [
    ("cache_rebuild", |bytes| fuzz::replay::<cache_rebuild::CacheRebuild>(bytes, log)),
    ("journal_intern", |bytes| fuzz::replay::<journal_intern::JournalIntern>(bytes, log)),
    ("lfs_batch", |bytes| fuzz::replay::<lfs_batch::LfsBatch>(bytes, requests)),
    ("lfs_batch_arena", |bytes| fuzz::replay::<lfs_batch::LfsBatchArena>(bytes, requests)),
    ("request_context", |bytes| fuzz::replay::<request_context::Board>(bytes, nothing)),
    ("container_memory", |bytes| fuzz::replay::<MemoryManager>(bytes, nothing)),
    ("config_cache", |bytes| fuzz::replay::<ConfigCache>(bytes, nothing)),
    ("circuit_breaker", |bytes| fuzz::replay::<Gateway>(bytes, nothing)),
    ("git_command", |bytes| fuzz::replay::<GitCommand>(bytes, answers)),
    ("task_executor", |bytes| fuzz::replay::<TaskExecutor>(bytes, nothing)),
    ("state_listener", |bytes| fuzz::replay::<StateHub>(bytes, nothing)),
    ("arena", |bytes| fuzz::replay::<Arenas>(bytes, nothing)),
    ("intern", |bytes| fuzz::replay::<Interns>(bytes, nothing)),
    ("blocks", |bytes| fuzz::replay::<Blocks>(bytes, nothing)),
    ("slab", |bytes| fuzz::replay::<Slabs>(bytes, nothing)),
    ("regions", |bytes| fuzz::replay::<Regions>(bytes, nothing)),
    ("shelf", |bytes| fuzz::replay::<Shelf<Sound>>(bytes, nothing)),
    ("ports", ports),
    ("corruption", corruption),
    ("script", script),
    ("token", token),
    ("journal", journal),
    ("lfs_request", lfs_request),
];

/// The input of the services that read a log: short, because it is read thousands of times.
#[must_use]
pub fn log() -> Arc<[u8]> {
    Arc::from(fixture::SAMPLE)
}

/// The input of the LFS service.
///
/// # Panics
/// Where the fixture is not the pinned one.
#[must_use]
pub fn requests() -> Arc<[u8]> {
    fixture::lfs_requests().unwrap_or_else(|error| panic!("{error}"))
}

/// The input of the service that runs git.
///
/// # Panics
/// Where the fixture is not the pinned one.
#[must_use]
pub fn answers() -> Arc<[u8]> {
    fixture::git_answers().unwrap_or_else(|error| panic!("{error}"))
}

fn nothing() -> Arc<[u8]> {
    Arc::from([])
}

/// Pseudorandom bytes: the same for the same seed.
#[must_use]
pub fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// The shelf whose bug the variable `PLANTED_SHELF` names.
///
/// # Panics
/// If there is no shelf with this name; and if the bug is reached.
pub fn planted(bytes: &[u8]) {
    let name = std::env::var("PLANTED_SHELF").unwrap_or_default();
    let shelf = PLANTED.iter().find(|(known, _)| *known == name);
    let (_, attack) = shelf.unwrap_or_else(|| panic!("PLANTED_SHELF: no shelf `{name}`"));
    attack(bytes);
}

/// The shelves that have a bug.
pub const PLANTED: [Target; 8] = [
    ("shelf-leak", |bytes| fuzz::replay::<Shelf<Leaks>>(bytes, nothing)),
    ("shelf-not-recovered", |bytes| fuzz::replay::<Shelf<Forgets>>(bytes, nothing)),
    ("shelf-silent-wrong", |bytes| fuzz::replay::<Shelf<Shortens>>(bytes, nothing)),
    ("shelf-wrong-error", |bytes| fuzz::replay::<Shelf<Mistakes>>(bytes, nothing)),
    ("shelf-panic", |bytes| fuzz::replay::<Shelf<Panics>>(bytes, nothing)),
    ("shelf-heap-buffer-overflow", |bytes| fuzz::replay::<Shelf<Overruns>>(bytes, nothing)),
    ("shelf-swallows", |bytes| fuzz::replay::<Shelf<Swallows>>(bytes, nothing)),
    ("shelf-abort", |bytes| fuzz::replay::<Shelf<Aborts>>(bytes, nothing)),
];

/// Ports compared with the model of their contract: the system's, a heap, an arena of each kind.
pub fn ports(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    const CAP: usize = 1 << 20;
    match which % 4 {
        0 => fuzz::port(bytes, SystemPort::new),
        1 => fuzz::port(bytes, Heap::new),
        2 => fuzz::port(bytes, || Arena::new(SystemPort::new(), CAP)),
        _ => fuzz::port(bytes, || Arena::direct(SystemPort::new(), CAP)),
    }
}

/// Damages one block between correct calls: exactly this kind is found, and nothing if the damage
/// is left out.
///
/// # Panics
/// Where the detectors say anything else.
pub fn corruption(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let Ok(damage) = Option::<Damage>::arbitrary(&mut u) else { return };
    let Ok(before) = u.arbitrary::<u8>() else { return };
    let mut ops = Vec::new();
    while let (false, Ok(op)) = (u.is_empty() || ops.len() >= 200, u.arbitrary()) {
        ops.push(op);
    }
    let expected = std::cell::Cell::new(None);
    let kinds = fuzz::kinds(|heap| {
        expected.set(Blocks::damaged(heap, &ops, usize::from(before), damage));
    });
    let expected: Vec<Kind> = expected.get().into_iter().collect();
    assert_eq!(kinds, expected, "{damage:?} before operation {before} of {ops:?}");
}

/// A script of a service, read and printed back.
///
/// # Panics
/// Where what was read is not printed as it is read again.
pub fn script(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Script::<lfs_batch::Op>::read(text, "it.ron") {
        Err(error) => assert!(says_where(&error.to_string()), "{error}"),
        Ok(script) => {
            let text = script.print().expect("what was read is printed");
            let again = Script::<lfs_batch::Op>::read(&text, "it.ron").expect("and read again");
            assert_eq!(again, script, "{text}");
        }
    }
}

/// Whether a message names its place and says what to do.
fn says_where(message: &str) -> bool {
    message.contains("it.ron") && message.contains("help: ")
}

/// A token, or a conformance sequence.
///
/// # Panics
/// Where what was read is printed as something else.
pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<Token>() {
        Err(error) => assert!(error.to_string().contains("help: "), "{error}"),
        Ok(token) => assert_eq!(token.to_string().parse::<Token>(), Ok(token)),
    }
}

/// A sweep's journal, and a log of commits.
pub fn journal(bytes: &[u8]) {
    if let Err(error) = fuzz::read_journal(bytes) {
        assert!(error.to_string().contains("help: "), "{error}");
    }
    for commit in Log::new(bytes).map_while(Result::ok) {
        commit.changes().for_each(drop);
    }
}

/// A request to the LFS server, as bytes: the server replies to any bytes and leaks nothing.
///
/// # Panics
/// Where it doesn't.
pub fn lfs_request(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let kinds = fuzz::kinds(|heap| {
        let mut server = Server::new(heap, MemoryStore::new(heap));
        let text = std::str::from_utf8(bytes);
        let call = match (which % 3, text) {
            (0, _) | (_, Err(_)) => Call::Batch(bytes),
            (1, _) => Call::Verify(bytes),
            (_, Ok(text)) => Call::Pointer(text),
        };
        let reply = server.answer(call).expect("there is memory");
        assert!((200..600).contains(&reply.status()), "{reply:?}");
    });
    assert_eq!(kinds, [], "{:?}", String::from_utf8_lossy(bytes));
}
