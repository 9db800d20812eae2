//! Fork at the request: one fault-free pass through the subject forks a child at each request that
//! is to fail. The child fails the request and runs to its end, while the pass continues. So the
//! run up to a request is made once instead of once for each fault.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::Error;
use crate::plan::{Plan, Request};
use crate::process::child;
use crate::process::codec::codec_struct;
use crate::process::exit::Death;
use crate::process::fork_pool::{self, ForkPool, LeftChildren, Side};
use crate::process::page_tables;
use crate::process::pipe::Pipe;
use crate::process::scratch_dir::ScratchDir;
use crate::process::shared_memory::SharedMemory;
use crate::run::execute;
use crate::sweep::observation::{Message, Observation, Point};
use crate::sweep::point::RunContext;
use crate::sweep::point_status::{dead, encode};

/// A pass with at least this many points joins small pages of its memory into large ones, since a
/// fork costs time for each page.
const JOIN_POINTS_MIN: usize = 256;
/// It joins them at the beginning, and again after this many requests or a quarter more, whichever
/// is more.
const JOIN_REQUESTS: u64 = 1_000;

/// What the pass sends besides observations.
#[derive(Clone, Debug)]
struct PassNews {
    /// A child died of this at the message's point.
    dead: Option<Death>,
    /// Why the pass can't fork any further.
    refused: Option<String>,
}

codec_struct!(PassNews { dead, refused });

/// The result of a pass.
pub(crate) struct PassResult {
    pub(crate) found: Vec<Observation>,
    pub(crate) deaths: Vec<(usize, Death)>,
    /// Why it stopped forking, if it did. Points without an outcome are still to do.
    pub(crate) refused: Option<String>,
}

/// Makes one pass in a child process. It writes the outcomes to shared memory.
///
/// # Errors
/// If no child can be started.
pub(crate) fn pass(
    context: &RunContext<'_>,
    points: &[Point],
    memory: &SharedMemory,
    patience: Duration,
    on_tick: &mut dyn FnMut(),
) -> io::Result<PassResult> {
    let work = |pipe: &Rc<Pipe>| {
        if let Some(reason) = run_pass(context, points, memory, patience, pipe) {
            send_news(pipe, 0, PassNews { dead: None, refused: Some(reason) });
        }
    };
    let answer = child::ask_while::<Message<PassNews>>(patience, on_tick, &work)?;
    let mut passed = PassResult { found: Vec::new(), deaths: Vec::new(), refused: None };
    for message in answer.messages {
        passed.found.extend(message.found);
        if let Some(PassNews { dead, refused }) = message.result {
            passed.deaths.extend(dead.map(|death| (message.item, death)));
            passed.refused = refused.or(passed.refused);
        }
    }
    if let Some(record) = answer.death {
        passed.refused.get_or_insert(format!("the process that forks died: {}", record.death));
    }
    Ok(passed)
}

/// What a forked child has to do: its point, and where to send what it observes.
struct ChildTask {
    point: Point,
    number: usize,
    pipe: Pipe,
}

