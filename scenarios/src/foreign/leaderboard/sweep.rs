//! The leaderboard, asked within the process: each of its requests for memory fails in turn, those
//! of SQLite and of the contexts as well as those of axum.
//!
//! What takes its memory from the heap returns an error, which becomes a status. axum's own requests
//! are infallible: if one fails, std aborts. The call sites that abort are in a committed file.

use std::alloc::GlobalAlloc;
use std::fmt::Debug;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use mallory::{GlobalHeap, Heap, Report, Scenario, Sweep};
use tower::ServiceExt;

use super::{Failure, Leaderboard, Player, routes};
use crate::foreign::axum::wait;
use crate::foreign::subject::PROGRAM;

/// The call sites that may abort. Frames differ between the profiles, and so the files do.
pub const ALLOWED: &str = if cfg!(debug_assertions) {
    concat!(env!("CARGO_MANIFEST_DIR"), "/aborts/leaderboard-debug.txt")
} else {
    concat!(env!("CARGO_MANIFEST_DIR"), "/aborts/leaderboard-release.txt")
};

/// The scenario, over the program's global allocator.
pub(in crate::foreign) fn scenario<A: GlobalAlloc + Sync>(
    heap: &'static GlobalHeap<A>,
) -> Scenario {
    let about = "an axum service over SQLite replies from the buffers of a request's context";
    Scenario::new("foreign/leaderboard", about, move |each| sweep(each, heap, ALLOWED))
        .group("foreign")
        .rerun_by(PROGRAM)
}

/// Sweeps it, with the aborts that this file allows.
pub fn sweep<A: GlobalAlloc + Sync>(
    sweep: Sweep,
    heap: &'static GlobalHeap<A>,
    allowed: &str,
) -> Report {
    sweep.global(heap).allowed(allowed).oom(|failure| *failure == Failure::NoMemory).run(work)
}

/// Four players in two regions.
const PLAYERS: [Player<'static>; 4] = [
    Player { name: "Anna", faction: "RED", region: "north", score: 1200 },
    Player { name: "Bert \"the bear\"", faction: "BLU", region: "north", score: 800 },
    Player { name: "Cleo", faction: "RED", region: "south", score: 1200 },
    Player { name: "Dora", faction: "GRN", region: "south", score: 35 },
];

/// What is asked: all players, those of a region, those of none, and what has no route.
const PATHS: [&str; 5] = [
    "/leaderboard/global",
    "/leaderboard/North",
    "/leaderboard/west",
    "/leaderboard",
    "/plain/south",
];

/// A status, and the body as text.
type Answer = (StatusCode, String);

fn work(heap: &Heap) -> Result<impl Debug + use<>, Failure> {
    let board = Leaderboard::open(heap, c":memory:", 1, PLAYERS)?;
    let service = routes(board.clone());
    let mut answers = Vec::new();
    for path in PATHS {
        match ask(&service, path) {
            (StatusCode::INSUFFICIENT_STORAGE, _) => {
                // The same service handles the request when there is memory again.
                heap.disarm();
                let (status, _) = ask(&service, path);
                assert_eq!(status, StatusCode::OK, "{path} after a failure");
                let stats = board.contexts();
                assert_eq!(stats.lent, 0, "{path} keeps a context");
                return Err(Failure::NoMemory);
            }
            answer => answers.push(answer),
        }
    }
    Ok((answers, board.contexts()))
}

fn ask(service: &Router, path: &str) -> Answer {
    let request = Request::get(path).body(Body::empty()).expect("the request is whole");
    wait(async {
        let Ok(response) = service.clone().oneshot(request).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 16).await.expect("a body in memory");
        (status, String::from_utf8_lossy(&body).into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> (Leaderboard, Router, Heap) {
        let heap = Heap::new();
        let board = Leaderboard::open(&heap, c":memory:", 1, PLAYERS).expect("there is memory");
        (board.clone(), routes(board), heap)
    }

    #[test]
    fn a_region_is_filtered_and_names_are_formatted() {
        let (_, service, _) = service();
        let north = r#"{"region":"North","players":[{"rank":1,"name":"[RED] Anna","score":1200},{"rank":2,"name":"[BLU] Bert \"the bear\"","score":800}]}"#;
        assert_eq!(ask(&service, "/leaderboard/North"), (StatusCode::OK, north.to_owned()));
        assert_eq!(ask(&service, "/leaderboard").0, StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_context_changes_no_reply() {
        let (_, service, _) = service();
        for region in ["global", "GLOBAL", "north", "South", "west", "%22", "a%20b"] {
            let [with, without] =
                ["leaderboard", "plain"].map(|route| ask(&service, &format!("/{route}/{region}")));
            assert_eq!(with, without, "{region}");
            assert_eq!(with.0, StatusCode::OK);
        }
    }

    #[test]
    fn one_context_serves_one_request_after_the_other() {
        let (board, service, heap) = service();
        for _ in 0..3 {
            ask(&service, "/leaderboard/global");
        }
        let stats = board.contexts();
        assert_eq!((stats.misses, stats.hits, stats.lent, stats.idle), (1, 2, 0, 1));
        drop((board, service));
        assert_eq!(heap.live_bytes(), 0);
    }

    #[test]
    fn the_body_lends_the_contexts_buffer() {
        let (board, service, _) = service();
        let request = Request::get("/leaderboard/global").body(Body::empty()).expect("whole");
        let Ok(response) = wait(service.oneshot(request));
        assert_eq!(board.contexts().lent, 1);
        drop(response);
        assert_eq!(board.contexts().lent, 0);
    }

    #[test]
    fn a_failure_is_a_status_and_the_next_request_is_handled() {
        let (board, service, heap) = service();
        heap.arm(mallory::Plan::from(1));
        assert_eq!(
            ask(&service, "/leaderboard/north"),
            (StatusCode::INSUFFICIENT_STORAGE, String::new())
        );
        heap.disarm();
        assert_eq!(ask(&service, "/leaderboard/north").0, StatusCode::OK);
        let connection = board.connection().expect("there is one");
        assert_eq!(ask(&service, "/leaderboard/north").0, StatusCode::SERVICE_UNAVAILABLE);
        drop(connection);
        assert_eq!(ask(&service, "/leaderboard/north").0, StatusCode::OK);
    }
}
