//! The time of day, and a task that stays on its thread: an exploration can have neither.
//~ `SystemTime` is not here: it differs in each run, so no run could be replayed
//~ measure with `time::Instant`
//~ `spawn_local` is not here: a task is a thread of the exploration
//~ use `future::spawn` with a future that is `Send`
use mallory::future;
use mallory::time::SystemTime;

fn main() {
    let _ = SystemTime::now();
    future::spawn_local(async {});
}
