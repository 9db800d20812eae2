//! Properties that would pass for nothing are errors: those of a system that asks for no memory, and
//! those whose process ended before all scripts were run.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::common::only;
use allocator_api2::collections::TryReserveError;
use allocator_api2::vec::Vec as HeapVec;
use arbitrary::Arbitrary;
use mallory::proptest::property;
use mallory::system::World;
use mallory::{Heap, Kind, Report, System};
use serde::{Deserialize, Serialize};

/// A counter of its own for each kind of misbehaviour, since each test may run in this process.
static OPENED: [AtomicU32; 5] = [const { AtomicU32::new(0) }; 5];

/// What a system does once it has been opened for the fortieth time in a process.
const NOTHING: usize = 0;
const ABORTS: usize = 1;
const EXITS: usize = 2;
/// It keeps its bytes in std's vector, and misbehaves in no way.
const IGNORES_ITS_HEAP: usize = 3;
/// It exits whenever something is pushed.
const EXITS_AT_A_PUSH: usize = 4;

struct Stack<const THEN: usize> {
    bytes: HeapVec<u8, Heap>,
    elsewhere: Vec<u8>,
}

#[derive(Clone, Debug, Serialize, Deserialize, Arbitrary)]
enum Op {
    Push(u8),
    Pop,
}

impl<const THEN: usize> System for Stack<THEN> {
    const NAME: &'static str = "stack";

    type Op = Op;
    type Reply = Option<u8>;
    type Error = TryReserveError;
    type Model = Vec<u8>;

    fn open(heap: &Heap, _: &World<'_>) -> Result<Self, TryReserveError> {
        if OPENED[THEN].fetch_add(1, Ordering::Relaxed) == 40 {
            match THEN {
                ABORTS => std::process::abort(),
                EXITS => std::process::exit(0),
                _ => {}
            }
        }
        Ok(Stack { bytes: HeapVec::new_in(heap.clone()), elsewhere: Vec::new() })
    }

    fn apply(&mut self, op: &Op, _: &World<'_>) -> Result<Option<u8>, TryReserveError> {
        match op {
            Op::Push(_) if THEN == EXITS_AT_A_PUSH => std::process::exit(0),
            Op::Push(byte) if THEN == IGNORES_ITS_HEAP => self.elsewhere.push(*byte),
            Op::Push(byte) => {
                self.bytes.try_reserve(1)?;
                self.bytes.push(*byte);
            }
            Op::Pop if THEN == IGNORES_ITS_HEAP => return Ok(self.elsewhere.pop()),
            Op::Pop => return Ok(self.bytes.pop()),
        }
        Ok(None)
    }

    fn model(model: &mut Vec<u8>, op: &Op, _: &World<'_>) -> impl std::fmt::Debug {
        let Op::Push(byte) = op else { return model.pop() };
        model.push(*byte);
        None
    }

    fn snapshot(&self) -> Vec<u8> {
        if THEN == IGNORES_ITS_HEAP { self.elsewhere.clone() } else { self.bytes.to_vec() }
    }

    fn is_oom(_: &TryReserveError) -> bool {
        true
    }
}

fn error(report: &Report) -> String {
    assert_eq!(report.exit_code(), 2, "{report}");
    report.error().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn a_system_that_ignores_its_heap_is_an_error() {
    let text = error(&property::<Stack<IGNORES_ITS_HEAP>>().run());
    assert!(text.contains("no request reached the heap"), "{text}");
    assert!(text.contains(".allow_no_requests()"), "{text}");
    property::<Stack<IGNORES_ITS_HEAP>>().allow_no_requests().run().assert_clean();
    property::<Stack<NOTHING>>().run().assert_clean();
}

#[test]
fn no_scripts_are_an_error() {
    let text = error(&property::<Stack<NOTHING>>().cases(0).run());
    assert!(text.contains("no request reached the heap"), "{text}");
}

#[test]
fn a_process_that_ends_before_all_scripts_were_run_is_an_error() {
    for report in [property::<Stack<ABORTS>>().run(), property::<Stack<EXITS>>().run()] {
        let text = error(&report);
        assert!(text.contains("the process ended in script"), "{text}");
        assert!(text.contains("a static keeps something from script to script"), "{text}");
    }
}

#[test]
fn an_exit_code_of_0_is_no_pass() {
    let report = property::<Stack<EXITS_AT_A_PUSH>>().run();
    assert_eq!(only(&report).kind(), Kind::Exit, "{report}");
}
