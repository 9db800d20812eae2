//! Child processes: runs that may die happen here, and whatever they die of, the parent lives.
//!
//! A child is a fork of the process as it is, so the subject's closure is simply there. What it
//! has done stands on a *board* (memory shared with the parent, which outlives any death); what
//! it has found comes through a pipe. The parent is one loop over its children and starts no
//! thread, so forking stays safe.
#![allow(unsafe_code)]

use crate::process::signal_handlers;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::process::backtrace::Stack;
use crate::process::codec;
use crate::process::exit::Death;
use crate::process::pipe::{Pipe, pipe};
use crate::process::scratch_dir::ScratchDir;
use crate::process::shared_memory::{ChildStatus, Mark, SharedMemory};
use crate::process::status;
use crate::report::format::panic_message;

/// A running child, seen from the parent.
pub(crate) struct Child<'a> {
    pid: libc::pid_t,
    pipe: OwnedFd,
    /// What tells of its end at once, where the system has that.
    end: Option<OwnedFd>,
    life: &'a ChildStatus,
    buffer: Vec<u8>,
    ended: bool,
    /// How often in a row its pipe was seen closed.
    closed: u32,
    /// Whether other threads ran beside the one that forked it.
    pub(crate) had_company: bool,
}

/// How long a child may take to say that it has begun, and how often one is started again.
const GREETING_MILLIS: i32 = 500;
const FORKS_MAX: u32 = 20;

/// Forks. The child runs `work` and ends; it never returns to the caller's code. What it knows of
/// its end stands in `life`; with `tells_aborts`, where it aborted as well.
///
/// Another thread may be printing a panic in the moment of the fork. The lock that std takes for
/// that would stay locked in the child for ever, so it is taken once right before, which is a
/// moment in which it is free; and the child tries it first and greets: one that does not is given
/// up, and another is made.
pub(crate) fn fork<'a>(
    life: &'a ChildStatus,
    tells_aborts: bool,
    work: impl FnOnce(&Rc<Pipe>),
) -> io::Result<Child<'a>> {
    let parent = std::process::id();
    for _ in 0..FORKS_MAX {
        let (read, write) = pipe()?;
        let had_company = has_company();
        life.begin();
        // Held across the fork, for the same reason; and the subject may print.
        let streams = (io::stdout().lock(), io::stderr().lock());
        if had_company {
            drop(std::backtrace::Backtrace::force_capture());
        }
        // SAFETY: the child goes on with this thread alone. `malloc` is usable there (the C
        // library sees to it); the panic hook was set before; the child leaves by `_exit`, so
        // nothing of the test runner's is run twice.
        let pid = match unsafe { libc::fork() } {
            -1 => return Err(io::Error::last_os_error()),
            0 => {
                let pipe = Pipe::new(write, parent, read.as_raw_fd());
                drop((read, streams));
                settle_in(parent);
                status::adopt(life);
                signal_handlers::watch_faults();
                drop(std::backtrace::Backtrace::force_capture());
                if tells_aborts {
                    signal_handlers::watch_aborts();
                }
                pipe.send(&GREETING);
                let work = std::panic::AssertUnwindSafe(|| work(&Rc::new(pipe)));
                if let Err(payload) = std::panic::catch_unwind(work) {
                    status::bug(&panic_message(&*payload));
                }
                // SAFETY: ends this process at once.
                unsafe { libc::_exit(0) }
            }
            pid => pid,
        };
        drop((write, streams));
        let mut child = Child::new(pid, read, life);
        child.had_company = had_company;
        if child.greets() {
            return Ok(child);
        }
    }
    Err(io::Error::other("no child began: do other threads panic without pause?"))
}

/// Whether other threads may be at work: what they hold in the moment of a fork stays held in the
/// child. Under nextest the only other one waits for this one.
fn has_company() -> bool {
    if cfg!(not(target_os = "linux")) {
        return true;
    }
    let threads = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
    let is_waited_for = || std::env::var_os("NEXTEST").is_some_and(|set| set == "1");
    threads > 2 || (threads == 2 && !is_waited_for())
}

/// What a child sends first.
const GREETING: u64 = 0x6865_6C6C_6F00;

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

/// Makes a child a quiet one that doesn't outlive its parent.
fn settle_in(parent: u32) {
    #[cfg(target_os = "linux")]
    // SAFETY: plain numbers; the parent may have gone before the request, hence the second look.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() as u32 != parent {
            libc::_exit(0);
        }
        // A group of its own, so that what the subject starts can be ended with it.
        libc::setpgid(0, 0);
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

impl<'a> Child<'a> {
    /// A child that was forked otherwise, and needs no greeting.
    pub(crate) fn new(pid: libc::pid_t, pipe: OwnedFd, life: &'a ChildStatus) -> Self {
        let (end, buffer) = (end_of(pid), Vec::new());
        Child { pid, pipe, end, life, buffer, ended: false, closed: 0, had_company: false }
    }
}

