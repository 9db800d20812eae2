//! Async tasks: they are explored as threads are, with faults, and with futures dropped at awaits.
#![allow(unsafe_code)]

use std::time::Duration;

use allocator_api2::boxed::Box as HeapBox;
use mallory::future;
use mallory::tokio;
use mallory::tokio::sync::{Mutex, Notify, Semaphore, broadcast, mpsc, oneshot, watch};
use mallory::tokio::task::JoinSet;
use mallory::tokio::time;
use mallory::{Explore, Heap, Kind, Refused, Report};

type Outcome = Result<u64, Refused>;

fn kinds(report: &Report) -> Vec<Kind> {
    assert!(report.error().is_none(), "{report}");
    report.findings().iter().map(|finding| finding.kind()).collect()
}

fn explore(name: &str) -> Explore {
    Explore::new(name).shuttle().preemptions(2)
}

/// Two tasks that add to a number, with a look at it before.
async fn add_twice(is_atomic: bool) -> u64 {
    let sum = std::sync::Arc::new(Mutex::new(0_u64));
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let sum = std::sync::Arc::clone(&sum);
        tasks.spawn(async move {
            if is_atomic {
                *sum.lock().await += 1;
                return;
            }
            let before = *sum.lock().await;
            *sum.lock().await = before + 1;
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no panic");
    }
    *sum.lock().await
}

#[test]
fn tasks_are_explored_as_threads_are() {
    let lost = explore("lost").run(|_| -> Outcome { Ok(future::block_on(add_twice(false))) });
    assert!(lost.to_string().contains("2 different results"), "{lost}");
    let right = explore("right").run(|_| -> Outcome { Ok(future::block_on(add_twice(true))) });
    right.assert_clean();
    assert!(!right.to_string().contains("different results"), "{right}");
}

/// Two tasks that take two locks in opposite orders.
async fn crossed() {
    let locks = std::sync::Arc::new([Mutex::new(()), Mutex::new(())]);
    let tasks = [0, 1].map(|first| {
        let locks = std::sync::Arc::clone(&locks);
        tokio::spawn(async move {
            let _first = locks[first].lock().await;
            let _second = locks[1 - first].lock().await;
        })
    });
    for task in tasks {
        task.await.expect("no panic");
    }
}

#[test]
fn tasks_that_wait_for_each_other_are_a_deadlock() {
    let report = explore("crossed").run(|_| -> Outcome {
        future::block_on(crossed());
        Ok(0)
    });
    assert_eq!(kinds(&report), [Kind::Deadlock], "{report}");
    let token = report.findings()[0].token().clone();
    let again = explore("crossed").replay(token).run(|_| -> Outcome {
        future::block_on(crossed());
        Ok(0)
    });
    assert!(again.row().contains("reproduced"), "{again}");
}

/// A notification that is sent before the task waits, and is kept or lost.
async fn notified(is_kept: bool) {
    let notify = std::sync::Arc::new(Notify::new());
    let its = std::sync::Arc::clone(&notify);
    let waiter = tokio::spawn(async move { its.notified().await });
    if is_kept {
        notify.notify_one();
    } else {
        notify.notify_waiters();
    }
    waiter.await.expect("no panic");
}

#[test]
fn a_lost_notification_is_a_deadlock_and_a_kept_one_is_none() {
    let run = |is_kept| {
        explore("notified").run(move |_| -> Outcome {
            future::block_on(notified(is_kept));
            Ok(0)
        })
    };
    assert_eq!(kinds(&run(false)), [Kind::Deadlock]);
    run(true).assert_clean();
}

#[test]
fn channels_and_permits_hand_over() {
    let report = explore("channels").run(|_| -> Outcome {
        future::block_on(async {
            let (sender, mut receiver) = mpsc::channel(1);
            let (done, is_done) = oneshot::channel();
            let (all, mut each) = broadcast::channel(4);
            let (latest, mut watched) = watch::channel(0_u64);
            let permits = std::sync::Arc::new(Semaphore::new(1));
            let producer = tokio::spawn(async move {
                for n in 1..=2_u64 {
                    sender.send(n).await.expect("a receiver");
                }
            });
            let its = std::sync::Arc::clone(&permits);
            let consumer = tokio::spawn(async move {
                let mut sum = 0;
                while let Some(n) = receiver.recv().await {
                    let _permit = its.acquire().await.expect("it is open");
                    sum += n;
                }
                all.send(sum).expect("a receiver");
                latest.send(sum).expect("a receiver");
                done.send(sum).expect("a receiver");
            });
            assert_eq!(is_done.await, Ok(3));
            assert_eq!(each.recv().await, Ok(3));
            watched.changed().await.expect("a sender");
            assert_eq!(*watched.borrow(), 3);
            producer.await.expect("no panic");
            consumer.await.expect("no panic");
        });
        Ok(0)
    });
    report.assert_clean();
}

#[test]
fn timeouts_and_ticks_are_simulated() {
    let explore = explore("times").allow_no_requests().preemptions(0).wakeups(0);
    let report = explore.run(|_| -> Outcome {
        future::block_on(async {
            let start = mallory::time::Instant::now();
            let slow = time::sleep(Duration::from_secs(3600));
            assert!(time::timeout(Duration::from_secs(5), slow).await.is_err());
            assert_eq!(start.elapsed(), Duration::from_secs(5));
            let fast = time::sleep(Duration::from_millis(1));
            assert_eq!(time::timeout(Duration::from_secs(5), fast).await, Ok(()));
            let mut ticks = time::interval(Duration::from_secs(1));
            for _ in 0..3 {
                ticks.tick().await;
            }
            assert_eq!(start.elapsed(), Duration::from_millis(7001));
            let first = tokio::select! {
                () = time::sleep(Duration::from_secs(2)) => 2,
                () = time::sleep(Duration::from_secs(1)) => 1,
            };
            assert_eq!(first, 1);
        });
        Ok(0)
    });
    report.assert_clean();
}

#[test]
fn an_aborted_task_ends_at_its_next_await() {
    let report = explore("aborted").run(|_| -> Outcome {
        future::block_on(async {
            let task = tokio::spawn(std::future::pending::<()>());
            task.abort();
            let error = task.await.expect_err("it never ends by itself");
            assert!(error.is_cancelled(), "{error}");
        });
        Ok(0)
    });
    report.assert_clean();
}

/// A service of three tasks over one store: two workers, and one who takes what they made.
async fn service(heap: Heap) -> Outcome {
    let (sender, mut receiver) = mpsc::channel::<HeapBox<u64, Heap>>(1);
    let mut workers = JoinSet::new();
    for n in 1..=2_u64 {
        let (sender, heap) = (sender.clone(), heap.clone());
        workers.spawn(async move {
            let value = HeapBox::try_new_in(n, heap).map_err(|_| Refused)?;
            sender.send(value).await.map_err(|_| Refused)
        });
    }
    drop(sender);
    let taker = tokio::spawn(async move {
        let mut sum = 0;
        while let Some(value) = receiver.recv().await {
            sum += *value;
        }
        sum
    });
    let mut failed = Ok(());
    while let Some(ended) = workers.join_next().await {
        failed = failed.and(ended.map_err(|_| Refused).and_then(|ended| ended));
    }
    let sum = taker.await.map_err(|_| Refused)?;
    failed.map(|()| sum)
}

#[test]
fn a_service_of_three_tasks_survives_every_fault_to_two_preemptions() {
    let report = explore("service").run(|heap| future::block_on(service(heap.clone())));
    report.assert_clean();
    assert!(report.coverage().complete && report.coverage().runs > 10, "{report}");
}

#[test]
fn a_future_that_is_dropped_at_any_await_leaves_nothing_behind() {
    let run = |explore: Explore| {
        explore.cancellations(1).oom(|_| true).run(|heap| {
            // What a dropped future made is gone: the outcome says so, as for want of memory.
            future::block_on(service(heap.clone()))
        })
    };
    run(explore("dropped").preemptions(1)).assert_clean();
}

/// Keeps a block in a way that only code after an await gives it back.
async fn leaks_if_dropped(heap: Heap) -> Outcome {
    let (sender, receiver) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let block = HeapBox::try_new_in(1_u64, heap.clone()).map_err(|_| Refused)?;
        let (start, heap) = HeapBox::into_raw_with_allocator(block);
        let address = start as usize;
        let _ = receiver.await;
        // SAFETY: the block was allocated above by this heap, and is given back once.
        drop(unsafe { HeapBox::from_raw_in(address as *mut u64, heap) });
        Ok::<(), Refused>(())
    });
    let _ = sender.send(());
    match task.await {
        Ok(ended) => ended.map(|()| 0),
        Err(_) => Ok(0),
    }
}

