//! Children that are forked in the middle of a run. Parent and child both continue from there, so
//! the part of the run before the fork is executed once instead of once per child.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::plan::{Plan, Request};
use crate::process::child_handle::{Child, POLL_INTERVAL, wait};
use crate::process::codec;
use crate::process::exit::Death;
use crate::process::pipe::{Pipe, pipe};
use crate::process::shared_memory::SharedMemory;
use crate::process::status;
use crate::process::watchdog::Watchdog;

/// On which side of the fork the caller is.
pub(crate) enum Side {
    Parent,
    Child(Pipe),
}

/// What one child left when it ended.
pub(crate) struct LeftChildren<T> {
    /// The item that it was forked for.
    pub(crate) point: usize,
    pub(crate) messages: Vec<T>,
    pub(crate) death: Option<Death>,
}

/// The children of one run, at most one per job of the shared memory at a time.
pub(crate) struct ForkPool<'a> {
    memory: &'a SharedMemory,
    patience: Duration,
    members: Vec<Option<ForkedChild<'a>>>,
    /// The lowest free descriptor at the last check that found nothing newly open for writing.
    lowest: i32,
    /// The descriptors that were open for writing before the run.
    writable: Vec<i32>,
}

struct ForkedChild<'a> {
    child: Child<'a>,
    watchdog: Watchdog,
    point: usize,
}

/// Descriptors from this one on are not checked.
const DESCRIPTORS_MAX: i32 = 1024;

/// The lowest free descriptor: it changes if anything was opened.
fn lowest_free() -> i32 {
    // SAFETY: closes only the copy that it made.
    unsafe {
        let copy = libc::dup(0);
        if copy >= 0 {
            libc::close(copy);
        }
        copy
    }
}

/// The descriptors that something can be written to.
fn writable() -> Vec<i32> {
    let is_writable = |descriptor: &i32| {
        // SAFETY: F_GETFL only reads flags, and fails where nothing is open.
        let flags = unsafe { libc::fcntl(*descriptor, libc::F_GETFL) };
        flags >= 0 && flags & libc::O_ACCMODE != libc::O_RDONLY
    };
    (0..DESCRIPTORS_MAX).filter(is_writable).collect()
}

/// How many threads this process has; `None` where the system doesn't say.
fn threads() -> Option<u64> {
    if cfg!(not(target_os = "linux")) {
        return None;
    }
    // SAFETY: zeroed is a valid `stat`, and the path is a C string.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::stat(c"/proc/self/task".as_ptr(), &raw mut stat) != 0 {
            return None;
        }
        // One link for each thread's directory, and the two links of every directory.
        Some((stat.st_nlink as u64).saturating_sub(2))
    }
}

impl<'a> ForkPool<'a> {
    /// A pool without children. `patience` is how long a child may make no request.
    pub(crate) fn new(memory: &'a SharedMemory, patience: Duration) -> Self {
        ForkPool {
            memory,
            patience,
            members: (0..memory.jobs).map(|_| None).collect(),
            lowest: lowest_free(),
            writable: writable(),
        }
    }

    /// Why this process can't be forked in its present state; `None` if it can.
    pub(crate) fn objection(&mut self) -> Option<String> {
        match threads() {
            Some(1) => {}
            Some(threads) => return Some(format!("it has {threads} threads")),
            None => return Some("the system doesn't tell how many threads there are".to_owned()),
        }
        let lowest = lowest_free();
        if lowest == self.lowest {
            return None;
        }
        // Parent and child may share a descriptor that they read from, but both would write to one
        // that is open for writing.
        let is_own = |open: &i32| self.members.iter().flatten().any(|m| m.child.holds(*open));
        let is_new = |open: &i32| !self.writable.contains(open) && !is_own(open);
        let new = writable().into_iter().find(is_new);
        if new.is_none() {
            self.lowest = lowest;
        }
        new.map(|_| "it holds a descriptor open for writing".to_owned())
    }

