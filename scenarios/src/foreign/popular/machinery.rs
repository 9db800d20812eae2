//! Crates that do something: a runtime, a compressor.

use std::fmt::Write as _;
use std::io::{Read, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

pub(super) fn tokio() -> (u64, Vec<usize>) {
    use tokio::sync::{mpsc, oneshot};

    let runtime =
        tokio::runtime::Builder::new_current_thread().build().expect("no driver is asked for");
    runtime.block_on(async {
        let (send, mut receive) = mpsc::channel::<(usize, oneshot::Sender<u64>)>(2);
        let clients: Vec<_> = (0..8)
            .map(|number| {
                let send = send.clone();
                tokio::spawn(async move {
                    let (reply, answer) = oneshot::channel();
                    let _ = send.send((number, reply)).await;
                    answer.await.unwrap_or(0)
                })
            })
            .collect();
        drop(send);
        let mut seen = Vec::new();
        while let Some((number, reply)) = receive.recv().await {
            seen.push(number);
            let _ = reply.send((number * number) as u64);
            tokio::task::yield_now().await;
        }
        let mut sum = 0;
        for client in clients {
            sum += client.await.unwrap_or(0);
        }
        (sum, seen)
    })
}

/// Reading to the end returns an error if there is no memory; every other failure aborts.
pub(super) fn flate2() -> std::io::Result<(usize, bool)> {
    let mut text = String::new();
    for number in 0..400_u32 {
        let _ = writeln!(text, "line {number} says {}", number.wrapping_mul(2_654_435_761));
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes())?;
    let packed = packed.finish()?;
    let mut back = String::new();
    GzDecoder::new(&*packed).read_to_string(&mut back)?;
    Ok((packed.len(), back == text))
}