#[test]
fn a_block_that_a_dropped_future_forgets_is_a_leak() {
    let subject = |heap: &Heap| future::block_on(leaks_if_dropped(heap.clone()));
    explore("forgets").run(subject).assert_clean();
    let cancelling = || explore("forgets").cancellations(1);
    let report = cancelling().run(subject);
    assert_eq!(kinds(&report), [Kind::Leak], "{report}");
    let token = report.findings()[0].token().clone();
    assert!(token.to_string().contains(">drop"), "{token}");
    let again = explore("forgets").replay(token).run(subject);
    assert!(again.row().contains("reproduced"), "{again}");
}

/// A handle that outlives the one that waits ends the task, which then leaves nothing behind.
#[test]
fn a_task_is_ended_by_a_handle_of_its_own() {
    fn ended(heap: &Heap, aborts: bool) -> Result<(), Refused> {
        let list = HeapBox::try_new_in(7, heap.clone()).map_err(|_| Refused)?;
        let task = future::spawn(async move {
            let _list = list;
            std::future::pending::<()>().await;
        });
        let handle = task.abort_handle();
        if aborts {
            handle.clone().abort();
        }
        let error = future::block_on(task).expect_err("it never gets an output");
        assert!(error.is_cancelled() && handle.is_finished());
        Ok(())
    }
    Explore::new("aborted").shuttle().run(|heap| ended(heap, true)).assert_clean();
    let report = Explore::new("awaited").shuttle().run(|heap| ended(heap, false));
    assert_eq!(kinds(&report), [Kind::Deadlock], "{report}");
}
