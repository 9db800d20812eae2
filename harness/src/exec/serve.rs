//! The sweep of a program, in the program's own process, as the command line has ordered it.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libc::c_int;

use crate::exec::c_calls::HEAP;
use crate::exec::order::{Answer, Order, SentFinding, SentReport};
use crate::exec::program::Program;
use crate::exec::traced;
use crate::heap::thread_context::ThreadContext;
use crate::process::exit::Abort;
use crate::process::{codec, descriptors, test_scope};
use crate::report::call_site::Frame;
use crate::report::rerun::Rerun;
use crate::report::{Finding, Kind, Report, inventory};
use crate::sweep::settings::ChosenSites;
use crate::sweep::{Sweep, grouping};

/// The exit status of a library that has no memory for its stack, or no order.
pub(crate) const NO_MEMORY: c_int = 125;

/// Whether the program has started threads before `main`. A fork has none of them.
static HAD_THREADS: AtomicBool = AtomicBool::new(false);

/// Notes whether it has, at `main`.
pub(crate) fn note_threads() {
    let has_any = fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > 1);
    HAD_THREADS.store(has_any, Ordering::Relaxed);
}

/// Reads the order, makes the sweep and sends the report. Returns the exit status of the process, which
/// nobody reads where the report arrives.
pub(crate) fn serve(socket: OwnedFd) -> c_int {
    let _context = ThreadContext::passing();
    let mut socket = UnixStream::from(descriptors::out_of_the_way(socket));
    let Some(mut order) = receive(&mut socket) else { return NO_MEMORY };
    if HAD_THREADS.load(Ordering::Relaxed) {
        order.unwatched.push(
            "watched in part: a thread that was started before `main` does nothing in the runs"
                .to_owned(),
        );
    }
    let socket = Mutex::new(socket);
    let send = move |answer: &Answer| {
        if let Ok(mut socket) = socket.lock() {
            // Without the command line nobody reads the report.
            let _ = socket.write_all(&codec::message(answer));
        }
    };
    send(&Answer::Started);
    let send = Arc::new(send);
    let tell = Arc::clone(&send);
    let progress: Progressed = Arc::new(move |done, total| tell(&Answer::Progress(done, total)));
    let report = match order.timed {
        Some(runs) => timed(&order, &progress, runs),
        None => sent(&make(&order, &progress), order.test.as_ref().map_or("", |test| &test.test)),
    };
    send(&Answer::Report(report));
    0
}

