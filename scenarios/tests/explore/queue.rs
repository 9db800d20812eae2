//! The message queue: no message is lost or doubled in any order of its tasks, under any fault, and
//! wherever a task is dropped. Its planted twin loses one.

use mallory::{Explore, Heap, Kind, Outcome, Refused, Report};
use mallory_scenarios::concurrent::queue;

type Subject = fn(&Heap) -> Result<usize, Refused>;

fn explore(name: &str) -> Explore {
    Explore::new(name).shuttle().jobs(2)
}

fn run(explore: Explore, subject: Subject) -> Report {
    explore.oom(|_: &Refused| true).run(subject)
}

#[test]
fn is_clean_with_every_fault_in_every_order_to_two_preemptions() {
    let report = run(explore("concurrent/queue").preemptions(2), queue::deliver);
    report.assert_clean();
    assert!(report.coverage().complete, "{report}");
    assert_ne!(report.outcomes(Outcome::Propagated), 0, "{report}");
}

#[test]
fn is_clean_wherever_a_task_is_dropped() {
    let explore = explore("concurrent/queue").preemptions(1).cancellations(1);
    let report = run(explore, queue::deliver);
    report.assert_clean();
    assert!(report.coverage().complete, "{report}");
}

#[test]
fn a_message_that_a_dropped_worker_keeps_to_itself_is_lost() {
    let explore = || explore("concurrent/queue-planted").preemptions(1);
    run(explore(), queue::planted).assert_clean();
    let report = run(explore().cancellations(1), queue::planted);
    assert!(report.error().is_none(), "{report}");
    assert!(report.to_string().contains("is lost or doubled"), "{report}");
    let kinds: Vec<Kind> = report.findings().iter().map(|finding| finding.kind()).collect();
    assert_eq!(kinds, [Kind::Panic], "{report}");
    let token = report.findings()[0].token().clone();
    assert!(token.to_string().contains(">drop"), "{token}");
    let again = run(explore().replay(token), queue::planted);
    assert!(again.row().contains("reproduced"), "{again}");
}