/// The pass itself. Returns in the process of the pass only, with the reason if it stopped forking;
/// a forked child ends here.
fn run_pass(
    context: &RunContext<'_>,
    points: &[Point],
    memory: &SharedMemory,
    patience: Duration,
    pipe: &Pipe,
) -> Option<String> {
    let scratch = ScratchDir::new(child::parent());
    let warm = execute(context.subject, context.settings.job(&scratch));
    memory.count(warm.requests.iter().sum());
    if scratch.holds_files() {
        return Some("it keeps files in its scratch directory".to_owned());
    }
    let is_due = |(number, point): &(usize, &Point)| {
        point.at.thread == 0 && memory.outcome(*number).load(Ordering::Relaxed) == 0
    };
    let due = points.iter().enumerate().filter(is_due);
    let mut due: Vec<(u64, usize)> = due.map(|(number, p)| (p.at.ordinal, number)).collect();
    due.sort_unstable();
    // Memory that the first run took and freed would only make forks slower.
    page_tables::trim();
    let join_at = Cell::new(if due.len() < JOIN_POINTS_MIN { u64::MAX } else { 0 });
    let forks = RefCell::new(ForkPool::new(memory, patience));
    let task: RefCell<Option<ChildTask>> = RefCell::new(None);
    let refused: RefCell<Option<String>> = RefCell::new(None);
    let has_stopped = Cell::new(false);
    let next = Arc::new(AtomicU64::new(due.first().map_or(u64::MAX, |first| first.0)));
    let on_end = |left: LeftChildren<Observation>| forward(memory, pipe, left);
    let refuses = |request: &Request| {
        if let Some(task) = &*task.borrow() {
            return task.point.persistent;
        }
        let ordinal = request.at.ordinal;
        let is_done = has_stopped.get() || request.at.thread != 0;
        let from = if is_done { due.len() } else { due.partition_point(|due| due.0 < ordinal) };
        if ordinal >= join_at.get() {
            page_tables::join();
            join_at.set(ordinal + (ordinal / 4).max(JOIN_REQUESTS));
        }
        for (_, number) in due[from..].iter().take_while(|due| due.0 == ordinal) {
            let mut forks = forks.borrow_mut();
            let side = match forks.objection() {
                None => forks.split(*number, &mut on_end.clone()),
                Some(reason) => Err(io::Error::other(reason)),
            };
            match side {
                Ok(Side::Parent) => {}
                Ok(Side::Child(pipe)) => {
                    let point = points[*number];
                    next.store(if point.persistent { 0 } else { u64::MAX }, Ordering::Relaxed);
                    *task.borrow_mut() = Some(ChildTask { point, number: *number, pipe });
                    return true;
                }
                Err(reason) => {
                    refused.borrow_mut().get_or_insert(reason.to_string());
                    has_stopped.set(true);
                    break;
                }
            }
        }
        let later =
            due.get(due.partition_point(|due| due.0 <= ordinal)).filter(|_| !has_stopped.get());
        next.store(later.map_or(u64::MAX, |later| later.0), Ordering::Relaxed);
        false
    };
    // SAFETY: the plan belongs to the run, which has ended when `execute` returns.
    #[allow(unsafe_code)]
    let plan = unsafe { fork_pool::borrowing(refuses, Arc::clone(&next)) };
    let run = execute(context.subject, context.job(plan, &scratch));
    let Some(task) = task.take() else {
        forks.borrow_mut().wait(&mut on_end.clone());
        memory.count(run.requests.iter().sum());
        return refused.take();
    };
    // The requests up to its own are counted by the pass.
    memory.count(run.requests.iter().sum::<u64>().saturating_sub(task.point.at.ordinal));
    let own = ScratchDir::new(child::parent());
    let plan = Plan::at(task.point.at, task.point.persistent);
    let (run, found) = context.look_into(run, &plan, Some(task.point), &own);
    if let Some(found) = &found {
        task.pipe.send(found);
    }
    memory.outcome(task.number).store(encode(run.outcome, found.is_some()), Ordering::Relaxed);
    fork_pool::exit_child()
}

/// Passes what a child left on to the sweep's own process.
fn forward(memory: &SharedMemory, pipe: &Pipe, left: LeftChildren<Observation>) {
    let LeftChildren { point, messages, death } = left;
    if let Some(death) = death {
        memory.outcome(point).store(dead(death), Ordering::Relaxed);
        send_news(pipe, point, PassNews { dead: Some(death), refused: None });
        return;
    }
    for found in messages {
        pipe.send(&Message::<PassNews> { item: point, found: Some(found), result: None });
    }
}

fn send_news(pipe: &Pipe, item: usize, news: PassNews) {
    pipe.send(&Message { item, found: None, result: Some(news) });
}

/// The error of a sweep that was told to fork and can't.
pub(crate) fn refusal(reason: &str) -> Error {
    Error::new(format!("the subject can't be forked at its requests: {reason}"))
        .help("leave the choice to the sweep (auto), or choose rerun")
}