impl Child<'_> {
    /// Whether this descriptor is one that it is watched by.
    pub(crate) fn holds(&self, descriptor: RawFd) -> bool {
        let end = self.end.as_ref().map(OwnedFd::as_raw_fd);
        self.pipe.as_raw_fd() == descriptor || end == Some(descriptor)
    }

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
                self.closed = 0;
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
    pub(crate) fn next<T: codec::Codec>(&mut self) -> Option<T> {
        codec::unpack(&codec::next_message(&mut self.buffer)?)
    }

    /// Its end, if it has ended. Everything it sent is then in the buffer, and everything that the
    /// subject started and left is ended.
    fn reap(&mut self) -> Option<Death> {
        let death = match self.status(libc::WNOHANG) {
            Ok(None) => return None,
            Ok(Some(status)) if libc::WIFSTOPPED(status) => {
                self.kill();
                let _ = self.status(0);
                Death::Stopped(libc::WSTOPSIG(status))
            }
            Ok(Some(status)) => Death::of(status, self.life),
            Err(_) => Death::Unseen,
        };
        self.ended = true;
        // A process that outlived even this may hold the pipe open: take what is there, wait for
        // nothing.
        // SAFETY: plain flags on an open descriptor.
        unsafe { libc::fcntl(self.pipe.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        while self.read() {}
        assert!(
            self.life.mark() != Some(Mark::Bug),
            "[mallory bug] a child panicked outside of the subject: {}",
            status::bug_text(self.life)
        );
        Some(death)
    }

    /// Its status, if there is a new one: of its end, or of its being stopped.
    fn status(&mut self, how: i32) -> io::Result<Option<i32>> {
        #[cfg(target_os = "linux")]
        // SAFETY: zeroed is a good `siginfo_t`. As long as the child was not waited for, its
        // number is its, and its group's.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let flags = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT | how;
            if libc::waitid(libc::P_PID, self.pid as u32, &raw mut info, flags) != 0 {
                return or_interrupted();
            }
            if info.si_signo == 0 {
                return Ok(None);
            }
            if info.si_code != libc::CLD_STOPPED {
                libc::kill(-self.pid, libc::SIGKILL);
            }
        }
        let stopped = if cfg!(target_os = "linux") { libc::WUNTRACED } else { 0 };
        let mut status = 0;
        // SAFETY: a child of ours that was not waited for yet (`ended`).
        match unsafe { libc::waitpid(self.pid, &raw mut status, how | stopped) } {
            -1 => or_interrupted(),
            pid => Ok((pid == self.pid).then_some(status)),
        }
    }

    /// Kills it and waits for its end.
    fn put_down(&mut self) {
        self.kill();
        while self.reap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn kill(&self) {
        // SAFETY: a child of ours that was not waited for yet, so the number is still its.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }
}

/// A descriptor that can be read from once the process has ended. Nothing inherits it.
fn end_of(pid: libc::pid_t) -> Option<OwnedFd> {
    #[cfg(target_os = "linux")]
    // SAFETY: plain numbers; the answer is a fresh descriptor of ours, or none.
    unsafe {
        let end = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        (end >= 0).then(|| OwnedFd::from_raw_fd(end as RawFd))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = pid;
        None
    }
}

/// Nothing for now, if only a signal came between.
fn or_interrupted() -> io::Result<Option<i32>> {
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        error => Err(error),
    }
}

impl Drop for Child<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
            while matches!(self.status(0), Ok(None)) {}
        }
        ScratchDir::remove(std::process::id(), self.pid());
    }
}

/// Waits until one of the children sends something or ends, or the time is over.
pub(crate) fn wait(children: &[&Child], time: Duration) {
    let poll = |fd: RawFd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut polled = Vec::with_capacity(2 * children.len());
    for child in children {
        // A pipe that is closed is always ready.
        let is_telling = child.closed == 0 || child.end.is_none();
        polled.extend(is_telling.then(|| poll(child.pipe.as_raw_fd())));
        polled.extend(child.end.iter().map(|end| poll(end.as_raw_fd())));
    }
    let millis = time.as_millis().min(1000) as i32;
    // SAFETY: `polled` is as long as it says.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, millis) };
}

/// How often a silent child is looked at.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);

/// What came of a child that was asked one thing.
pub(crate) struct ChildAnswer<T> {
    pub(crate) messages: Vec<T>,
    pub(crate) death: Option<Death>,
    /// Where it aborted, if it did; or what it said of a guard page.
    pub(crate) stack: Stack,
    /// By which deviations its threads took turns when it died, packed.
    #[cfg(feature = "proptest")]
    pub(crate) turns: Vec<u64>,
}

