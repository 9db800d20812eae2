//! What a child process says of itself in shared memory: that it is alive, at which item it is, which
//! schedule it runs, and how its runs ended. It survives the process, whatever that dies of.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use libc::c_void;

use crate::process::heartbeat::Lifeline;
use crate::process::shared_memory::{ChildStatus, Mark};

/// Where this process's marks go, and which process that is: one that the subject forks has the
/// first from its parent, and must keep quiet.
static LIFE: AtomicPtr<ChildStatus> = AtomicPtr::new(std::ptr::null_mut());
static OWNER: AtomicI32 = AtomicI32::new(0);

/// This process's life on the board, if it is a child of a harness.
pub(crate) fn own() -> Option<&'static ChildStatus> {
    // SAFETY: `adopt` was given a life on a board that the child never gives back: it leaves by
    // `_exit`. Asking for the process's number has no effect.
    unsafe {
        let life = LIFE.load(Ordering::Relaxed).as_ref()?;
        (libc::getpid() == OWNER.load(Ordering::Relaxed)).then_some(life)
    }
}

/// Makes the marks of this process, which was just forked, go here.
pub(crate) fn adopt(life: &ChildStatus) {
    // SAFETY: asks for a number.
    OWNER.store(unsafe { libc::getpid() }, Ordering::Relaxed);
    LIFE.store(std::ptr::from_ref(life).cast_mut(), Ordering::Relaxed);
}

/// By what a run reaches its child's parent.
pub(crate) const LIFELINE: Lifeline = Lifeline { beat, stuck };

/// A sign of life.
pub(crate) fn beat() {
    // SAFETY: as in `own`. A process of the subject's own may beat as well: it is finite, too.
    if let Some(life) = unsafe { LIFE.load(Ordering::Relaxed).as_ref() } {
        life.live();
    }
}

/// Says that the first run without a fault is done, so that the subject's own hangs begin.
pub(crate) fn begun() {
    if let Some(life) = own() {
        life.stand(Some(0));
    }
}

/// Says that another schedule begins, and by which deviations it goes: what a death came of.
pub(crate) fn schedule() {
    // SAFETY: as in `own`; asking whose process this is would cost more than all of it.
    if let Some(life) = unsafe { LIFE.load(Ordering::Relaxed).as_ref() } {
        life.schedule();
    }
}

pub(crate) fn turn(word: u64) {
    // SAFETY: as in `schedule`.
    if let Some(life) = unsafe { LIFE.load(Ordering::Relaxed).as_ref() } {
        life.turn(word);
    }
}

/// Says how a schedule's run ended.
pub(crate) fn ended(outcome: usize) {
    // SAFETY: as in `schedule`.
    if let Some(life) = unsafe { LIFE.load(Ordering::Relaxed).as_ref() }
        && let Some(end) = life.ends.get(outcome)
    {
        end.fetch_add(1, Ordering::Relaxed);
    }
}

/// Says that all that was to be done is done.
pub(crate) fn finished() {
    if let Some(life) = own() {
        life.stand(None);
    }
}

/// Ends a child from within, as one whose subject asks for memory without end. Comes back where
/// this process is no child.
fn stuck() {
    end_strangers();
    if let Some(life) = own() {
        life.set_mark(Mark::Stuck);
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(0) }
    }
}

/// Ends this process if the subject forked it off a child: what it came back into is not its.
pub(crate) fn end_strangers() {
    if !LIFE.load(Ordering::Relaxed).is_null() && own().is_none() {
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(0) }
    }
}

/// Writes down that the harness panicked, not the subject.
pub(crate) fn bug(text: &str) {
    if let Some(life) = own() {
        life.set_mark(Mark::Bug);
        for bytes in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            life.say(u64::from_ne_bytes(word));
        }
    }
}

/// Whether an address lies in the same program or library as this code. What lies elsewhere, such
/// as the C library, may have debug information that takes longer to read than all the rest.
pub(crate) fn is_at_home(address: usize) -> bool {
    let base = |address: *const c_void| {
        // SAFETY: zeroed is a good `Dl_info`, which is filled in where the address is known.
        unsafe {
            let mut info: libc::Dl_info = MaybeUninit::zeroed().assume_init();
            (libc::dladdr(address, &raw mut info) != 0).then_some(info.dli_fbase)
        }
    };
    base(address as *const c_void) == base(is_at_home as *const c_void)
}

/// What a child's harness panicked with.
pub(crate) fn bug_text(life: &ChildStatus) -> String {
    let bytes: Vec<u8> = life.said().flat_map(u64::to_ne_bytes).filter(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
