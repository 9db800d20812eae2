//! Futures inside of a task: which branch of a `select!` is polled first, which time is up, and where
//! a future is dropped are choices of the exploration. Each planted bug has a near miss.
#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use allocator_api2::boxed::Box as HeapBox;
use mallory::future::{self, block_on, cancellable};
use mallory::tokio;
use mallory::tokio::sync::{Semaphore, mpsc, oneshot};
use mallory::tokio::task::JoinSet;
use mallory::tokio::time;
use mallory::{Explore, Heap, Kind, Refused, Report};

type Outcome = Result<u64, Refused>;

fn explore(name: &str) -> Explore {
    Explore::new(name).shuttle().preemptions(1).wakeups(0)
}

fn on_heap<F: Future<Output = u64>>(subject: impl Fn() -> F + Sync) -> impl Fn(&Heap) -> Outcome {
    move |_| Ok(block_on(subject()))
}

/// Asserts that there is one finding, whose schedule needs this, and that its token replays it.
fn is_found(report: &Report, kind: Kind, needs: &str, run: &dyn Fn(Explore) -> Report) {
    assert!(report.error().is_none(), "{report}");
    let kinds: Vec<Kind> = report.findings().iter().map(|finding| finding.kind()).collect();
    assert_eq!(kinds, [kind], "{report}");
    let token = report.findings()[0].token().clone();
    assert!(token.to_string().contains(needs), "{token}");
    let again = run(explore("cancellation").replay(token));
    assert!(again.row().contains("reproduced"), "{again}");
}

/// Two values are there at a time. Nobody may rely on the first.
async fn relies_on_the_first(is_biased: bool) -> u64 {
    let (first, mut firsts) = mpsc::channel(1);
    let (second, mut seconds) = mpsc::channel(1);
    first.send(1).await.expect("there is room");
    second.send(2).await.expect("there is room");
    let taker = tokio::spawn(async move {
        if is_biased {
            tokio::select! {
                biased;
                Some(n) = firsts.recv() => n,
                Some(n) = seconds.recv() => n,
            }
        } else {
            tokio::select! {
                Some(n) = firsts.recv() => n,
                Some(n) = seconds.recv() => n,
            }
        }
    });
    let taken = taker.await.expect("no panic");
    assert_eq!(taken, 1, "the second value came first");
    taken
}

#[test]
fn which_ready_branch_is_taken_is_explored_unless_it_is_biased() {
    let run = |explore: Explore| explore.run(on_heap(|| relies_on_the_first(false)));
    let report = run(explore("cancellation"));
    is_found(&report, Kind::Panic, ">branch1", &run);
    run(explore("cancellation").preemptions(0)).assert_clean();
    let random = run(Explore::new("cancellation").shuttle().random(20));
    assert_eq!(random.findings().len(), 1, "{random}");
    let biased = explore("biased").run(on_heap(|| relies_on_the_first(true)));
    biased.assert_clean();
    assert!(biased.coverage().complete, "{biased}");
}

/// A sale that takes the piece before or after it is acknowledged, and may take too long.
async fn sells(takes_first: bool) -> u64 {
    let (left, sold) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)));
    let (accept, accepted) = oneshot::channel::<()>();
    let shop = (Arc::clone(&left), Arc::clone(&sold));
    let seller = tokio::spawn(async move {
        let (left, sold) = shop;
        let sale = async {
            if takes_first {
                left.fetch_sub(1, Ordering::SeqCst);
            }
            let _ = accepted.await;
            if !takes_first {
                left.fetch_sub(1, Ordering::SeqCst);
            }
            sold.fetch_add(1, Ordering::SeqCst);
        };
        time::timeout(Duration::from_secs(1), sale).await.is_ok()
    });
    let _ = accept.send(());
    let is_sold = seller.await.expect("no panic");
    let (left, sold) = (left.load(Ordering::SeqCst), sold.load(Ordering::SeqCst));
    assert_eq!((left, sold), if is_sold { (0, 1) } else { (1, 0) }, "a piece is lost");
    0
}

#[test]
fn a_timeout_may_end_what_others_could_still_finish() {
    let run = |explore: Explore| explore.run(on_heap(|| sells(true)));
    run(explore("cancellation")).assert_clean();
    let report = run(explore("cancellation").wakeups(1));
    is_found(&report, Kind::Panic, "s=", &run);
    explore("sells-last").wakeups(1).run(on_heap(|| sells(false))).assert_clean();
}

/// A permit that is given back by hand, or by its guard.
async fn holds_a_permit(by_hand: bool) -> u64 {
    let permits = Semaphore::new(1);
    let (is_done, done) = oneshot::channel::<()>();
    let other = tokio::spawn(async move { is_done.send(()).is_ok() });
    let work = async {
        let permit = permits.acquire().await.expect("it is open");
        if by_hand {
            permit.forget();
            let _ = done.await;
            permits.add_permits(1);
        } else {
            let _ = done.await;
        }
    };
    let _ = cancellable(work).await;
    other.await.expect("no panic");
    assert_eq!(permits.available_permits(), 1, "a permit is lost");
    0
}

#[test]
fn a_permit_that_a_dropped_inner_future_forgets_is_found() {
    let run = |explore: Explore| explore.run(on_heap(|| holds_a_permit(true)));
    run(explore("cancellation")).assert_clean();
    let report = run(explore("cancellation").cancellations(1));
    is_found(&report, Kind::Panic, ">drop1", &run);
    let near_miss = explore("guarded").cancellations(1);
    let near_miss = near_miss.run(on_heap(|| holds_a_permit(false)));
    near_miss.assert_clean();
}

