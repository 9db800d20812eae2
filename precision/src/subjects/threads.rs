//! Crates for several threads. Which thread does what differs from run to run, and what they return
//! doesn't.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::TEXT;

pub(super) fn arc_swap() -> (u64, usize) {
    let current = arc_swap::ArcSwap::from_pointee(vec![0_u64]);
    let read = thread::scope(|scope| {
        let reader = scope.spawn(|| (0..50).filter(|_| !current.load().is_empty()).count());
        for number in 1..10 {
            current.rcu(|old| old.iter().copied().chain([number]).collect::<Vec<_>>());
        }
        reader.join().unwrap_or(0)
    });
    (current.load_full().iter().sum(), read)
}

pub(super) fn crossbeam_channel() -> (Vec<usize>, usize) {
    let (send, receive) = crossbeam_channel::bounded(4);
    let (done, ends) = crossbeam_channel::unbounded();
    thread::scope(|scope| {
        for first in 0..3 {
            let (send, done) = (send.clone(), done.clone());
            scope.spawn(move || {
                (0..10).for_each(|step| send.send(vec![first; step]).unwrap_or(()));
                done.send(first).unwrap_or(());
            });
        }
        drop((send, done));
        let mut lengths = Vec::new();
        let mut ended = 0;
        let mut open = [true; 2];
        while open != [false; 2] {
            crossbeam_channel::select! {
                recv(receive) -> words => match words {
                    Ok(words) => lengths.push(words.len()),
                    Err(_) => open[0] = false,
                },
                recv(ends) -> first => match first {
                    Ok(first) => ended += first,
                    Err(_) => open[1] = false,
                },
            }
        }
        lengths.sort_unstable();
        (lengths, ended)
    })
}

pub(super) fn crossbeam_deque() -> (usize, bool) {
    use crossbeam_deque::{Injector, Steal, Worker};

    let injector = Injector::new();
    (0..200_usize).for_each(|number| injector.push(Box::new(number)));
    let worker = Worker::new_fifo();
    let stealer = worker.stealer();
    let mut sum = 0;
    while let Steal::Success(number) = injector.steal_batch_and_pop(&worker) {
        sum += *number;
        while let Some(number) = worker.pop() {
            sum += *number;
        }
    }
    (sum, stealer.is_empty())
}

pub(super) fn crossbeam_epoch() -> (usize, Vec<usize>) {
    use crossbeam_epoch::{Atomic, Collector, Owned};

    let collector = Collector::new();
    let local = collector.register();
    let current = Atomic::new(vec![0_usize]);
    let mut seen = Vec::new();
    for number in 1..30 {
        let guard = local.pin();
        let next = Owned::new(vec![number; number % 5]);
        let old = current.swap(next, Ordering::AcqRel, &guard);
        // SAFETY: `old` was valid until now, and nobody else reads it any more.
        seen.push(unsafe { old.deref() }.len());
        // SAFETY: it can't be reached any more.
        unsafe { guard.defer_destroy(old) };
        guard.flush();
    }
    // SAFETY: there is no other thread.
    let last = unsafe { current.into_owned() };
    (last.len(), seen)
}

pub(super) fn crossbeam_skiplist() -> (Vec<(String, usize)>, usize) {
    let map = crossbeam_skiplist::SkipMap::new();
    for (place, word) in TEXT.split(' ').enumerate() {
        map.insert(word.to_owned(), place);
    }
    map.remove("fox");
    let range = map.range("l".to_owned().."s".to_owned());
    (range.map(|entry| (entry.key().clone(), *entry.value())).collect(), map.len())
}

pub(super) fn dashmap() -> (Vec<(String, usize)>, usize) {
    let counts = dashmap::DashMap::new();
    let words: Vec<&str> = TEXT.split(' ').collect();
    thread::scope(|scope| {
        for part in words.chunks(words.len() / 2) {
            let counts = &counts;
            scope.spawn(move || {
                for word in part {
                    *counts.entry((*word).to_owned()).or_insert(0) += 1;
                }
            });
        }
    });
    let once = counts.iter().filter(|entry| *entry.value() == 1).count();
    counts.retain(|_, count| *count > 1);
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort();
    (counts, once)
}

pub(super) fn flume() -> (Vec<usize>, usize) {
    let (send, receive) = flume::bounded(2);
    thread::scope(|scope| {
        for first in 0..2 {
            let send = send.clone();
            scope.spawn(move || {
                (0..8).for_each(|step| send.send(first * 100 + step).unwrap_or(()));
            });
        }
        drop(send);
        let mut numbers: Vec<usize> = receive.iter().collect();
        numbers.sort_unstable();
        let sum = numbers.iter().sum();
        (numbers, sum)
    })
}

