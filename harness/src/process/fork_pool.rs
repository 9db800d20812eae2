//! Children forked off in the midst of a run: each goes on from where its parent is, and the
//! parent goes on too. So the run up to there is made once, and not once for each of them.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::plan::{Plan, Request};
use crate::process::child::{Child, GLANCE, Watch, wait};
use crate::process::codec;
use crate::process::exit::Death;
use crate::process::pipe::{Pipe, pipe};
use crate::process::shared_memory::SharedMemory;
use crate::process::status;

/// What a fork answers to either side.
pub(crate) enum Side {
    Parent,
    Child(Pipe),
}

/// What one of them left.
pub(crate) struct LeftChildren<T> {
    /// What it was to do.
    pub(crate) point: usize,
    pub(crate) messages: Vec<T>,
    pub(crate) death: Option<Death>,
}

/// The children of one run, so many at a time.
pub(crate) struct ForkPool<'a> {
    board: &'a SharedMemory,
    patience: Duration,
    members: Vec<Option<ForkedChild<'a>>>,
    /// Descriptors below which all are taken, and those open for writing, before the run.
    lowest: i32,
    writable: Vec<i32>,
}

struct ForkedChild<'a> {
    child: Child<'a>,
    watch: Watch,
    point: usize,
}

/// Descriptors above this are not looked at.
const DESCRIPTORS_MAX: i32 = 1024;

/// The lowest descriptor that is free: opening anything takes it.
fn lowest_free() -> i32 {
    // SAFETY: makes a copy of a descriptor and closes just that.
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
        // SAFETY: asks for flags.
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
    // SAFETY: zeroed is a good `stat`, which is filled in.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::stat(c"/proc/self/task".as_ptr(), &raw mut stat) != 0 {
            return None;
        }
        // A directory for each, beside itself and its parent.
        Some((stat.st_nlink as u64).saturating_sub(2))
    }
}

impl<'a> ForkPool<'a> {
    /// As many at a time as the board has jobs.
    pub(crate) fn new(board: &'a SharedMemory, patience: Duration) -> Self {
        ForkPool {
            board,
            patience,
            members: (0..board.jobs).map(|_| None).collect(),
            lowest: lowest_free(),
            writable: writable(),
        }
    }

    /// Why this process can't be forked as it is, if it can't.
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
        // What it opened to read from is left alone; what it can write to, both would write to.
        let is_own = |open: &i32| self.members.iter().flatten().any(|m| m.child.holds(*open));
        let is_fresh = |open: &i32| !self.writable.contains(open) && !is_own(open);
        let fresh = writable().into_iter().find(is_fresh);
        if fresh.is_none() {
            self.lowest = lowest;
        }
        fresh.map(|_| "it holds a descriptor open for writing".to_owned())
    }

    /// Forks, once fewer than all places are taken. What has ended is told to `hear`.
    pub(crate) fn split<T: codec::Codec>(
        &mut self,
        point: usize,
        hear: &mut dyn FnMut(LeftChildren<T>),
    ) -> io::Result<Side> {
        let place = self.vacancy(hear);
        let life = self.board.life(place);
        let (read, write) = pipe()?;
        life.begin();
        life.stand(Some(point));
        let parent = std::process::id();
        // SAFETY: this process has one thread (`objection`), so nothing is held by another.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let pipe = Pipe::new(write, parent, read.as_raw_fd());
                // Its elder siblings are the parent's to wait for.
                self.members.drain(..).for_each(std::mem::forget);
                status::adopt(life);
                // SAFETY: plain numbers; the parent may have gone before the request.
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
                let child = Child::new(pid, read, life);
                let watch = Watch::new(&child, 0, self.patience);
                self.members[place] = Some(ForkedChild { child, watch, point });
                // With all places taken the pass stands still at once: each page that it writes to
                // meanwhile would be copied, and so would the next fork's part in it.
                self.vacancy(hear);
                // What was opened and closed here is nothing of the subject's.
                self.lowest = lowest_free();
                Ok(Side::Parent)
            }
        }
    }

    /// A place that is free, or becomes so.
    fn vacancy<T: codec::Codec>(&mut self, hear: &mut dyn FnMut(LeftChildren<T>)) -> usize {
        loop {
            self.look(hear);
            if let Some(place) = self.members.iter().position(Option::is_none) {
                return place;
            }
            self.rest();
        }
    }

    /// Waits for all that are left.
    pub(crate) fn wait<T: codec::Codec>(&mut self, hear: &mut dyn FnMut(LeftChildren<T>)) {
        loop {
            self.look(hear);
            if self.members.iter().all(Option::is_none) {
                return;
            }
            self.rest();
        }
    }

    /// Waits until one of them says something or ends.
    fn rest(&self) {
        // The parent's parent is watching, too.
        status::beat();
        let children: Vec<&Child> = self.members.iter().flatten().map(|m| &m.child).collect();
        wait(&children, GLANCE);
    }

    fn look<T: codec::Codec>(&mut self, hear: &mut dyn FnMut(LeftChildren<T>)) {
        for (job, place) in self.members.iter_mut().enumerate() {
            let Some(ForkedChild { child, watch, point }) = place else { continue };
            let life = self.board.life(job);
            let Some(death) = child.look(watch) else { continue };
            let mut messages = Vec::new();
            while let Some(message) = child.next() {
                messages.push(message);
            }
            let death = Some(death).filter(|_| !life.is_done());
            let left = LeftChildren { point: *point, messages, death };
            *place = None;
            hear(left);
        }
    }
}

/// A plan that asks a closure which borrows: about the request that `next` names and all after.
///
/// # Safety
/// - The plan is not consulted once `'a` is over.
pub(crate) unsafe fn borrowing<'a>(
    refuses: impl Fn(&Request) -> bool + 'a,
    next: Arc<AtomicU64>,
) -> Plan {
    /// One thread asks, which is the one that made it.
    struct SingleThreaded<F>(F);
    // SAFETY: `ForkPool` forks processes with one thread only, and gives up where there are more.
    unsafe impl<F> Send for SingleThreaded<F> {}
    // SAFETY: as above.
    unsafe impl<F> Sync for SingleThreaded<F> {}
    impl<F: Fn(&Request) -> bool> SingleThreaded<F> {
        fn ask(&self, request: &Request) -> bool {
            (self.0)(request)
        }
    }
    let here = SingleThreaded(refuses);
    let ask: Arc<dyn Fn(&Request) -> bool + Send + Sync + 'a> =
        Arc::new(move |request| here.ask(request));
    // SAFETY: only the lifetime changes; the caller's promise.
    let ask = unsafe {
        std::mem::transmute::<
            Arc<dyn Fn(&Request) -> bool + Send + Sync + 'a>,
            Arc<dyn Fn(&Request) -> bool + Send + Sync + 'static>,
        >(ask)
    };
    Plan::from_next(ask, next)
}

/// Ends a child that has said all it has to say.
pub(crate) fn done() -> ! {
    status::finished();
    // SAFETY: ends this process at once.
    unsafe { libc::_exit(0) }
}
