//! The leaderboard over real HTTP on the loopback interface: latency, and requests for memory per
//! HTTP request, with a request's context and with a `String` for each name. The server and the
//! client have a thread each, on a core of its own, and one connection that is kept alive.
//!
//! The client allocates nothing between its first and its last request, so what the global allocator
//! counts meanwhile is the server's: axum's, hyper's, SQLite's, and those of the handlers.
#![allow(unsafe_code)]

use std::alloc::System;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use axum::serve::ListenerExt;
use mallory::Options;
use mallory::adapters::StaticPort;
use mallory_scenarios::foreign::leaderboard::{Leaderboard, Player, routes};
use stats_alloc::StatsAlloc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: StatsAlloc<System> = StatsAlloc::system();

/// The requests of a round, and the rounds. The variants take turns, so that both see the same
/// noise; the first round is left out.
const REQUESTS: usize = 500;
const ROUNDS: usize = 11;

/// How many players each region has.
const REGIONS: [(&str, usize); 2] = [("small", 10), ("large", 100)];

/// The paths that are compared: without a context, and with one.
const VARIANTS: [&str; 2] = ["plain", "leaderboard"];

/// What was measured of one path.
#[derive(Default)]
struct Measured {
    nanoseconds: Vec<u64>,
    allocations: usize,
}

impl Measured {
    /// The latency in microseconds that this share of the requests doesn't exceed.
    fn percentile(&self, share: usize) -> f64 {
        let mut sorted = self.nanoseconds.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() - 1) * share / 100] as f64 / 1000.0
    }

    fn allocations(&self) -> f64 {
        self.allocations as f64 / self.nanoseconds.len() as f64
    }
}

/// Keeps this thread on one core. Where that isn't possible, it runs wherever the system puts it.
fn stay_on(core: usize) {
    // SAFETY: a set of cores is plain data, and the core's number is within it.
    let refused = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set)
    };
    if refused != 0 {
        eprintln!("core {core} is not to be had");
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_io().build().expect("a runtime")
}

/// Serves for as long as the program runs.
fn serve(address: &Sender<SocketAddr>) {
    stay_on(0);
    let heap = Options::new().ledger_only().heap_over(StaticPort(&ALLOCATOR));
    let names: Vec<_> = REGIONS
        .iter()
        .flat_map(|(region, count)| (0..*count).map(move |n| (*region, format!("{region} {n:03}"))))
        .collect();
    let players = names.iter().zip(0_i64..).map(|((region, name), n)| Player {
        name,
        faction: ["RED", "BLU", "GRN"][n as usize % 3],
        region,
        score: n * 7919 % 10_007,
    });
    let board = Leaderboard::open(&heap, c":memory:", 1, players).expect("the board opens");
    runtime().block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        address.send(listener.local_addr().expect("it is bound")).expect("the client waits");
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("TCP"));
        axum::serve(listener, routes(board)).await.expect("the server never ends");
    });
}

/// Makes a request and reads the reply; returns the body.
async fn ask<'b>(stream: &mut TcpStream, request: &[u8], buffer: &'b mut [u8]) -> &'b [u8] {
    stream.write_all(request).await.expect("the server reads");
    let (mut read, mut whole) = (0, None);
    while whole.is_none_or(|(_, end)| read < end) {
        let more = stream.read(&mut buffer[read..]).await.expect("the server writes");
        assert_ne!(more, 0, "the server closed the connection");
        read += more;
        whole = whole.or_else(|| body(&buffer[..read]));
    }
    let (start, end) = whole.expect("the loop ends with it");
    assert!(buffer.starts_with(b"HTTP/1.1 200 "), "not a success");
    &buffer[start..end]
}

/// Where the body of a reply starts and ends, as soon as all of the head is there.
fn body(reply: &[u8]) -> Option<(usize, usize)> {
    const LENGTH: &[u8] = b"content-length: ";
    let start = reply.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let at = reply[..start].windows(LENGTH.len()).position(|part| part == LENGTH)? + LENGTH.len();
    let digits = reply[at..start].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| 10 * length + usize::from(digit - b'0'));
    Some((start, start + length))
}

fn main() {
    let (sender, address) = channel();
    std::thread::spawn(move || serve(&sender));
    stay_on(1);
    let address = address.recv().expect("the server starts");
    println!("players  variant       p50 µs   p99 µs  requests for memory");
    runtime().block_on(async {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("TCP");
        for (region, players) in REGIONS {
            compare(&mut stream, region, players).await;
        }
    });
}

/// Measures both variants for one region, and prints them.
async fn compare(stream: &mut TcpStream, region: &str, players: usize) {
    let mut buffer = vec![0; 1 << 16];
    let requests = VARIANTS
        .map(|variant| format!("GET /{variant}/{region} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    let mut replies = Vec::new();
    for request in &requests {
        replies.push(ask(stream, request.as_bytes(), &mut buffer).await.to_vec());
    }
    assert_eq!(replies[0], replies[1], "the variants differ");
    let measured =
        |_| Measured { nanoseconds: Vec::with_capacity(REQUESTS * ROUNDS), ..Measured::default() };
    let mut results = VARIANTS.map(measured);
    for round in 0..ROUNDS {
        for (request, result) in requests.iter().zip(&mut results) {
            let before = ALLOCATOR.stats();
            for _ in 0..REQUESTS {
                let start = Instant::now();
                ask(stream, request.as_bytes(), &mut buffer).await;
                result.nanoseconds.push(start.elapsed().as_nanos() as u64);
            }
            let after = ALLOCATOR.stats();
            if round == 0 {
                result.nanoseconds.clear();
                continue;
            }
            result.allocations += after.allocations + after.reallocations;
            result.allocations -= before.allocations + before.reallocations;
        }
    }
    let row =
        |result: &Measured| [result.percentile(50), result.percentile(99), result.allocations()];
    let [plain, context] = [row(&results[0]), row(&results[1])];
    for (variant, [p50, p99, allocations]) in [("plain", plain), ("context", context)] {
        println!("{players:7}  {variant:9}  {p50:9.1}{p99:9.1}{allocations:21.1}");
    }
    let less = |n: usize| 100.0 * (1.0 - context[n] / plain[n]);
    let (p50, p99, allocations) = (less(0), less(1), less(2));
    println!("{players:7}  {:9}  {p50:8.1}%{p99:8.1}%{allocations:20.1}%", "less by");
}
