//! The hub behaves like its model, survives every refused request, and gives each report to all of its
//! listeners or to none.

use std::path::Path;

use mallory::system::World;
use mallory::{Heap, Options, Plan, System};
use mallory_scenarios::services::state_listener::{INBOX_MAX, Model, Op, StateHub, TaskState};

use crate::by_hand::{agree, survive};
use crate::operations::{listen, receive, report, state_listener as script};

#[test]
fn behaves_like_the_model() {
    for bypass in [false, true] {
        let requests = agree::<StateHub>(&script(), &[], Options::new().bypass(bypass));
        assert!(requests > 60, "only {requests} requests");
    }
}

#[test]
fn survives_every_refused_request() {
    survive::<StateHub>(&script(), &[]);
}

fn handle(hub: &mut StateHub, op: &Op) -> String {
    format!("{:?}", hub.handle(op).expect("there is memory"))
}

/// Wherever memory ends while a report is made, no listener has it, and no string has a reference more.
#[test]
fn a_refused_report_is_in_no_inbox() {
    let heap = Heap::new();
    let mut refused = 0;
    for n in 1.. {
        let mut hub = StateHub::new(&heap);
        for name in ["ui", "audit", "mail"] {
            handle(&mut hub, &listen(name, None));
        }
        let before = hub.snapshot();
        heap.arm(Plan::nth(n));
        let done = hub.handle(&report("build", TaskState::Failed, "a note"));
        heap.disarm();
        if done.is_ok() {
            break;
        }
        assert_eq!(hub.snapshot(), before, "request {n}");
        refused += 1;
    }
    assert!(refused > 4, "only {refused} requests");
}

/// What many listeners wait for is stored once.
#[test]
fn a_report_is_stored_once() {
    let peaks = [1, 7].map(|listeners| {
        let heap = Heap::new();
        let mut hub = StateHub::new(&heap);
        for nth in 0..listeners {
            handle(&mut hub, &listen(&nth.to_string(), None));
            // With room for the report in its inbox.
            handle(&mut hub, &report("build", TaskState::Pending, ""));
        }
        let before = heap.live_bytes();
        handle(&mut hub, &report("deploy", TaskState::Failed, &"n".repeat(1000)));
        heap.live_bytes() - before
    });
    assert!(peaks[0] >= 1000 && peaks[1] < 2000, "{peaks:?}");
}

#[test]
fn a_full_inbox_refuses_a_report_for_all() {
    let mut hub = StateHub::new(&Heap::new());
    handle(&mut hub, &listen("slow", None));
    for _ in 0..INBOX_MAX {
        assert_eq!(handle(&mut hub, &report("build", TaskState::Running, "")), "Reported(1)");
    }
    handle(&mut hub, &listen("ui", None));
    assert_eq!(handle(&mut hub, &report("build", TaskState::Failed, "")), "Full");
    assert_eq!(handle(&mut hub, &receive("ui", 1)), "Reports(\"[]\")");
    handle(&mut hub, &receive("slow", 1));
    assert_eq!(handle(&mut hub, &report("build", TaskState::Failed, "")), "Full");
    assert_eq!(handle(&mut hub, &Op::Acknowledge("slow".into())), "Acknowledged(1)");
    assert_eq!(handle(&mut hub, &report("build", TaskState::Failed, "")), "Reported(2)");
}

#[test]
fn a_snapshot_covers_every_entry() {
    let world = World::new(&[], Path::new("."));
    let mut hub = StateHub::open(&Heap::new(), &world).unwrap();
    let mut seen: Vec<Model> = Vec::new();
    let ops = [
        listen("ui", None),
        listen("ui", Some(TaskState::Failed)),
        report("build", TaskState::Failed, ""),
        receive("ui", 1),
        Op::Acknowledge("ui".into()),
        report("build", TaskState::Failed, "x"),
    ];
    for op in ops {
        hub.apply(&op, &world).unwrap();
        assert!(!seen.contains(&hub.snapshot()), "{op:?} changes the snapshot");
        seen.push(hub.snapshot());
    }
}

#[test]
fn operations_are_written_and_read_back() {
    let text = ron::to_string(&script()).unwrap();
    assert_eq!(ron::from_str::<Vec<Op>>(&text).unwrap(), script());
}
