//! Child processes: runs that may die happen here, and whatever they die of, the parent lives.
//!
//! A child is a fork of the process as it is, so the subject's closure is simply there. What it
//! has done stands on a *board* (memory shared with the parent, which outlives any death); what
//! it has found comes through a pipe. The parent is one loop over its children and starts no
//! thread, so forking stays safe.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::board::{Board, DONE};
use crate::scratch::Scratch;
use crate::wire;

/// How a child ended that was not meant to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Death {
    /// It ended itself, with this code.
    Exit(i32),
    /// A signal ended it.
    Signal(i32),
    /// It stood still for too long, and was killed.
    Stall,
}

impl Death {
    fn of(status: i32) -> Death {
        if libc::WIFSIGNALED(status) {
            Death::Signal(libc::WTERMSIG(status))
        } else {
            Death::Exit(libc::WEXITSTATUS(status))
        }
    }

    pub(crate) fn is_abort(self) -> bool {
        self == Death::Signal(libc::SIGABRT)
    }
}

impl std::fmt::Display for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |signal| match signal {
            libc::SIGABRT => "SIGABRT",
            libc::SIGSEGV => "SIGSEGV",
            libc::SIGBUS => "SIGBUS",
            libc::SIGILL => "SIGILL",
            libc::SIGFPE => "SIGFPE",
            libc::SIGTRAP => "SIGTRAP",
            libc::SIGKILL => "SIGKILL",
            libc::SIGTERM => "SIGTERM",
            libc::SIGPIPE => "SIGPIPE",
            _ => "a signal",
        };
        match self {
            Death::Exit(code) => write!(f, "it ended the process with exit code {code}"),
            Death::Signal(signal) => write!(f, "it died of {}", name(*signal)),
            Death::Stall => f.write_str("it stood still and made no request"),
        }
    }
}

/// The child's end of the pipe.
pub(crate) struct Pipe(OwnedFd);

