//! The breakers behave like their model, survive every refused request, allocate nothing for a call,
//! and don't blame a backend for a lack of memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mallory::script::Script;
use mallory::{Heap, Options, Outcome, Plan, Sweep};
use mallory_scenarios::services::circuit_breaker::Behaviour::{Body, Echo, Fail, FailAfter};
use mallory_scenarios::services::circuit_breaker::{Circuit, Gateway, Op, State};

use crate::by_hand::{agree, survive};
use crate::operations::{call, circuit_breaker as script, register};

#[test]
fn behaves_like_the_model() {
    for bypass in [false, true] {
        let requests = agree::<Gateway>(&script(), &[], Options::new().bypass(bypass));
        assert!(requests > 50, "only {requests} requests");
    }
}

#[test]
fn survives_every_refused_request() {
    survive::<Gateway>(&script(), &[]);
}

#[test]
fn the_committed_script_returns_every_refusal() {
    let text = include_str!("../../scripts/circuit-breaker.ron");
    let script = Script::read(text, "circuit-breaker.ron").expect("a script");
    let report = Sweep::new("circuit-breaker").scripted::<Gateway>(&script);
    report.assert_clean();
    let coverage = report.coverage();
    assert!(coverage.complete && coverage.requests >= 200, "{report}");
    assert_eq!(report.outcomes(Outcome::Propagated), coverage.runs, "{report}");
}

fn handle(gateway: &mut Gateway, op: &Op) -> String {
    format!("{:?}", gateway.handle(op).expect("there is memory"))
}

/// A gateway with one backend, and a counter of its heap's requests from here on.
fn counted(failures: u8, trials: u8) -> (Heap, Gateway, Arc<AtomicU64>) {
    let heap = Heap::new();
    let mut gateway = Gateway::new(&heap);
    handle(&mut gateway, &register("db", failures, trials));
    let requests = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&requests);
    heap.arm(Plan::when(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        false
    }));
    (heap, gateway, requests)
}

#[test]
fn a_call_allocates_nothing() {
    let (_heap, mut gateway, requests) = counted(3, 1);
    for _ in 0..1_000 {
        handle(&mut gateway, &call("db", Echo));
    }
    assert_eq!(gateway.breakers.circuit("db"), Some(Circuit::NEW));
    assert_eq!(requests.load(Ordering::Relaxed), 0, "closed");
    for _ in 0..10 {
        handle(&mut gateway, &call("db", Fail));
    }
    gateway.breakers.advance(100);
    handle(&mut gateway, &call("db", Fail));
    gateway.breakers.advance(100);
    handle(&mut gateway, &call("db", Echo));
    assert_eq!(gateway.breakers.circuit("db"), Some(Circuit::NEW));
    assert_eq!(requests.load(Ordering::Relaxed), 0, "opened, rejected, tried");
    // The count works: a body of the caller's is a request.
    handle(&mut gateway, &call("db", Body(1)));
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

#[test]
fn running_out_of_memory_is_no_failure_of_the_backend() {
    let heap = Heap::new();
    let mut gateway = Gateway::new(&heap);
    handle(&mut gateway, &register("db", 2, 2));
    handle(&mut gateway, &call("db", Fail));
    let once = Some(Circuit::Closed { failures: 1 });
    heap.arm(Plan::from(1));
    for _ in 0..10 {
        assert!(gateway.handle(&call("db", Body(9))).is_err());
        assert!(gateway.handle(&call("db", FailAfter(9))).is_err());
        assert_eq!(gateway.breakers.circuit("db"), once);
    }
    assert_eq!(gateway.breakers.short_of_memory(), 20);
    // Nor is it a success.
    assert_eq!(handle(&mut gateway, &call("db", Fail)), "Failed(Open)");
    gateway.breakers.advance(100);
    let open = Some(Circuit::Open { until: 100 });
    assert!(gateway.handle(&call("db", Body(9))).is_err());
    assert_eq!(gateway.breakers.circuit("db"), open);
    handle(&mut gateway, &call("db", Echo));
    let half = Some(Circuit::HalfOpen { successes: 1 });
    assert!(gateway.handle(&call("db", FailAfter(9))).is_err());
    assert_eq!(gateway.breakers.circuit("db"), half);
    handle(&mut gateway, &call("db", Echo));
    assert_eq!(gateway.breakers.close("db"), Some(State::Closed));
}

#[test]
fn operations_are_written_and_read_back() {
    let text = ron::to_string(&script()).unwrap();
    assert_eq!(ron::from_str::<Vec<Op>>(&text).unwrap(), script());
}
