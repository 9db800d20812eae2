//! Fork at the request: one pass through the subject, off which a child is forked at each request
//! that is to fail. The child fails it and runs to its end; the pass goes on. So the way to a
//! request is gone once and not once for each fault, and a sweep costs what its tails cost.

use crate::sweep::observation::Message;
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
use crate::process::fork_pool;
use crate::process::fork_pool::{ForkPool, LeftChildren, Side};
use crate::process::page_tables;
use crate::process::pipe::Pipe;
use crate::process::scratch_dir::ScratchDir;
use crate::process::shared_memory::SharedMemory;
use crate::run::execute;
use crate::sweep::observation::{Observation, Point};
use crate::sweep::point::RunContext;
use crate::sweep::point_status::{dead, encode};

/// A pass that forks so often joins its memory's pages first: at the beginning, and then each time
/// that it has made so many requests more, or a quarter more.
const JOINED_MIN: usize = 256;
const JOINED_EVERY: u64 = 1_000;

/// What the pass says besides what it finds.
#[derive(Clone, Debug)]
struct PassNews {
    /// A child died of this at the message's point.
    dead: Option<Death>,
    /// Why the pass can't go on by forking.
    refused: Option<String>,
}

codec_struct!(PassNews { dead, refused });

/// What came of a pass.
pub(crate) struct Passed {
    pub(crate) found: Vec<Observation>,
    pub(crate) deaths: Vec<(usize, Death)>,
    /// Why it was given up, if it was. Points that have no outcome are left.
    pub(crate) refused: Option<String>,
}

/// Makes one pass, in a child; outcomes stand on the board.
pub(crate) fn pass(
    norm: &RunContext<'_>,
    points: &[Point],
    board: &SharedMemory,
    patience: Duration,
    glance: &mut dyn FnMut(),
) -> io::Result<Passed> {
    let work = |pipe: &Rc<Pipe>| {
        if let Some(reason) = go(norm, points, board, patience, pipe) {
            send_news(pipe, 0, PassNews { dead: None, refused: Some(reason) });
        }
    };
    let answer = child::ask_while::<Message<PassNews>>(patience, glance, work)?;
    let mut passed = Passed { found: Vec::new(), deaths: Vec::new(), refused: None };
    for message in answer.messages {
        passed.found.extend(message.found);
        if let Some(PassNews { dead, refused }) = message.result {
            passed.deaths.extend(dead.map(|death| (message.item, death)));
            passed.refused = refused.or(passed.refused);
        }
    }
    if let Some(death) = answer.death {
        passed.refused.get_or_insert(format!("the pass was cut off: {death}"));
    }
    Ok(passed)
}

/// A child's own part: its point, and by what it tells what it finds.
struct Part {
    point: Point,
    number: usize,
    pipe: Pipe,
}

/// The pass itself. Comes back in the pass only, with the reason why it was given up, if it was.
fn go(
    norm: &RunContext<'_>,
    points: &[Point],
    board: &SharedMemory,
    patience: Duration,
    pipe: &Pipe,
) -> Option<String> {
    let scratch = ScratchDir::new(child::parent());
    let warm = execute(norm.subject, norm.settings.job(&scratch));
    board.count(warm.requests.iter().sum());
    if scratch.holds_files() {
        return Some("it keeps files in its scratch directory".to_owned());
    }
    let is_due = |(number, point): &(usize, &Point)| {
        point.at.thread == 0 && board.outcome(*number).load(Ordering::Relaxed) == 0
    };
    let due = points.iter().enumerate().filter(is_due);
    let mut due: Vec<(u64, usize)> = due.map(|(number, p)| (p.at.ordinal, number)).collect();
    due.sort_unstable();
    // What the first run took and gave back.
    page_tables::trim();
    let joined = Cell::new(if due.len() < JOINED_MIN { u64::MAX } else { 0 });
    let brood = RefCell::new(ForkPool::new(board, patience));
    let part: RefCell<Option<Part>> = RefCell::new(None);
    let refused: RefCell<Option<String>> = RefCell::new(None);
    let over = Cell::new(false);
    let next = Arc::new(AtomicU64::new(due.first().map_or(u64::MAX, |first| first.0)));
    let hear = |left: LeftChildren<Observation>| tell(board, pipe, left);
    let refuses = |request: &Request| {
        if let Some(part) = &*part.borrow() {
            return part.point.persistent;
        }
        let ordinal = request.at.ordinal;
        let is_done = over.get() || request.at.thread != 0;
        let from = if is_done { due.len() } else { due.partition_point(|due| due.0 < ordinal) };
        if ordinal >= joined.get() {
            page_tables::join();
            joined.set(ordinal + (ordinal / 4).max(JOINED_EVERY));
        }
        for (_, number) in due[from..].iter().take_while(|due| due.0 == ordinal) {
            let mut brood = brood.borrow_mut();
            let side = match brood.objection() {
                None => brood.split(*number, &mut hear.clone()),
                Some(reason) => Err(io::Error::other(reason)),
            };
            match side {
                Ok(Side::Parent) => {}
                Ok(Side::Child(pipe)) => {
                    let point = points[*number];
                    next.store(if point.persistent { 0 } else { u64::MAX }, Ordering::Relaxed);
                    *part.borrow_mut() = Some(Part { point, number: *number, pipe });
                    return true;
                }
                Err(reason) => {
                    refused.borrow_mut().get_or_insert(reason.to_string());
                    over.set(true);
                    break;
                }
            }
        }
        let later = due.get(due.partition_point(|due| due.0 <= ordinal)).filter(|_| !over.get());
        next.store(later.map_or(u64::MAX, |later| later.0), Ordering::Relaxed);
        false
    };
    // SAFETY: the plan belongs to the run, which is over when `execute` comes back.
    #[allow(unsafe_code)]
    let plan = unsafe { fork_pool::borrowing(refuses, Arc::clone(&next)) };
    let run = execute(norm.subject, norm.job(plan, &scratch));
    let Some(part) = part.take() else {
        brood.borrow_mut().wait(&mut hear.clone());
        board.count(run.requests.iter().sum());
        return refused.take();
    };
    // The way to its request is the pass's.
    board.count(run.requests.iter().sum::<u64>().saturating_sub(part.point.at.ordinal));
    let own = ScratchDir::new(child::parent());
    let plan = Plan::at(part.point.at, part.point.persistent);
    let (run, found) = norm.look_into(run, &plan, Some(part.point), &own);
    if let Some(found) = &found {
        part.pipe.send(found);
    }
    board.outcome(part.number).store(encode(run.outcome, found.is_some()), Ordering::Relaxed);
    fork_pool::exit_child()
}

/// Passes on what a child left.
fn tell(board: &SharedMemory, pipe: &Pipe, left: LeftChildren<Observation>) {
    let LeftChildren { point, messages, death } = left;
    if let Some(death) = death {
        board.outcome(point).store(dead(death), Ordering::Relaxed);
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

/// Why a sweep that was told to fork couldn't.
pub(crate) fn refusal(reason: &str) -> Error {
    Error::new(format!("the subject can't be forked at its requests: {reason}"))
        .help("leave the strategy to the sweep, or choose rerun")
}
