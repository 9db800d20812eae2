//! Shuttle's runner under our searches: they make as many runs as trying every choice does, and no
//! run depends on the ones before it in its execution.

use std::collections::BTreeSet;

use ::shuttle::scheduler::DfsScheduler;
use ::shuttle::sync::atomic::{AtomicU32, Ordering};
use ::shuttle::sync::{Arc, Mutex};
use ::shuttle::thread;
use shuttle_engine::runtime::execution::ExecutionState;

use super::*;
use crate::schedule::default_order::Bound;
use crate::schedule::search::SearchOptions;

/// All schedules with at most this many preemptions, in every order.
fn bounded(preemptions: u32) -> Search {
    let options = SearchOptions { reduces: false, ..SearchOptions::DEFAULT };
    Search::bounded(Bound::Preemptions(preemptions), options, u64::MAX)
}

/// Two threads that count twice each.
fn counters() {
    let count = Arc::new(AtomicU32::new(0));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let count = Arc::clone(&count);
            thread::spawn(move || {
                count.fetch_add(1, Ordering::SeqCst);
                count.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

/// Two threads that take one lock.
fn locks() {
    let list = Arc::new(Mutex::new(Vec::new()));
    let other = Arc::clone(&list);
    let thread = thread::spawn(move || other.lock().expect("no panic").push(1));
    list.lock().expect("no panic").push(2);
    list.lock().expect("no panic").push(3);
    thread.join().expect("no panic");
}

/// Three threads, one of which no thread joins.
fn detached() {
    let flag = Arc::new(AtomicU32::new(0));
    let others = [Arc::clone(&flag), Arc::clone(&flag)];
    let threads = others.map(|other| thread::spawn(move || other.store(1, Ordering::SeqCst)));
    let [first, _] = threads;
    first.join().expect("no panic");
    flag.load(Ordering::SeqCst);
}

/// Tries every choice, and counts the preemptions of each execution.
struct CountingDfs {
    all: DfsScheduler,
    used: Option<u32>,
    executions: Rc<RefCell<Vec<u32>>>,
}

impl Scheduler for CountingDfs {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.executions.borrow_mut().extend(self.used);
        self.used = Some(0);
        self.all.new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let to = self.all.next_task(runnable, current, is_yielding)?;
        let can_continue = runnable.iter().any(|task| Some(task.id()) == current);
        if can_continue && Some(to) != current {
            self.used = self.used.map(|used| used + 1);
        }
        Some(to)
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}

/// Runs `body`, and notes the schedule of each run.
struct NotedRuns {
    body: fn(),
    schedules: Vec<Vec<Preemption>>,
}

impl ScheduledRun for NotedRuns {
    fn begin(&mut self) {}

    fn body(&mut self) {
        (self.body)();
    }

    fn end(&mut self, end: ScheduledEnd, search: &Search) -> bool {
        assert_eq!((end.stopped, end.diverged), (None, None));
        self.schedules.push(search.preemptions().to_vec());
        true
    }
}

#[test]
fn the_bounded_search_makes_as_many_runs_as_trying_everything() {
    prepare_process();
    for body in [counters as fn(), locks, detached] {
        let executions = Rc::new(RefCell::new(Vec::new()));
        let all = DfsScheduler::new(None, false);
        let scheduler = CountingDfs { all, used: None, executions: Rc::clone(&executions) };
        Runner::new(scheduler, config()).run(body);
        let executions = executions.take();
        for preemptions in 0..=3 {
            let expected = executions.iter().filter(|used| **used <= preemptions).count();
            let search = bounded(preemptions);
            let search = Rc::new(RefCell::new(search));
            let mut runs = NotedRuns { body, schedules: Vec::new() };
            Shuttle.search(Rc::clone(&search), &mut runs);
            assert!(search.borrow().is_exhausted());
            assert_eq!(runs.schedules.len(), expected, "with {preemptions} preemptions");
            let different: BTreeSet<_> = runs.schedules.iter().collect();
            assert_eq!(different.len(), expected, "each is run once");
        }
    }
}

/// Two threads of our facade that push under a lock. Notes the list, and how often the execution
/// had switched threads before.
fn pushers() {
    let list = Arc::new(crate::sync::Mutex::new(Vec::new()));
    SWITCHES_BEFORE.with_borrow_mut(|before| before.push(ExecutionState::context_switches()));
    let threads = [1, 2].map(|number| {
        let list = Arc::clone(&list);
        crate::thread::spawn(move || {
            for _ in 0..3 {
                list.lock().expect("no panic").push(number);
            }
        })
    });
    let [first, _] = threads;
    first.join().expect("no panic");
    let pushed = list.lock().expect("no panic").clone();
    LISTS.with_borrow_mut(|all| all.push(pushed));
}

thread_local! {
    static SWITCHES_BEFORE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    static LISTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn many_runs_are_made_in_one_execution_and_each_is_what_it_is_alone() {
    prepare_process();
    let run = |search| {
        let mut runs = NotedRuns { body: pushers, schedules: Vec::new() };
        Shuttle.search(Rc::new(RefCell::new(search)), &mut runs);
        (runs.schedules, LISTS.take(), SWITCHES_BEFORE.take())
    };
    let (schedules, together, before) = run(bounded(4));
    assert!(schedules.len() > 100, "only {} schedules", schedules.len());
    let executions = before.windows(2).filter(|pair| pair[1] < pair[0]).count() + 1;
    assert!(executions * 20 < schedules.len(), "{executions} executions");
    assert!(executions > 1, "an execution ends after a limited number of decisions");
    for (schedule, list) in schedules.iter().zip(&together) {
        let (alone, lists, _) = run(Search::given(schedule));
        assert_eq!((&alone[..], &lists[..]), (&[schedule.clone()][..], &[list.clone()][..]));
    }
}

/// A thread of our facade that no thread joins starts one by shuttle itself, which notes whether
/// its run is still the present one.
fn foreign_thread() {
    let run = rt::run();
    crate::thread::spawn(move || {
        crate::thread::yield_now();
        thread::spawn(move || FOREIGN.with_borrow_mut(|all| all.push(rt::run() == run)));
    });
}

thread_local! {
    static FOREIGN: RefCell<Vec<bool>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn what_is_started_past_us_ends_with_its_run() {
    prepare_process();
    let mut runs = NotedRuns { body: foreign_thread, schedules: Vec::new() };
    Shuttle.search(Rc::new(RefCell::new(bounded(2))), &mut runs);
    let foreign = FOREIGN.take();
    assert!(runs.schedules.len() > 1, "only {} schedules", runs.schedules.len());
    assert_eq!(foreign, vec![true; runs.schedules.len()]);
}

#[test]
fn a_run_that_is_stuck_is_followed_by_those_that_are_left() {
    /// Two locks in opposite orders.
    fn crossed() {
        let locks = [(); 2].map(|()| Arc::new(crate::sync::Mutex::new(())));
        let [one, two] = locks.clone();
        let other = crate::thread::spawn(move || {
            let _two = two.lock();
            let _one = one.lock();
        });
        let [one, two] = locks;
        let one = one.lock();
        let two = two.lock();
        drop((one, two));
        other.join().expect("no panic");
    }
    /// The number of runs that ended, and of those that reached a deadlock.
    #[derive(Default)]
    struct Ends(usize, usize);
    impl ScheduledRun for Ends {
        fn begin(&mut self) {}

        fn body(&mut self) {
            crossed();
        }

        fn end(&mut self, end: ScheduledEnd, _: &Search) -> bool {
            match end.stopped {
                None => self.0 += 1,
                Some(stopped) => {
                    assert_eq!(stopped, Stopped::Deadlock);
                    self.1 += 1;
                }
            }
            true
        }
    }
    prepare_process();
    let mut ends = Ends::default();
    let search = Rc::new(RefCell::new(bounded(2)));
    Shuttle.search(Rc::clone(&search), &mut ends);
    let Ends(whole, stuck) = ends;
    assert!(search.borrow().is_exhausted());
    assert!(whole > 1 && stuck > 0, "{whole} runs ended, {stuck} did not");
    assert_eq!((whole + stuck) as u64, search.borrow().begun());
}