impl Pipe {
    pub(crate) fn send(&self, value: &impl wire::Wire) {
        let bytes = wire::message(value);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            // SAFETY: `rest` is readable; the descriptor is open.
            let sent = unsafe { libc::write(self.0.as_raw_fd(), rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(sent) {
                Ok(sent) => rest = &rest[sent..],
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                // The parent is gone, or the subject closed the pipe: nobody to tell.
                Err(_) => return,
            }
        }
    }
}

/// A running child, seen from the parent.
pub(crate) struct Child {
    pid: libc::pid_t,
    pipe: OwnedFd,
    buffer: Vec<u8>,
    ended: bool,
}

/// How long a child may take to say that it has begun, and how often one is started again.
const GREETING_MILLIS: i32 = 500;
const FORKS_MAX: u32 = 20;

/// Forks. The child runs `work` and ends; it never returns to the caller's code.
///
/// Another thread may be printing a panic in the moment of the fork. The lock that std takes for
/// that would stay locked in the child for ever, so the child tries it first and greets: one that
/// does not is given up, and another is made.
pub(crate) fn fork(work: impl FnOnce(&Rc<Pipe>)) -> io::Result<Child> {
    let parent = std::process::id();
    for _ in 0..FORKS_MAX {
        let (read, write) = pipe()?;
        // Held across the fork, for the same reason; and the subject may print.
        let streams = (io::stdout().lock(), io::stderr().lock());
        // SAFETY: the child goes on with this thread alone. `malloc` is usable there (the C
        // library sees to it); the panic hook was set before; the child leaves by `_exit`, so
        // nothing of the test runner's is run twice.
        let pid = match unsafe { libc::fork() } {
            -1 => return Err(io::Error::last_os_error()),
            0 => {
                drop((read, streams));
                settle_in(parent);
                drop(std::backtrace::Backtrace::force_capture());
                let pipe = Pipe(write);
                pipe.send(&GREETING);
                let work = std::panic::AssertUnwindSafe(|| work(&Rc::new(pipe)));
                let code = if std::panic::catch_unwind(work).is_ok() { 0 } else { BUG };
                // SAFETY: ends this process at once.
                unsafe { libc::_exit(code) }
            }
            pid => pid,
        };
        drop((write, streams));
        let mut child = Child { pid, pipe: read, buffer: Vec::new(), ended: false };
        if child.greets() {
            return Ok(child);
        }
    }
    Err(io::Error::other("no child began: do other threads panic without pause?"))
}

/// What a child sends first.
const GREETING: u64 = 0x6865_6C6C_6F00;

/// A pipe that nothing which the subject starts inherits.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends: [RawFd; 2] = [0; 2];
    // SAFETY: `ends` has room for two descriptors.
    if unsafe { libc::pipe(ends.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both descriptors were just opened and are nobody else's.
    let (read, write) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    for end in [&read, &write] {
        // SAFETY: plain flags on an open descriptor.
        unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok((read, write))
}

/// Whether there is a process of this number.
pub(crate) fn is_alive(process: u32) -> bool {
    // SAFETY: signal 0 is none; it only asks.
    let there = unsafe { libc::kill(process as libc::pid_t, 0) == 0 };
    there || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// The process that a child belongs to.
pub(crate) fn parent() -> u32 {
    // SAFETY: asks for a number.
    unsafe { libc::getppid() as u32 }
}

/// The exit code of a child whose harness, not whose subject, panicked.
const BUG: i32 = 101;

/// Makes a child a quiet one that doesn't outlive its parent.
fn settle_in(parent: u32) {
    #[cfg(target_os = "linux")]
    // SAFETY: plain numbers; the parent may have gone before the request, hence the second look.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() as u32 != parent {
            libc::_exit(BUG);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = parent;
    // What the subject prints would come thousands of times, and mixed with the result.
    // SAFETY: opens a device and puts it in the place of standard output and error; an abort
    // leaves no core file.
    unsafe {
        let none = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        if none >= 0 {
            for stream in [0, 1, 2] {
                libc::dup2(none, stream);
            }
            if none > 2 {
                libc::close(none);
            }
        }
        let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
        // Where memory runs out, std would look up a backtrace before it aborts: 200 ms for nobody.
        libc::setenv(c"RUST_BACKTRACE".as_ptr(), c"0".as_ptr(), 1);
    }
}

/// Ends a child from within, as one that stood still.
pub(crate) fn stuck() {
    // SAFETY: ends this process at once.
    unsafe { libc::_exit(STUCK) }
}

/// The exit code by which a child says that the subject asks for memory without end.
const STUCK: i32 = 103;

impl Child {
    pub(crate) fn pid(&self) -> u32 {
        self.pid as u32
    }

    /// Reads what has come; false once nothing more can.
    fn read(&mut self) -> bool {
        let mut piece = [0_u8; 1 << 16];
        // SAFETY: the buffer is writable; the descriptor is open.
        let got =
            unsafe { libc::read(self.pipe.as_raw_fd(), piece.as_mut_ptr().cast(), piece.len()) };
        match usize::try_from(got) {
            Ok(0) => false,
            Ok(got) => {
                self.buffer.extend_from_slice(&piece[..got]);
                true
            }
            Err(_) => io::Error::last_os_error().kind() == io::ErrorKind::Interrupted,
        }
    }

    /// Waits for the greeting; false where it doesn't come.
    fn greets(&mut self) -> bool {
        loop {
            let mut polled =
                libc::pollfd { fd: self.pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one entry, as it says.
            if unsafe { libc::poll(&raw mut polled, 1, GREETING_MILLIS) } <= 0 || !self.read() {
                return false;
            }
            if let Some(greeting) = self.next::<u64>() {
                return greeting == GREETING;
            }
        }
    }

    /// The next whole message that it sent.
    pub(crate) fn next<T: wire::Wire>(&mut self) -> Option<T> {
        wire::unpack(&wire::next_message(&mut self.buffer)?)
    }

    /// Its end, if it has ended. Everything that it sent is then in the buffer.
    fn reap(&mut self) -> Option<Death> {
        let mut status = 0;
        // SAFETY: a child of ours that was not waited for yet (`ended`).
        let pid = unsafe { libc::waitpid(self.pid, &raw mut status, libc::WNOHANG) };
        if pid != self.pid {
            return None;
        }
        self.ended = true;
        // A grandchild may hold the pipe open: take what is there, wait for nothing.
        // SAFETY: plain flags on an open descriptor.
        unsafe { libc::fcntl(self.pipe.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        while self.read() {}
        Some(Death::of(status))
    }

    fn kill(&self) {
        // SAFETY: a child of ours that was not waited for yet, so the number is still its.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
            // SAFETY: a child of ours that was not waited for yet; it was just killed.
            unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
        }
        Scratch::remove(std::process::id(), self.pid());
    }
}

/// Waits until one of the children sends something or ends, or the time is over.
fn wait(children: &[&Child], time: Duration) {
    let mut polled: Vec<libc::pollfd> = children
        .iter()
        .map(|child| libc::pollfd { fd: child.pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    let millis = time.as_millis().min(1000) as i32;
    // SAFETY: `polled` is as long as it says.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, millis) };
}

/// How often a silent child is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// One child that does one thing: all that it sent, and its death if it died.
pub(crate) fn ask<T: wire::Wire>(
    patience: Duration,
    beat: &AtomicU64,
    work: impl FnOnce(&Rc<Pipe>),
) -> io::Result<(Vec<T>, Option<Death>)> {
    let mut child = fork(work)?;
    let mut messages = Vec::new();
    let mut watch = Watch::new(beat);
    let death = loop {
        wait(&[&child], GLANCE);
        let open = child.read_if_ready();
        while let Some(message) = child.next() {
            messages.push(message);
        }
        if let Some(death) = child.reap() {
            while let Some(message) = child.next() {
                messages.push(message);
            }
            break death;
        }
        if !open {
            std::thread::sleep(Duration::from_micros(50));
        }
        if watch.is_over(beat, patience) {
            child.kill();
            while child.reap().is_none() {
                std::thread::sleep(Duration::from_micros(200));
            }
            break Death::Stall;
        }
    };
    Ok((messages, abnormal(death)))
}

fn abnormal(death: Death) -> Option<Death> {
    match death {
        Death::Exit(0) => None,
        Death::Exit(STUCK) => Some(Death::Stall),
        death => Some(death),
    }
}

impl Child {
    /// Reads without waiting; false once nothing more can come.
    fn read_if_ready(&mut self) -> bool {
        let mut polled =
            libc::pollfd { fd: self.pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, as it says.
        let ready = unsafe { libc::poll(&raw mut polled, 1, 0) };
        if ready <= 0 { true } else { self.read() }
    }
}

/// Notices a child that makes no request for too long. The clock decides nothing else.
struct Watch {
    last: u64,
    since: Instant,
}

impl Watch {
    fn new(beat: &AtomicU64) -> Self {
        Watch { last: beat.load(Ordering::Relaxed), since: Instant::now() }
    }

    fn is_over(&mut self, beat: &AtomicU64, patience: Duration) -> bool {
        let now = beat.load(Ordering::Relaxed);
        if now != self.last {
            *self = Watch { last: now, since: Instant::now() };
        }
        self.since.elapsed() > patience
    }
}

/// A worker's part in a crew.
struct Member {
    child: Child,
    watch: Watch,
}

/// What a crew tells while it works.
pub(crate) enum News<T> {
    /// A worker sent this.
    Message(T),
    /// A worker died at this point.
    Death(usize, Death),
    /// Nothing in particular: time to look at the board.
    Glance,
}

/// Runs all points of a board in `jobs` children, started again whenever one dies. Answers the
/// death of a worker that was at no point: it can't be gone on from.
pub(crate) fn crew<T: wire::Wire>(
    board: &Board,
    patience: Duration,
    work: &dyn Fn(usize, &Rc<Pipe>),
    mut hear: impl FnMut(News<T>),
) -> io::Result<Option<Death>> {
    let start = |job: usize| -> io::Result<Member> {
        board.place(job).store(0, Ordering::Relaxed);
        let child = fork(|pipe| work(job, pipe))?;
        Ok(Member { child, watch: Watch::new(board.beat(job)) })
    };
    let mut members: Vec<Option<Member>> =
        (0..board.jobs).map(|job| start(job).map(Some)).collect::<io::Result<_>>()?;
    while members.iter().any(Option::is_some) {
        let children: Vec<&Child> = members.iter().flatten().map(|member| &member.child).collect();
        wait(&children, GLANCE);
        for (job, place) in members.iter_mut().enumerate() {
            let Some(member) = place else { continue };
            let open = member.child.read_if_ready();
            let mut ended = member.child.reap();
            if ended.is_none() && !open {
                std::thread::sleep(Duration::from_micros(50));
            }
            if ended.is_none() && member.watch.is_over(board.beat(job), patience) {
                member.child.kill();
                while member.child.reap().is_none() {
                    std::thread::sleep(Duration::from_micros(200));
                }
                ended = Some(Death::Stall);
            }
            while let Some(message) = member.child.next() {
                hear(News::Message(message));
            }
            let Some(death) = ended else { continue };
            *place = None;
            let done = board.place(job).load(Ordering::Relaxed) == DONE;
            if done && death == Death::Exit(0) {
                // One that stepped down before the end is followed by a fresh one.
                if board.has_more() {
                    *place = Some(start(job)?);
                }
                continue;
            }
            let Some(point) = board.standing(job) else {
                return Ok(Some(death));
            };
            let death = abnormal(death).unwrap_or(Death::Exit(0));
            hear(News::Death(point, death));
            if board.has_more() {
                *place = Some(start(job)?);
            }
        }
        hear(News::Glance);
    }
    Ok(None)
}
