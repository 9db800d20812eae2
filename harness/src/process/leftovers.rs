//! Processes that a subject starts and leaves behind. Those in the child's process group are killed
//! with it; this is about those that have left it, as a daemon does.
//!
//! When a process dies, its own processes get another parent: the nearest ancestor that has asked for
//! them. Each child of the harness asks, and ends what it was given before it exits. While it has
//! children the harness asks as well, for those of a child that dies in between. It may be given
//! processes of the program's own, too, and tells them apart by the marks that every process below a
//! child carries: the child's name, or after an `exec` a variable in its environment. A process that
//! drops both is missed.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// In the environment of a child, and of all that it starts: its process id.
const VARIABLE: &str = "MALLORY_CHILD";
/// How long killed processes may take to end.
const END_MAX: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_micros(200);

/// How many children this process has, and whether it was given orphans before the first of them.
static CHILDREN: Mutex<(usize, bool)> = Mutex::new((0, false));

/// While it lives, processes that lose their parent below this process are given to it.
pub(crate) struct Adopting(());

impl Adopting {
    /// Begins before a child is forked.
    pub(crate) fn begin() -> Self {
        let mut children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
        if children.0 == 0 {
            children.1 = is_reaper();
            set_reaper(true);
        }
        children.0 += 1;
        Adopting(())
    }
}

impl Drop for Adopting {
    fn drop(&mut self) {
        let mut children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
        children.0 -= 1;
        if children.0 == 0 {
            set_reaper(children.1);
        }
    }
}

fn is_reaper() -> bool {
    let mut is_set: libc::c_int = 0;
    // SAFETY: the kernel writes one int.
    unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut is_set) == 0 && is_set != 0 }
}

fn set_reaper(is_set: bool) {
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, libc::c_ulong::from(is_set)) };
}

/// The name of a child, which its forks inherit.
fn name_of(child: u32) -> String {
    format!("mallory-{child}")
}

/// Makes this process, a new child with one thread, adopt all that it will start, and with `visibly`
/// marks it and them.
pub(crate) fn mark(visibly: bool) {
    let own = std::process::id();
    set_reaper(true);
    if !visibly {
        return;
    }
    let (name, number) = (format!("{}\0", name_of(own)), format!("{own}\0"));
    let variable = format!("{VARIABLE}\0");
    // SAFETY: all three are C strings, which the kernel and the C library copy, and this is the
    // process's only thread.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
        libc::setenv(variable.as_ptr().cast(), number.as_ptr().cast(), 1);
    }
}

/// The processes whose parent is this one.
fn children() -> Vec<libc::pid_t> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists = threads.flatten().map(|thread| fs::read_to_string(thread.path().join("children")));
    let mut all = Vec::new();
    for list in lists.flatten() {
        all.extend(list.split_whitespace().filter_map(|pid| pid.parse::<libc::pid_t>().ok()));
    }
    all
}

/// Ends all processes below this one, a child of the harness that is about to exit and has no child
/// of the harness's itself.
pub(crate) fn end_own() {
    let deadline = Instant::now() + END_MAX;
    while has_children() && Instant::now() < deadline {
        for pid in children() {
            kill(pid);
        }
        // SAFETY: no status is asked for, and nothing else here waits for a child.
        while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
        if has_children() {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Whether this process has a child, dead or alive.
fn has_children() -> bool {
    // SAFETY: zeroed is a valid `siginfo_t`; the child is left as it is.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let how = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG;
        libc::waitid(libc::P_ALL, 0, &raw mut info, how) == 0
    }
}

/// Ends the processes of a child that has been reaped.
pub(crate) fn end_those_of(child: u32) {
    let deadline = Instant::now() + END_MAX;
    // Processes below those that are ended come up only then.
    loop {
        let left: Vec<libc::pid_t> =
            children().into_iter().filter(|pid| is_marked(*pid, child)).collect();
        if left.is_empty() {
            return;
        }
        for pid in left {
            kill(pid);
            while is_running(pid) && Instant::now() < deadline {
                std::thread::sleep(PAUSE);
            }
        }
        if Instant::now() > deadline {
            return;
        }
    }
}

/// Whether a process was started below this child of the harness.
fn is_marked(pid: libc::pid_t, child: u32) -> bool {
    let read = |what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
    if read("comm").trim_ascii_end() == name_of(child).as_bytes() {
        return true;
    }
    let mark = format!("{VARIABLE}={child}");
    read("environ").split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
}

fn kill(pid: libc::pid_t) {
    // SAFETY: it is a child of this process that only this thread waits for, so the process id is
    // its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Whether a killed child is still to be waited for; it is reaped once it has ended.
fn is_running(pid: libc::pid_t) -> bool {
    // SAFETY: no status is asked for.
    let waited = unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) };
    let is_interrupted = || io::Error::last_os_error().kind() == io::ErrorKind::Interrupted;
    waited == 0 || (waited < 0 && is_interrupted())
}
