//! The memory manager behaves like its model, survives every refused request, makes room and tries
//! again, and keeps to its targets on a day with 200 containers.

use mallory::script::Script;
use mallory::{Heap, Options, Outcome, Plan, Sweep};
use mallory_scenarios::services::container_memory::{
    LOG_MAX, Level, MemoryManager, Op, Refusal, Reply,
};

use crate::by_hand::{agree, survive};
use crate::operations::container_memory as script;

const MIB: usize = 1 << 20;

#[test]
fn behaves_like_the_model() {
    for bypass in [false, true] {
        let requests = agree::<MemoryManager>(&script(), &[], Options::new().bypass(bypass));
        assert!(requests > 50, "only {requests} requests");
    }
}

#[test]
fn survives_every_refused_request() {
    survive::<MemoryManager>(&script(), &[]);
}

/// The committed script: where there is something to give up, the operation is done in a second
/// attempt, and its result and the end state are those of the run without a fault.
#[test]
fn requests_are_absorbed_where_there_is_something_to_give_up() {
    let text = include_str!("../../scripts/container-memory.ron");
    let script = Script::read(text, "container-memory.ron").expect("a script");
    for bypass in [false, true] {
        let options = Options::new().bypass(bypass);
        let sweep = Sweep::new("container-memory").options(options);
        let report = sweep.scripted::<MemoryManager>(&script);
        report.assert_clean();
        let coverage = report.coverage();
        assert!(coverage.complete && coverage.requests >= 200, "{report}");
        let absorbed = report.outcomes(Outcome::Absorbed);
        let propagated = report.outcomes(Outcome::Propagated);
        assert_eq!(absorbed + propagated, coverage.runs, "{report}");
        assert!(absorbed >= 50 && propagated >= 50, "{report}");
    }
}

fn create(id: &str) -> Op {
    let spec = "image=alpine\nenv=PATH=/usr/bin:/bin\nenv=HOME=/root\n".to_owned();
    Op::Create { id: id.to_owned(), spec }
}

fn log(id: &str, times: u16) -> Op {
    Op::Log { id: id.to_owned(), text: "0123456789abcdef".to_owned(), times }
}

fn handle(manager: &mut MemoryManager, op: &Op) -> String {
    format!("{:?}", manager.handle(op).expect("there is memory"))
}

#[test]
fn a_second_attempt_is_made_with_what_was_given_up() {
    let heap = Heap::new();
    let mut manager = MemoryManager::new(&heap);
    handle(&mut manager, &create("web"));
    heap.arm(Plan::nth(1));
    assert!(handle(&mut manager, &create("db")).starts_with("Created"));
    heap.disarm();
    assert_eq!(manager.retries(), 1);
    // The cache was given up; with nothing left the error is returned.
    let mut empty = MemoryManager::new(&heap);
    heap.arm(Plan::nth(1));
    assert!(empty.handle(&Op::Metrics).is_err());
}

#[test]
fn an_emergency_drops_the_logs_of_stopped_containers_only() {
    let mut manager = MemoryManager::new(&Heap::new());
    for id in ["runs", "stopped"] {
        handle(&mut manager, &create(id));
        handle(&mut manager, &Op::Start { id: id.into() });
        handle(&mut manager, &log(id, (LOG_MAX / 16) as u16));
    }
    handle(&mut manager, &Op::Stop { id: "stopped".into() });
    assert_eq!(manager.level(), Level::Normal);
    assert_eq!(handle(&mut manager, &Op::Pressure(0)), "Pressure(Emergency, 8192)");
    let refused = format!("{:?}", Reply::<()>::Refused(Refusal::Emergency));
    assert_eq!(handle(&mut manager, &create("new")), refused);
    assert_eq!(handle(&mut manager, &Op::Start { id: "stopped".into() }), refused);
    handle(&mut manager, &Op::Pressure(100));
    assert_eq!(handle(&mut manager, &Op::Stop { id: "runs".into() }), "Now(Stopped)");
    assert_eq!(handle(&mut manager, &Op::Destroy { id: "runs".into() }), "Destroyed(8192)");
    assert_eq!(handle(&mut manager, &Op::Destroy { id: "stopped".into() }), "Destroyed(0)");
    assert_eq!(manager.metrics().total_allocated, 0);
    let unknown = format!("{:?}", Reply::<()>::Refused(Refusal::Unknown));
    assert_eq!(handle(&mut manager, &Op::Stop { id: "runs".into() }), unknown);
}