/// One child that does one thing: all that it sent, and its death if it died. It is given up and
/// another made if it seems to wait for what another thread held at the fork.
pub(crate) fn ask<T: codec::Codec>(
    patience: Duration,
    work: impl Fn(&Rc<Pipe>),
) -> io::Result<ChildAnswer<T>> {
    ask_while(patience, &mut || {}, work)
}

/// The same, with something to do several times a second.
pub(crate) fn ask_while<T: codec::Codec>(
    patience: Duration,
    glance: &mut dyn FnMut(),
    work: impl Fn(&Rc<Pipe>),
) -> io::Result<ChildAnswer<T>> {
    let board = SharedMemory::new(1, 0)?;
    let life = board.life(0);
    let mut attempt = 0;
    loop {
        let mut child = fork(life, true, &work)?;
        let mut watch = Watch::new(&child, attempt, patience);
        let mut messages = Vec::new();
        let mut glanced = Instant::now();
        let death = loop {
            wait(&[&child], GLANCE);
            // A glance looks at every point; a message comes at many of them.
            if glanced.elapsed() >= GLANCE {
                glance();
                glanced = Instant::now();
            }
            let open = child.read_if_ready();
            while let Some(message) = child.next() {
                messages.push(message);
            }
            if let Some(death) = child.reap() {
                break death;
            }
            if !open {
                child.nap();
            }
            if watch.is_over(life) {
                child.put_down();
                break Death::silent(life);
            }
        };
        while let Some(message) = child.next() {
            messages.push(message);
        }
        if death == Death::Stall && messages.is_empty() && watch.was_early(life) {
            attempt += 1;
            continue;
        }
        let death = Some(death).filter(|death| *death != Death::Exit(0));
        let stack = match death {
            Some(death) if death.tells() => life.said().map(|word| word as usize).collect(),
            _ => Stack::new(),
        };
        return Ok(ChildAnswer {
            messages,
            death,
            stack,
            #[cfg(feature = "proptest")]
            turns: life.turns().unwrap_or_default(),
        });
    }
}

impl Child<'_> {
    /// Takes what it sent, and its end if it has ended, or was silent for too long.
    pub(crate) fn look(&mut self, watch: &mut Watch) -> Option<Death> {
        let open = self.read_if_ready();
        let ended = self.reap();
        if ended.is_some() {
            return ended;
        }
        if !open {
            self.nap();
        }
        if !watch.is_over(self.life) {
            return None;
        }
        self.put_down();
        Some(Death::silent(self.life))
    }

    /// Reads without waiting; false once nothing more can come.
    fn read_if_ready(&mut self) -> bool {
        let mut polled =
            libc::pollfd { fd: self.pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, as it says.
        let ready = unsafe { libc::poll(&raw mut polled, 1, 0) };
        if ready <= 0 { true } else { self.read() }
    }

    /// Sleeps a little, where nothing tells of its end: its pipe is closed. At first it is about
    /// to end; later it is a child whose subject closed the pipe, and which may live long.
    fn nap(&mut self) {
        if self.end.is_none() {
            std::thread::sleep(Duration::from_micros(50 << self.closed.min(6)));
        }
        self.closed += 1;
    }
}

/// Notices a child that makes no request for too long. The clock decides nothing else.
pub(crate) struct Watch {
    beat: u64,
    looked: Instant,
    quiet: Duration,
    patience: Duration,
    /// How long the child may be quiet before its first run without a fault is done.
    early: Duration,
}

/// More than so much between two looks is not counted: the parent itself was held up.
const HELD_UP: Duration = Duration::from_millis(100);

/// How long a child of a process with several threads may be quiet at first. It may wait for what
/// one of them held at the fork, and for ever; so it is given up, and the next has twice the time.
const EARLY: Duration = Duration::from_millis(500);

impl Watch {
    pub(crate) fn new(child: &Child, attempt: u32, patience: Duration) -> Self {
        let early = EARLY.saturating_mul(1 << attempt.min(16)).min(patience);
        Watch {
            beat: child.life.beat(),
            looked: Instant::now(),
            quiet: Duration::ZERO,
            patience,
            early: if child.had_company { early } else { patience },
        }
    }

    fn is_over(&mut self, life: &ChildStatus) -> bool {
        let now = Instant::now();
        self.quiet += (now - self.looked).min(HELD_UP);
        self.looked = now;
        let beat = life.beat();
        if beat != self.beat {
            self.beat = beat;
            self.quiet = Duration::ZERO;
        }
        self.quiet > if life.has_begun() { self.patience } else { self.early }
    }

    /// Whether a child that was quiet for too long might have been another's with more time.
    pub(crate) fn was_early(&self, life: &ChildStatus) -> bool {
        !life.has_begun() && self.early < self.patience
    }
}
