//! The sweep of a program, in the program's own process, as the command line has ordered it.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use libc::c_int;

use crate::exec::c_calls::HEAP;
use crate::exec::order::{Answer, Order, SentReport};
use crate::exec::program::Program;
use crate::process::{codec, descriptors};
use crate::report::Report;
use crate::report::rerun::Rerun;
use crate::sweep::Sweep;

/// The exit status of a library that has no memory for its stack, or no order.
pub(crate) const NO_MEMORY: c_int = 125;

/// Reads the order, makes the sweep and sends the report. Returns the exit status of the process, which
/// nobody reads where the report arrives.
pub(crate) fn serve(socket: OwnedFd) -> c_int {
    let mut socket = UnixStream::from(descriptors::out_of_the_way(socket));
    let Some(order) = receive(&mut socket) else { return NO_MEMORY };
    let socket = Mutex::new(socket);
    let send = move |answer: &Answer| {
        if let Ok(mut socket) = socket.lock() {
            // Without the command line nobody reads the report.
            let _ = socket.write_all(&codec::message(answer));
        }
    };
    send(&Answer::Started);
    let send = std::sync::Arc::new(send);
    let report = make(order, {
        let send = std::sync::Arc::clone(&send);
        move |done, total| send(&Answer::Progress(done, total))
    });
    send(&Answer::Report(sent(&report)));
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

/// Makes the sweep.
fn make(order: Order, progress: impl Fn(u64, u64) + Send + Sync + 'static) -> Report {
    let Order { name, seed, jobs, limit, strict, ledger, no_faults, replay, .. } = order;
    let (per_stack, asks_per_stack) = (order.per_stack, order.asks_per_stack);
    let program = Program {
        stdin: PathBuf::from(order.stdin.unwrap_or_else(|| "/dev/null".to_owned())),
        folder: order.folder.map(PathBuf::from),
        compared: order.compared.into_iter().map(PathBuf::from).collect(),
    };
    let (before, after) = order.rerun;
    let mut sweep = Sweep::new(name)
        .global(&HEAP)
        .seed(seed)
        .jobs(jobs)
        .rerun_by(Rerun::Exec(before, after))
        .on_progress(move |at| progress(at.done, at.total));
    if let Some(limit) = limit {
        sweep = sweep.limit(limit);
    }
    if strict {
        sweep = sweep.strict();
    }
    if let Some(millis) = order.patience {
        sweep = sweep.patience(Duration::from_millis(millis));
    }
    if let Some((folder, resume)) = &order.journal {
        sweep = sweep.journal(std::path::Path::new(folder), *resume);
    }
    if ledger {
        sweep = sweep.options(crate::Options::new().ledger_only());
    }
    match replay.map(|line| line.parse()) {
        Some(Ok(token)) => sweep = sweep.replay(token),
        Some(Err(error)) => return sweep.failed(error),
        None => {}
    }
    sweep.per_stack(per_stack, asks_per_stack).program(&program, no_faults)
}

/// A report as the command line prints it.
fn sent(report: &Report) -> SentReport {
    let is_error = report.error().is_some();
    SentReport {
        exit_code: report.exit_code(),
        text: if is_error { report.details() } else { report.to_string() },
        json: report.to_json("exec").unwrap_or_default(),
        is_error,
    }
}