pub(super) fn moka() -> (Vec<usize>, u64) {
    let cache = moka::sync::Cache::new(100);
    let made = AtomicUsize::new(0);
    let words: Vec<&str> = TEXT.split(' ').collect();
    thread::scope(|scope| {
        for _ in 0..2 {
            let (cache, made, words) = (&cache, &made, &words);
            scope.spawn(move || {
                for word in words {
                    cache.get_with((*word).to_owned(), || {
                        made.fetch_add(1, Ordering::Relaxed);
                        word.len()
                    });
                }
            });
        }
    });
    cache.invalidate("fox");
    cache.run_pending_tasks();
    let mut lengths: Vec<usize> = cache.iter().map(|(_, length)| length).collect();
    lengths.sort_unstable();
    (lengths, made.into_inner() as u64)
}

pub(super) fn once_cell() -> (usize, Vec<String>) {
    let cell = once_cell::sync::OnceCell::new();
    let lazy =
        once_cell::sync::Lazy::new(|| TEXT.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let lengths = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..3).map(|_| scope.spawn(|| cell.get_or_init(|| lazy.concat()).len())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    let race = once_cell::race::OnceBox::new();
    let boxed: &Vec<String> = race.get_or_init(|| Box::new(lazy[..3].to_vec()));
    (lengths, boxed.clone())
}

pub(super) fn parking_lot() -> (usize, Vec<usize>) {
    let queue = parking_lot::Mutex::new(Vec::new());
    let filled = parking_lot::Condvar::new();
    let total = parking_lot::RwLock::new(0);
    thread::scope(|scope| {
        for first in 0..2 {
            let (queue, filled) = (&queue, &filled);
            scope.spawn(move || {
                for step in 0..10 {
                    queue.lock().push(first * 10 + step);
                    filled.notify_one();
                }
            });
        }
        let mut taken = Vec::new();
        while taken.len() < 20 {
            let mut queue = queue.lock();
            while queue.is_empty() {
                filled.wait(&mut queue);
            }
            *total.write() += queue.iter().sum::<usize>();
            taken.append(&mut queue);
        }
        taken.sort_unstable();
        (*total.read(), taken)
    })
}

pub(super) fn rayon() -> (u64, Vec<String>, Vec<u32>) {
    use rayon::prelude::*;

    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
    pool.install(|| {
        let sum = (0..1_000_u64).into_par_iter().filter(|number| number % 7 == 0).sum();
        let words: Vec<String> = TEXT.par_split(' ').map(str::to_uppercase).collect();
        let mut numbers: Vec<u32> = (0..300).map(|number| number * 7919 % 1009).collect();
        numbers.par_sort_unstable();
        let (left, right) = rayon::join(|| numbers[..3].to_vec(), || numbers[297..].to_vec());
        (sum, words, [left, right].concat())
    })
}

pub(super) fn sharded_slab() -> (usize, Vec<String>) {
    let slab = Arc::new(sharded_slab::Slab::new());
    let keys: Vec<usize> =
        TEXT.split(' ').filter_map(|word| slab.insert(word.to_owned())).collect();
    let other = Arc::clone(&slab);
    let taken = keys.clone();
    let removed =
        thread::spawn(move || taken.iter().step_by(3).filter(|key| other.remove(**key)).count());
    let removed = removed.join().unwrap_or(0);
    let left = keys.iter().filter_map(|key| slab.get(*key).map(|word| word.to_string()));
    (removed, left.collect())
}

pub(super) fn tokio_threads() -> (u64, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    let runtime = runtime.expect("two threads");
    runtime.block_on(async {
        let (send, mut receive) = tokio::sync::mpsc::channel(4);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..6_u64 {
            let send = send.clone();
            tasks.spawn(async move {
                send.send(format!("task {number}")).await.unwrap_or(());
                tokio::task::spawn_blocking(move || number * number).await.unwrap_or(0)
            });
        }
        drop(send);
        let mut names = Vec::new();
        while let Some(name) = receive.recv().await {
            names.push(name);
        }
        names.sort_unstable();
        let mut sum = 0;
        while let Some(square) = tasks.join_next().await {
            sum += square.unwrap_or(0);
        }
        (sum, names)
    })
}
