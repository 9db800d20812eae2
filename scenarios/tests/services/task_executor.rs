//! The executor behaves like its model, survives every refused request, takes its changes back without
//! asking for memory, and uses its contexts again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mallory::system::World;
use mallory::{Heap, Options, Plan, System};
use mallory_scenarios::services::task_executor::{
    CONTEXTS, Failure, Model, Op, Reply, Step, TaskExecutor, VALUES_MAX,
};

use crate::by_hand::{agree, survive};
use crate::operations::{emit, remove, rename, require, set, task_executor as script};

#[test]
fn behaves_like_the_model() {
    for bypass in [false, true] {
        let requests = agree::<TaskExecutor>(&script(), &[], Options::new().bypass(bypass));
        assert!(requests > 100, "only {requests} requests");
    }
}

#[test]
fn survives_every_refused_request() {
    survive::<TaskExecutor>(&script(), &[]);
}

fn run(executor: &TaskExecutor, steps: &[Step]) -> String {
    let reply = executor.handle(&Op::Run(steps.to_vec())).expect("there is memory");
    format!("{reply:?}")
}

fn open(heap: &Heap) -> TaskExecutor {
    TaskExecutor::open(heap, &World::new(&[], Path::new("."))).expect("it takes no memory")
}

/// Counts the requests of a heap from now on, and refuses those after the first `allowed`.
fn counted(heap: &Heap, allowed: u64) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    heap.arm(Plan::when(move |_| counter.fetch_add(1, Ordering::Relaxed) >= allowed));
    count
}

/// The same steps, once with a last one that fails by a rule, once with one for which there is no
/// memory: what is taken back makes no request, so even a heap that has nothing left is enough.
#[test]
fn compensations_make_no_request() {
    let heap = Heap::new();
    let executor = open(&heap);
    run(&executor, &[set("a", "1"), set("b", "2"), set("c", "3")]);
    let before = executor.snapshot();
    let steps = [set("a", "${b}${c}"), remove("b"), set("d", "4"), rename("c", "b")];
    let failing = [&steps[..], &[require("d", "5")]].concat();
    run(&executor, &failing);

    let count = counted(&heap, u64::MAX);
    let why = Failure::Differs;
    let refused = format!("{:?}", Reply::<()>::RolledBack { step: 4, why, undone: 4 });
    assert_eq!(run(&executor, &failing), refused);
    let needed = count.load(Ordering::Relaxed);
    let count = counted(&heap, needed);
    assert_eq!(run(&executor, &failing), refused, "with nothing left at the end");
    assert_eq!(count.load(Ordering::Relaxed), needed);
    assert_eq!(executor.snapshot().values, before.values);
    assert_eq!((executor.snapshot().undone, executor.snapshot().rolled_back), (12, 3));

    // Wherever memory ends, nothing is left of the task.
    let before = executor.snapshot();
    for allowed in 0..needed {
        let count = counted(&heap, allowed);
        assert!(executor.handle(&Op::Run(failing.clone())).is_err(), "{allowed} are not enough");
        assert_eq!(count.load(Ordering::Relaxed), allowed + 1, "it went on after a refusal");
        heap.disarm();
        assert_eq!(executor.snapshot(), before, "after {allowed} requests");
    }
}

/// A task whose steps are all done is taken back if there is no memory for its reply.
#[test]
fn a_task_without_a_reply_is_not_done() {
    let heap = Heap::new();
    let executor = open(&heap);
    let steps = Op::Run(vec![set("a", "1"), emit("done")]);
    executor.handle(&steps).expect("there is memory");
    let count = counted(&heap, u64::MAX);
    executor.handle(&steps).expect("there is memory");
    let needed = count.load(Ordering::Relaxed);
    let before = executor.snapshot();
    let _ = counted(&heap, needed - 1);
    assert!(executor.handle(&steps).is_err());
    assert_eq!(executor.snapshot(), before);
}

#[test]
fn tasks_share_contexts_and_leave_them_empty() {
    let heap = Heap::new();
    let executor = open(&heap);
    for nth in 0..10 {
        run(&executor, &[set("a", "1"), emit("x"), require("a", &(nth % 2).to_string())]);
    }
    let stats = executor.stats();
    assert_eq!((stats.misses, stats.hits, stats.lent), (1, 9, 0));
    assert!(stats.idle <= CONTEXTS);
    // What a failed task emitted is not in the next one's reply.
    assert_eq!(run(&executor, &[emit("y")]), "Done(\"y\")");
}

#[test]
fn there_is_a_most_of_values() {
    let executor = open(&Heap::new());
    for nth in 0..VALUES_MAX {
        run(&executor, &[set(&nth.to_string(), "")]);
    }
    let why = Failure::TooMany;
    let refused = format!("{:?}", Reply::<()>::RolledBack { step: 1, why, undone: 1 });
    assert_eq!(run(&executor, &[set("0", "1"), set("new", "")]), refused);
    assert_eq!(run(&executor, &[remove("7"), set("new", "")]), "Done(\"\")");
}

#[test]
fn a_snapshot_covers_every_entry() {
    let executor = open(&Heap::new());
    let mut seen: Vec<Model> = Vec::new();
    for steps in [vec![set("a", "1")], vec![rename("a", "b")], vec![set("b", "2")], vec![]] {
        run(&executor, &steps);
        assert!(!seen.contains(&executor.snapshot()), "{steps:?} changes the snapshot");
        seen.push(executor.snapshot());
    }
}

#[test]
fn operations_are_written_and_read_back() {
    let text = ron::to_string(&script()).unwrap();
    assert_eq!(ron::from_str::<Vec<Op>>(&text).unwrap(), script());
}