/// A day: 200 containers are made, run and log; at most 100 are there at once, and at noon fifty
/// leave together.
fn day() -> Vec<Op> {
    let id = |number: usize| format!("container-{number}");
    let mut ops = vec![Op::Reload("name=node-1\n".into())];
    for number in 0..200 {
        ops.push(create(&id(number)));
        ops.push(Op::Start { id: id(number) });
        for hour in 0..6 {
            let times = 200 + (number * 37 + hour * 53) as u16 % 300;
            ops.push(log(&id(number.saturating_sub(hour)), times));
        }
        let command = format!("uptime of {number}\n");
        ops.push(Op::Exec { id: id(number), command, times: 120 });
        if number % 20 == 19 {
            ops.push(Op::Metrics);
        }
        let leaves = if number == 150 { number - 100..number - 50 } else { 0..0 };
        let oldest = if (100..150).contains(&number) { number - 100..number - 99 } else { leaves };
        for gone in oldest {
            ops.push(Op::Stop { id: id(gone) });
            ops.push(Op::Destroy { id: id(gone) });
        }
    }
    for number in 100..200 {
        ops.push(Op::Stop { id: id(number) });
        ops.push(Op::Destroy { id: id(number) });
    }
    ops.push(Op::Metrics);
    ops
}

#[test]
fn a_day_with_200_containers_is_as_the_model_says() {
    assert!(agree::<MemoryManager>(&day(), &[], Options::new()) > 1_000);
}

#[test]
fn a_day_with_200_containers_keeps_to_the_targets() {
    let heap = Heap::new();
    let mut manager = MemoryManager::new(&heap);
    let ops = day();
    handle(&mut manager, &ops[0]);
    let base = heap.live_bytes();
    let (mut most_each, mut worst, mut loads) = (0, 0, 0);
    let mut there = 0_usize;
    for op in &ops[1..] {
        handle(&mut manager, op);
        match op {
            Op::Create { .. } => there += 1,
            Op::Destroy { .. } => there -= 1,
            _ => {}
        }
        let metrics = manager.metrics();
        let held = metrics.held.expect("it was measured");
        if there >= 50 {
            most_each = most_each.max((held.bytes - base) / there);
            worst = worst.max(held.fragmentation_ratio);
            loads += 1;
        }
    }
    let peak = heap.peak_bytes();
    println!("base {base}, each {most_each}, peak {peak}, fragmentation {worst}/1000");
    assert!(loads > 1_000, "only {loads} operations under load");
    assert!(base < 50 * MIB && most_each < MIB && peak < 200 * MIB);
    assert!(worst < 100, "fragmentation {worst}/1000");
    let metrics = manager.metrics();
    assert_eq!((metrics.total_allocated, metrics.active_containers), (256, 0), "{metrics}");
    assert!(metrics.to_string().contains("fragmentation: "), "{metrics}");
    let mut json = String::new();
    metrics.write_json(&mut json).expect("there is room");
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert!(json["fragmentation_ratio"].is_f64() && json["held"].is_u64(), "{json}");
    drop(manager);
    assert_eq!((heap.live_bytes(), heap.found()), (0, 0));
}

#[test]
fn operations_are_written_and_read_back() {
    let text = ron::to_string(&script()).unwrap();
    assert_eq!(ron::from_str::<Vec<Op>>(&text).unwrap(), script());
}
