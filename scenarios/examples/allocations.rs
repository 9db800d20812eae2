//! Prints how many requests for memory the operations of each service make: its committed script is
//! run once, without a fault. `cargo run -p ci -- clones` compares this with what is allowed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mallory::script::Script;
use mallory::system::World;
use mallory::{Options, Plan, System};
use mallory_scenarios::services::{
    cache_rebuild, circuit_breaker, config_cache, container_memory, fixture, git_command,
    journal_intern, lfs_batch, request_context, state_listener, task_executor,
};
use serde::de::DeserializeOwned;

/// Prints a line: the service, its operations, their requests, and the requests of one operation.
/// Opening the service is not counted.
fn measure<S: System>(input: &[u8])
where
    S::Op: DeserializeOwned,
{
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scripts/{}.ron", S::NAME));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", S::NAME));
    let script = Script::<S::Op>::read(&text, S::NAME).unwrap_or_else(|e| panic!("{e}"));
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let world = World::new(input, scratch.path());
    let heap = Options::new().bypass(false).heap();
    let mut system = S::open(&heap, &world).unwrap_or_else(|e| panic!("{}: {e:?}", S::NAME));
    let requests = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&requests);
    heap.arm(Plan::when(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        false
    }));
    let ops = script.threads.concat();
    for op in &ops {
        drop(system.apply(op, &world).unwrap_or_else(|e| panic!("{}: {e:?}", S::NAME)));
    }
    let requests = requests.load(Ordering::Relaxed);
    println!("{} {} {requests} {:.2}", S::NAME, ops.len(), requests as f64 / ops.len() as f64);
}

fn main() {
    let journal = fixture::journal().unwrap_or_else(|error| panic!("{error}"));
    let lfs_requests = fixture::lfs_requests().unwrap_or_else(|error| panic!("{error}"));
    let git_answers = fixture::git_answers().unwrap_or_else(|error| panic!("{error}"));
    measure::<cache_rebuild::CacheRebuild>(&journal);
    measure::<journal_intern::JournalIntern>(&journal);
    measure::<lfs_batch::LfsBatch>(&lfs_requests);
    measure::<lfs_batch::LfsBatchArena>(&lfs_requests);
    measure::<request_context::Board>(&[]);
    measure::<container_memory::MemoryManager>(&[]);
    measure::<config_cache::ConfigCache>(&[]);
    measure::<circuit_breaker::Gateway>(&[]);
    measure::<git_command::GitCommand>(&git_answers);
    measure::<task_executor::TaskExecutor>(&[]);
    measure::<state_listener::StateHub>(&[]);
}