/// A block that only code after an await frees, or its owner.
async fn holds_a_block(heap: Heap, is_raw: bool) -> Outcome {
    let (is_done, done) = oneshot::channel::<()>();
    let other = tokio::spawn(async move { is_done.send(()).is_ok() });
    let work = async {
        let block = HeapBox::try_new_in(1_u64, heap).map_err(|_| Refused)?;
        if !is_raw {
            let _ = done.await;
            return Ok(*block);
        }
        let (start, heap) = HeapBox::into_raw_with_allocator(block);
        let _ = done.await;
        // SAFETY: the block was allocated above by this heap, and is given back once.
        Ok(*unsafe { HeapBox::from_raw_in(start, heap) })
    };
    let ended = cancellable(work).await;
    other.await.expect("no panic");
    ended.unwrap_or(Ok(1))
}

#[test]
fn a_block_that_a_dropped_inner_future_forgets_is_a_leak() {
    let run = |explore: Explore| explore.run(|heap| block_on(holds_a_block(heap.clone(), true)));
    run(explore("cancellation")).assert_clean();
    let report = run(explore("cancellation").cancellations(1));
    is_found(&report, Kind::Leak, ">drop1", &run);
    let near_miss = explore("owned").cancellations(1);
    near_miss.run(|heap| block_on(holds_a_block(heap.clone(), false))).assert_clean();
}

/// A request that was accepted although the one who made it was told that it was cancelled.
async fn asks() -> u64 {
    let (answer, answered) = oneshot::channel::<()>();
    let other = tokio::spawn(async move { answer.send(()).is_ok() });
    let is_cancelled = cancellable(answered).await.is_err();
    let is_accepted = other.await.expect("no panic");
    assert!(!(is_cancelled && is_accepted), "what was handed over is lost");
    0
}

#[test]
fn a_future_is_dropped_also_after_it_was_woken() {
    let run = |explore: Explore| explore.run(on_heap(asks));
    let report = run(explore("cancellation").preemptions(0).cancellations(1));
    assert!(report.to_string().contains("what was handed over is lost"), "{report}");
    is_found(&report, Kind::Panic, ">drop1", &run);
}

/// Two futures that wait in one task.
async fn joins(counts: &'static str) -> u64 {
    let (first, firsts) = oneshot::channel::<()>();
    let (second, seconds) = oneshot::channel::<()>();
    let other = tokio::spawn(async move { first.send(()).is_ok() | second.send(()).is_ok() });
    let (first, second) = tokio::join!(cancellable(firsts), cancellable(seconds));
    other.await.expect("no panic");
    assert!(counts != "first" || first.is_ok(), "the first was dropped");
    assert!(counts != "second" || second.is_ok(), "the second was dropped");
    assert!(first.is_ok() || second.is_ok(), "both were dropped");
    0
}

#[test]
fn each_future_of_a_task_is_dropped_by_itself() {
    for (counts, needs) in [("first", ">drop1"), ("second", ">drop2")] {
        let run = |explore: Explore| explore.run(on_heap(|| joins(counts)));
        run(explore("cancellation")).assert_clean();
        is_found(&run(explore("cancellation").cancellations(1)), Kind::Panic, needs, &run);
    }
    let run = |explore: Explore| explore.run(on_heap(|| joins("none")));
    run(explore("cancellation").cancellations(1)).assert_clean();
    let both = run(explore("cancellation").cancellations(2));
    assert!(both.to_string().contains("both were dropped"), "{both}");
}

/// Sets a flag when it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn aborting_does_as_tokio_does() {
    let report = explore("aborts").run(on_heap(|| async {
        // A task that has ended keeps its output.
        let ended = tokio::spawn(async { 1 });
        let handle = ended.abort_handle();
        while !handle.is_finished() {
            tokio::task::yield_now().await;
        }
        handle.abort();
        assert_eq!(ended.await.expect("it had ended"), 1);
        // One that waits ends, and its future is dropped before its handle says so.
        let is_dropped = Arc::new(AtomicBool::new(false));
        let flag = Flag(Arc::clone(&is_dropped));
        let mut tasks = JoinSet::new();
        let handle = tasks.spawn(async move {
            let _flag = flag;
            std::future::pending::<u64>().await
        });
        handle.clone().abort();
        let error = tasks.join_next().await.expect("there is one").expect_err("it never ends");
        assert!(error.is_cancelled() && handle.is_finished());
        assert!(is_dropped.load(Ordering::SeqCst));
        // All tasks of a set have ended after it was shut down.
        let is_dropped = Arc::new(AtomicBool::new(false));
        let flag = Flag(Arc::clone(&is_dropped));
        tasks.spawn(async move {
            let _flag = flag;
            std::future::pending::<u64>().await
        });
        tasks.shutdown().await;
        assert!(tasks.is_empty() && is_dropped.load(Ordering::SeqCst));
        0
    }));
    report.assert_clean();
}

#[test]
fn outside_of_an_exploration_nothing_is_dropped() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let task = mallory::future::spawn(async move { receiver.recv().expect("a value") });
    sender.send(7).expect("the task waits");
    let ended = block_on(async { cancellable(task).await.map(|joined| joined.expect("no panic")) });
    assert_eq!(ended, Ok(7));
}

/// A task without other threads has one schedule, unless it can be dropped somewhere.
#[test]
fn only_what_has_no_choice_is_said_to_have_one_schedule() {
    let run = |cancellations| {
        let explore = explore("alone").allow_no_requests().cancellations(cancellations);
        explore.run(on_heap(|| async { cancellable(future::yield_now()).await.map_or(1, |()| 1) }))
    };
    let note = "there is one schedule";
    assert!(run(0).to_string().contains(note));
    let dropped = run(1);
    assert_eq!(dropped.coverage().schedules, 2, "{dropped}");
    assert!(!dropped.to_string().contains(note), "{dropped}");
}