/// The order on this socket.
fn receive(socket: &mut UnixStream) -> Option<Order> {
    let mut buffer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(body) = codec::next_message(&mut buffer) {
            return codec::unpack(&body);
        }
        match socket.read(&mut chunk).ok()? {
            0 => return None,
            count => buffer.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Makes the sweep. Runs that differ may do so by the clock, and are then made with a fixed one. A
/// program that behaves differently in another year is one whose runs will differ.
fn make(order: &Order, progress: &Progressed) -> Report {
    if let Some(test) = &order.test {
        test_scope::set(test.clone());
    }
    let [now, fixed] = [false, true].map(|has_fixed_clock| program(order, has_fixed_clock));
    let depends_on_time = order.test.is_none() && sweep(order, progress).differ(&now, &fixed);
    let first = attempt(order, progress, depends_on_time);
    let is_better = |report: &Report| !differs(report);
    let (mut report, has_fixed_clock) = match is_better(&first) {
        true => (first, depends_on_time),
        false => {
            let second = attempt(order, progress, !depends_on_time);
            // Where both differ, that with the system's clock says in what.
            match is_better(&second) || depends_on_time {
                true => (second, !depends_on_time),
                false => (first, depends_on_time),
            }
        }
    };
    if has_fixed_clock {
        report.notes.push(
            "the program's runs differ by the time: they were made with a fixed clock".to_owned(),
        );
    }
    report
}

/// Whether the runs without a fault differ: then nothing was swept, or the results were not compared.
fn differs(report: &Report) -> bool {
    let is_it = |finding: &Finding| finding.kind() == Kind::Nondeterminism;
    report.differs || report.coverage().runs_total == 0 && report.findings().iter().any(is_it)
}

/// What is told the progress.
type Progressed = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// The program that is ordered.
fn program(order: &Order, has_fixed_clock: bool) -> Program {
    let stdin = traced::input().or_else(|| order.stdin.clone());
    Program {
        home: std::env::current_dir().unwrap_or_default(),
        stdin: PathBuf::from(stdin.unwrap_or_else(|| "/dev/null".to_owned())),
        folder: order.folder.as_ref().map(PathBuf::from),
        has_fixed_clock,
        is_test: order.test.is_some(),
        compared: order.compared.iter().map(PathBuf::from).collect(),
        judge: order.judge.clone(),
        output_max: order.output_max,
    }
}

fn attempt(order: &Order, progress: &Progressed, has_fixed_clock: bool) -> Report {
    let program = program(order, has_fixed_clock);
    let sweep = sweep(order, progress);
    match order.replay.as_ref().map(|line| line.parse()) {
        Some(Ok(token)) => sweep.replay(token).program(&program, order.no_faults),
        Some(Err(error)) => sweep.failed(error),
        None => sweep.program(&program, order.no_faults),
    }
}

/// The microseconds that a run takes in the mean, as a report's text.
fn timed(order: &Order, progress: &Progressed, runs: u64) -> SentReport {
    let time = sweep(order, progress).time_program(&program(order, false), runs);
    let (is_error, text) = match time {
        Ok(micros) => (false, format!("{micros}\n")),
        Err(error) => (true, format!("error: {error}\n")),
    };
    let exit_code = if is_error { 2 } else { 0 };
    SentReport { exit_code, text, is_error, ..SentReport::default() }
}

/// The sweep that is ordered, without its program.
fn sweep(order: &Order, progress: &Progressed) -> Sweep {
    let (before, after) = order.rerun.clone();
    let progress = Arc::clone(progress);
    // Two runs at a time would write the same files, unless each has a folder of its own.
    let shares_files = !order.compared.is_empty() && order.folder.is_none();
    let mut sweep = Sweep::new(order.name.clone())
        .global(&HEAP)
        .seed(order.seed)
        .jobs(if shares_files { 1 } else { order.jobs })
        .rerun_by(Rerun::Exec(before, after))
        .on_progress(move |at| progress(at.done, at.total));
    if order.test.is_some() {
        sweep = sweep.allow_no_requests();
    }
    if let Some(limit) = order.limit {
        sweep = sweep.limit(limit);
    }
    if order.strict {
        sweep = sweep.strict();
    }
    if let Some(millis) = order.patience {
        sweep = sweep.patience(Duration::from_millis(millis));
    }
    if let Some((folder, resume)) = &order.journal {
        sweep = sweep.journal(folder, *resume);
    }
    if order.ledger {
        sweep = sweep.options(crate::Options::new().ledger_only());
    }
    sweep.with_settings(|settings| {
        settings.chosen = ChosenSites {
            only: order.only.clone(),
            skip: order.skip.clone(),
            c_library: order.c_library,
        };
        settings.unwatched.clone_from(&order.unwatched);
        settings.allowances.clone_from(&order.allowances);
        settings.output_max = order.output_max;
        settings.per_stack = order.per_stack;
        settings.asks_per_stack = order.asks_per_stack;
        settings.guards_program = order.guard;
    })
}

/// A report as the command line prints it, of the test with this function, if it is one.
fn sent(report: &Report, test: &str) -> SentReport {
    let is_error = report.error().is_some();
    SentReport {
        exit_code: report.exit_code(),
        text: if is_error { report.details() } else { report.to_string() },
        json: report.to_json("exec").unwrap_or_default(),
        is_error,
        requests: report.coverage.requests,
        sites: report.coverage.sites,
        runs: report.coverage.runs,
        outcomes: report.outcomes.to_vec(),
        is_complete: report.coverage.complete,
        findings: report.findings.iter().map(|finding| sent_finding(finding, test)).collect(),
    }
}

/// Whether the program aborted because it had no memory and no way to say so.
fn is_out_of_memory(finding: &Finding) -> bool {
    let notes = &finding.notes;
    finding.fault.is_some() && notes.iter().any(|note| note == Abort::AllocError.note())
}

/// A finding as the command line prints it, of the test with this function, if it is one.
fn sent_finding(finding: &Finding, test: &str) -> SentFinding {
    let asked = finding.fault.as_ref().map(|fault| &fault.site);
    let place = grouping::id(finding.kind(), &[asked.map_or(0, |site| site.innermost(1))]);
    let function = asked.and_then(|site| site.frames.first()).map(Frame::short_name);
    SentFinding {
        kind: finding.kind(),
        id: finding.id().to_owned(),
        text: finding.to_string(),
        line: format!("{} {place}  {}", finding.kind(), function.unwrap_or_default()),
        place,
        is_out_of_memory: is_out_of_memory(finding),
        krate: inventory::crate_of_fault(finding),
        promise: inventory::promise_below(finding, test),
    }
}
