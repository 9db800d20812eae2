//! The committed scripts and cases, as files.

use std::path::Path;

use mallory::script::Script;
use mallory_scenarios::planted::{shelf, slot};
use mallory_scenarios::services::{
    cache_rebuild, circuit_breaker, config_cache, container_memory, git_command, journal_intern,
    lfs_batch, request_context, state_listener, task_executor,
};
use mallory_scenarios::systems;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Every script of the repository is formatted as it is printed.
#[test]
fn scripts_and_cases_are_printed_back_unchanged() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for folder in ["scripts", "scripts/threads", "cases", "cases/threads"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|ending| ending != "ron") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a script is text");
            let name = path.display().to_string();
            let again = reprinted(&text, &name);
            assert_eq!(again, text, "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 20, "only {seen} scripts were read");
}

/// The two stores of the LFS server are swept by the same operations.
#[test]
fn both_lfs_scripts_have_the_same_operations() {
    let read = |text, name| Script::<lfs_batch::Op>::read(text, name).expect(name);
    let heap = read(include_str!("../../scripts/lfs-batch.ron"), "lfs-batch.ron");
    let arena = read(include_str!("../../scripts/lfs-batch-arena.ron"), "lfs-batch-arena.ron");
    assert_ne!(heap.system, arena.system);
    assert_eq!(heap.threads, arena.threads);
}

fn reprinted(text: &str, name: &str) -> String {
    fn of<O: Serialize + DeserializeOwned>(text: &str, name: &str) -> String {
        Script::<O>::read(text, name).and_then(|script| script.print()).expect(name)
    }
    let system = text.split('"').nth(1).expect("a system");
    match system {
        "cache-rebuild" => of::<cache_rebuild::Op>(text, name),
        "journal-intern" => of::<journal_intern::Op>(text, name),
        "lfs-batch" | "lfs-batch-arena" => of::<lfs_batch::Op>(text, name),
        "request-context" => of::<request_context::Op>(text, name),
        "git-command" => of::<git_command::Op>(text, name),
        "container-memory" => of::<container_memory::Op>(text, name),
        "config-cache" => of::<config_cache::Op>(text, name),
        "circuit-breaker" => of::<circuit_breaker::Op>(text, name),
        "task-executor" => of::<task_executor::Op>(text, name),
        "state-listener" => of::<state_listener::Op>(text, name),
        #[cfg(feature = "foreign")]
        "lfs-batch-sqlite" => of::<mallory_scenarios::services::lfs_batch_sqlite::Op>(text, name),
        #[cfg(not(feature = "foreign"))]
        "lfs-batch-sqlite" | "task-repository-sqlite" => text.to_owned(),
        #[cfg(feature = "foreign")]
        "task-repository-sqlite" => {
            of::<mallory_scenarios::services::task_repository_sqlite::Op>(text, name)
        }
        "arena" => of::<systems::ArenaOp>(text, name),
        "intern" => of::<systems::InternOp>(text, name),
        "blocks" | "slab" => of::<systems::BlocksOp>(text, name),
        "regions" => of::<systems::RegionOp>(text, name),
        name if name.starts_with("shelf") => of::<shelf::Op>(text, name),
        name if name.starts_with("slot") => of::<slot::Op>(text, name),
        other => panic!("{name}: what operations has {other}?"),
    }
}