    /// Forks a child for an item, after waiting for a free place. Passes children that have ended
    /// to `hear`.
    ///
    /// # Errors
    /// The system's error if it can't fork.
    pub(crate) fn split<T: codec::Codec>(
        &mut self,
        point: usize,
        hear: &mut dyn FnMut(LeftChildren<T>),
    ) -> io::Result<Side> {
        let place = self.free_place(hear);
        let status = self.memory.status(place);
        let (read, write) = pipe()?;
        status.reset();
        status.set_item(Some(point));
        let parent = std::process::id();
        // SAFETY: this process has one thread (`objection`), so nothing is held by another.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let pipe = Pipe::new(write, parent, read.as_raw_fd());
                // The other children are its siblings: only the parent can wait for them.
                self.members.drain(..).for_each(std::mem::forget);
                status::attach(status);
                // SAFETY: the arguments are plain numbers. The parent may have ended before the
                // first call takes effect, hence the check after it.
                unsafe {
                    #[cfg(target_os = "linux")]
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    if libc::getppid() as u32 != parent {
                        libc::_exit(0);
                    }
                    libc::setpgid(0, 0);
                }
                Ok(Side::Child(pipe))
            }
            pid => {
                drop(write);
                let child = Child::new(pid, read, status, false);
                let watchdog = Watchdog::new(status, false, 0, self.patience);
                self.members[place] = Some(ForkedChild { child, watchdog, point });
                // If all places are taken, wait at once: otherwise copy-on-write duplicates every
                // page that the parent writes to meanwhile.
                self.free_place(hear);
                // The descriptors that were opened and closed here are not the subject's.
                self.lowest = lowest_free();
                Ok(Side::Parent)
            }
        }
    }

    /// Waits until a place is free, and returns it.
    fn free_place<T: codec::Codec>(&mut self, hear: &mut dyn FnMut(LeftChildren<T>)) -> usize {
        loop {
            self.check_all(hear);
            if let Some(place) = self.members.iter().position(Option::is_none) {
                return place;
            }
            self.wait_for_any();
        }
    }

    /// Waits until all children have ended.
    pub(crate) fn wait<T: codec::Codec>(&mut self, hear: &mut dyn FnMut(LeftChildren<T>)) {
        loop {
            self.check_all(hear);
            if self.members.iter().all(Option::is_none) {
                return;
            }
            self.wait_for_any();
        }
    }

    /// Waits until one of them sends something or ends, at most for [`POLL_INTERVAL`].
    fn wait_for_any(&self) {
        // This process is a child itself, and its own parent must not take the wait for a hang.
        status::heartbeat();
        let children: Vec<&Child> = self.members.iter().flatten().map(|m| &m.child).collect();
        wait(&children, POLL_INTERVAL);
    }

    fn check_all<T: codec::Codec>(&mut self, hear: &mut dyn FnMut(LeftChildren<T>)) {
        for (job, place) in self.members.iter_mut().enumerate() {
            let Some(ForkedChild { child, watchdog, point }) = place else { continue };
            let status = self.memory.status(job);
            let Some(death) = child.check(watchdog) else { continue };
            let mut messages = Vec::new();
            while let Some(message) = child.next() {
                messages.push(message);
            }
            let death = Some(death).filter(|_| !status.is_done());
            let left = LeftChildren { point: *point, messages, death };
            *place = None;
            hear(left);
        }
    }
}

/// A plan that asks a closure with borrows, about every request from the ordinal in `next` on.
///
/// # Safety
/// - The plan is not asked after `'a` has ended.
pub(crate) unsafe fn borrowing<'a>(
    refuses: impl Fn(&Request) -> bool + 'a,
    next: Arc<AtomicU64>,
) -> Plan {
    /// Only the thread that made it asks.
    struct SingleThreaded<F>(F);
    // SAFETY: the process has one thread: `ForkPool::objection` is checked before every fork, and
    // the caller gives up where there are more.
    unsafe impl<F> Send for SingleThreaded<F> {}
    // SAFETY: as above.
    unsafe impl<F> Sync for SingleThreaded<F> {}
    impl<F: Fn(&Request) -> bool> SingleThreaded<F> {
        fn ask(&self, request: &Request) -> bool {
            (self.0)(request)
        }
    }
    let refuses = SingleThreaded(refuses);
    let ask: Arc<dyn Fn(&Request) -> bool + Send + Sync + 'a> =
        Arc::new(move |request| refuses.ask(request));
    // SAFETY: only the lifetime changes, and the caller promises not to ask after `'a`.
    let ask = unsafe {
        std::mem::transmute::<
            Arc<dyn Fn(&Request) -> bool + Send + Sync + 'a>,
            Arc<dyn Fn(&Request) -> bool + Send + Sync + 'static>,
        >(ask)
    };
    Plan::from_next(ask, next)
}

/// Ends a child of a pool that has sent all its results.
pub(crate) fn exit_child() -> ! {
    status::set_done();
    // SAFETY: `_exit` has no precondition; it ends this process at once.
    unsafe { libc::_exit(0) }
}
