//! Runs a system through a list of operations without Mallory's sweep: first without a fault,
//! compared with its model step by step, then with every request refused in turn. This is an
//! independent check of both the services and the sweep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mallory::system::{Guarantee, World};
use mallory::{Heap, Options, Plan, System};

/// A fresh directory with the input of a run.
pub(crate) struct Stage<'a> {
    input: &'a [u8],
    scratch: tempfile::TempDir,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Stage { input, scratch: tempfile::tempdir().expect("a scratch directory") }
    }

    pub(crate) fn world(&self) -> World<'_> {
        self.world_of(self.input)
    }

    /// The same directory, with another input.
    pub(crate) fn world_of<'w>(&'w self, input: &'w [u8]) -> World<'w> {
        World::new(input, self.scratch.path())
    }
}

/// The replies and states of the model.
struct Expected<S: System> {
    replies: Vec<String>,
    states: Vec<S::Model>,
}

fn expected<S: System>(ops: &[S::Op], world: &World<'_>) -> Expected<S> {
    let mut model = S::Model::default();
    let (mut replies, mut states) = (Vec::new(), vec![model.clone()]);
    for op in ops {
        replies.push(format!("{:?}", S::model(&mut model, op, world)));
        states.push(model.clone());
    }
    Expected { replies, states }
}

/// Runs the operations without a fault, compares each reply and each state with the model's, and
/// returns the number of requests.
pub(crate) fn agree<S: System>(ops: &[S::Op], input: &[u8], options: Options) -> u64 {
    let stage = Stage::new(input);
    let world = stage.world();
    let expected = expected::<S>(ops, &world);
    let heap = options.heap();
    let requests = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&requests);
    heap.arm(Plan::when(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        false
    }));
    let mut system = S::open(&heap, &world).unwrap_or_else(|error| panic!("open: {error:?}"));
    assert_eq!(system.snapshot(), expected.states[0], "after open");
    for (step, op) in ops.iter().enumerate() {
        let reply = system.apply(op, &world).unwrap_or_else(|error| panic!("{op:?}: {error:?}"));
        assert_eq!(format!("{reply:?}"), expected.replies[step], "reply to {op:?}");
        assert_eq!(system.snapshot(), expected.states[step + 1], "state after {op:?}");
    }
    drop(system);
    assert_eq!(heap.live_bytes(), 0, "bytes left without a fault");
    requests.load(Ordering::Relaxed)
}

/// Refuses every request in turn, alone and with all later ones, with the kill switch and without.
/// Each operation that fails must report out of memory, leave the state as it was if it promises
/// to, and succeed when it is repeated; the final state must be the model's. Returns the number of
/// requests of the run without the kill switch.
pub(crate) fn survive<S: System>(ops: &[S::Op], input: &[u8]) -> u64 {
    let mut plain = 0;
    for bypass in [true, false] {
        let options = Options::new().bypass(bypass);
        plain = agree::<S>(ops, input, options.clone());
        for n in 1..=plain {
            for plan in [Plan::nth(n), Plan::from(n)] {
                let heap = options.clone().heap();
                let name = format!("{plan:?}, bypass {bypass}");
                run_faulted::<S>(ops, input, &heap, plan, &name);
                assert_eq!(heap.live_bytes(), 0, "bytes left under {name}");
            }
        }
    }
    plain
}

fn run_faulted<S: System>(ops: &[S::Op], input: &[u8], heap: &Heap, plan: Plan, name: &str) {
    let stage = Stage::new(input);
    let world = stage.world();
    let expected = expected::<S>(ops, &world);
    heap.arm(plan);
    let opened = S::open(heap, &world).or_else(|error| {
        heap.disarm();
        assert!(S::is_oom(&error), "open fails with {error:?} under {name}");
        S::open(heap, &world)
    });
    let mut system = opened.unwrap_or_else(|error| panic!("open again: {error:?} under {name}"));
    for (step, op) in ops.iter().enumerate() {
        let applied = system.apply(op, &world).or_else(|error| {
            heap.disarm();
            assert!(S::is_oom(&error), "{op:?} fails with {error:?} under {name}");
            if S::guarantee(op) == Guarantee::Atomic {
                let before = &expected.states[step];
                assert_eq!(&system.snapshot(), before, "state after {op:?} failed under {name}");
            }
            system.apply(op, &world)
        });
        let reply = applied.unwrap_or_else(|error| panic!("{op:?} again: {error:?} under {name}"));
        assert_eq!(format!("{reply:?}"), expected.replies[step], "reply to {op:?} under {name}");
    }
    let end = expected.states.last();
    assert_eq!(Some(&system.snapshot()), end, "the end under {name}");
}
