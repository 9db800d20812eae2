//! Sweeps that would pass for nothing: of code that asks the heap for no memory, and of a global heap
//! that is not the program's allocator.

use crate::error::Error;
use crate::process::scratch_dir::ScratchDir;
use crate::process::test_scope;
use crate::run::outcome::SubjectEnd;
use crate::run::{Stage, Subject, execute};
use crate::sweep::measurements::Baseline;
use crate::sweep::settings::Settings;

/// How many requests libtest makes at the least.
const LIBTESTS_LEAST: u64 = 100;

/// Checks that there was something to fail.
///
/// # Errors
/// No request was made, and the caller didn't say that this is meant; or the given global heap is not
/// the program's allocator; or a test program has an allocator of its own.
pub(crate) fn check(
    settings: &Settings,
    baseline: &Baseline,
    has_first_uses: bool,
) -> Result<(), Error> {
    if baseline.misses_global {
        let what = "the GlobalHeap that was given is not the program's allocator";
        return Err(Error::new(what)
            .help("declare it with #[global_allocator], in this program and not in another one"));
    }
    if test_scope::is_set() && baseline.count(0) < LIBTESTS_LEAST {
        return Err(Error::new(test_scope::HIDDEN));
    }
    let has_result = baseline.requests > 0 || has_first_uses || !baseline.found.is_empty();
    if has_result || settings.accepts_no_requests || baseline.dead_end.is_some() {
        return Ok(());
    }
    let (what, help) = match settings.global {
        _ if settings.is_program => (
            "the program asks for no memory after its start, so nothing can fail",
            "give it a task that needs memory",
        ),
        None => (
            "no request reached the heap; did the code use it?",
            "make collections on the heap that the closure is given, as Vec::new_in(heap.clone()); \
             .global(&HEAP) sweeps code that takes no allocator; .allow_no_requests() accepts this",
        ),
        Some(_) => (
            "no request reached the heap; did the code allocate?",
            "an optimiser may remove an allocation whose contents nobody uses: return the result, or \
             pass it to std::hint::black_box; .allow_no_requests() accepts this",
        ),
    };
    Err(Error::new(what).help(help))
}

/// A subject that allocates one block.
struct OneBlock;

impl Subject for OneBlock {
    fn call(&self, stage: &mut Stage<'_>) -> SubjectEnd {
        stage.arm();
        crate::heap::thread_context::ours(|| drop(std::hint::black_box(Box::new(0_u64))));
        stage.disarm();
        SubjectEnd::Ok { differs: None }
    }
}

/// Whether the global heap doesn't see what the program allocates.
pub(crate) fn misses_allocator(settings: &Settings, scratch: &ScratchDir) -> bool {
    let mut job = settings.job(scratch);
    job.scheduler = None;
    execute(&OneBlock, job).requests.iter().all(|requests| *requests == 0)
}
