//! What a child process writes about itself to shared memory: that it is alive, which item it is
//! at, which schedule it runs, and how its runs ended. It survives the process, whatever that dies
//! of.
//!
//! Everything here does nothing in a process that is not a child of the harness.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use libc::c_void;

use crate::process::heartbeat::Lifeline;
use crate::process::shared_memory::{ChildStatus, Mark};

/// This process's status, and the id of the process that it belongs to. A process that the subject
/// forks inherits the pointer and must not write through it, which the id shows.
static STATUS: AtomicPtr<ChildStatus> = AtomicPtr::new(std::ptr::null_mut());
static OWNER: AtomicI32 = AtomicI32::new(0);

/// This process's status, if it is a child of the harness.
pub(crate) fn own() -> Option<&'static ChildStatus> {
    // SAFETY: `attach` stored a status that the child never unmaps: it leaves by `_exit`. `getpid`
    // has no precondition.
    unsafe {
        let status = STATUS.load(Ordering::Relaxed).as_ref()?;
        (libc::getpid() == OWNER.load(Ordering::Relaxed)).then_some(status)
    }
}

/// As [`own`], but also returns the status in a process that the subject forked: for calls that are
/// made so often that asking for the process id would dominate them.
fn attached() -> Option<&'static ChildStatus> {
    // SAFETY: as in `own`.
    unsafe { STATUS.load(Ordering::Relaxed).as_ref() }
}

/// Makes this process, which was just forked, write to `status`.
pub(crate) fn attach(status: &ChildStatus) {
    // SAFETY: `getpid` has no precondition.
    OWNER.store(unsafe { libc::getpid() }, Ordering::Relaxed);
    STATUS.store(std::ptr::from_ref(status).cast_mut(), Ordering::Relaxed);
}

/// Makes this process, a fork of a child that waits for it, write to the child's status.
pub(crate) fn adopt() {
    // SAFETY: `getpid` has no precondition.
    OWNER.store(unsafe { libc::getpid() }, Ordering::Relaxed);
}

/// Whether this process is the child itself, and not one that the subject forked.
pub(crate) fn is_owner() -> bool {
    // SAFETY: `getpid` has no precondition.
    unsafe { libc::getpid() == OWNER.load(Ordering::Relaxed) }
}

/// How a run's heap reaches the status, without knowing of processes.
pub(crate) const LIFELINE: Lifeline = Lifeline { beat: heartbeat, stuck: exit_endless };

/// Shows that this process is alive. A process that the subject forked counts as well: it is
/// finite, too.
pub(crate) fn heartbeat() {
    if let Some(status) = attached() {
        status.heartbeat();
    }
}

/// Says that the child has started: from here on the full patience applies to a silent child.
pub(crate) fn set_started() {
    if let Some(status) = own() {
        status.set_item(Some(0));
    }
}

/// Says that another schedule begins, without preemptions so far.
pub(crate) fn begin_schedule() {
    if let Some(status) = attached() {
        status.begin_schedule();
    }
}

/// Adds a packed preemption to the present schedule.
pub(crate) fn add_preemption(word: u64) {
    if let Some(status) = attached() {
        status.add_preemption(word);
    }
}

/// Says how a schedule's run ended: the outcome's index in `Outcome::ALL`.
pub(crate) fn run_ended(outcome: usize) {
    if let Some(status) = attached()
        && let Some(count) = status.outcomes.get(outcome)
    {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Says that all items are done.
pub(crate) fn set_done() {
    if let Some(status) = own() {
        status.set_item(None);
    }
}

/// Ends a child whose subject makes requests without end. Returns only in a process that is no
/// child.
fn exit_endless() {
    exit_if_forked_by_subject();
    if let Some(status) = own() {
        status.set_mark(Mark::Endless);
        // SAFETY: `_exit` has no precondition; it ends this process at once.
        unsafe { libc::_exit(0) }
    }
}

/// Ends this process if the subject forked it off a child: the code after the subject's call is the
/// child's, and must not run twice.
pub(crate) fn exit_if_forked_by_subject() {
    if attached().is_some() && own().is_none() {
        // SAFETY: `_exit` has no precondition; it ends this process at once.
        unsafe { libc::_exit(0) }
    }
}

/// Keeps what the C library or a panic says: it may be this process's last words.
pub(crate) fn set_last_words(text: &[u8]) {
    if let Some(status) = own() {
        status.set_last_words(text);
    }
}

/// Does work of the harness's, however long it takes: it is no silence of the subject's.
pub(crate) fn busy<R>(work: impl FnOnce() -> R) -> R {
    if let Some(status) = own() {
        status.set_busy(true);
    }
    let result = work();
    if let Some(status) = own() {
        status.set_busy(false);
    }
    result
}

/// Notes that the allocator refused a request that was not to fail.
pub(crate) fn note_refused(bytes: usize) {
    if let Some(status) = attached() {
        status.set_refused(bytes as u64);
    }
}

/// Records that the harness panicked, not the subject, with the panic's message as far as it fits.
pub(crate) fn report_bug(text: &str) {
    if let Some(status) = own() {
        status.set_mark(Mark::Bug);
        for bytes in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            status.push_word(u64::from_ne_bytes(word));
        }
    }
}

/// The message that [`report_bug`] recorded.
pub(crate) fn bug_text(status: &ChildStatus) -> String {
    let bytes: Vec<u8> =
        status.words().flat_map(u64::to_ne_bytes).filter(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether an address lies in the same program or library as this code. The debug information of
/// any other, such as the C library, may take longer to read than all the rest.
pub(crate) fn is_in_this_library(address: usize) -> bool {
    let base = |address: usize| module_info(address).map(|info| info.dli_fbase);
    base(address) == base(is_in_this_library as *const c_void as usize)
}

/// What the dynamic linker knows of the module that contains an address.
fn module_info(address: usize) -> Option<libc::Dl_info> {
    // SAFETY: zeroed is a valid `Dl_info`, and `dladdr` fills it in where it knows the address.
    unsafe {
        let mut info: libc::Dl_info = MaybeUninit::zeroed().assume_init();
        (libc::dladdr(address as *const c_void, &raw mut info) != 0).then_some(info)
    }
}

/// The path of the module that contains an address, and how far into it that is.
pub(crate) fn module_of(address: usize) -> Option<(String, usize)> {
    let info = module_info(address)?;
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the name is a C string of the dynamic linker's, which stays while the module is loaded.
    let name = unsafe { std::ffi::CStr::from_ptr(info.dli_fname) };
    Some((name.to_string_lossy().into_owned(), address.saturating_sub(info.dli_fbase as usize)))
}
