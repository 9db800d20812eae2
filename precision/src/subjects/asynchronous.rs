//! Asynchronous code: executors, channels, streams, a protocol, and spans of what happens.

use std::sync::{Arc, Mutex};

pub(super) fn async_executor() -> (Vec<u64>, u64) {
    let executor = async_executor::LocalExecutor::new();
    let (send, receive) = async_channel::bounded(2);
    let tasks = (0..8_u64).map(|number| {
        let send = send.clone();
        executor.spawn(async move {
            send.send(number).await.unwrap_or(());
            number * number
        })
    });
    let tasks: Vec<_> = tasks.collect();
    drop(send);
    smol::future::block_on(executor.run(async {
        let mut seen = Vec::new();
        while let Ok(number) = receive.recv().await {
            seen.push(number);
        }
        let mut sum = 0;
        for task in tasks {
            sum += task.await;
        }
        seen.sort_unstable();
        (seen, sum)
    }))
}

pub(super) fn futures() -> (Vec<u32>, u32, Vec<String>) {
    use futures::channel::{mpsc, oneshot};
    use futures::{FutureExt, SinkExt, StreamExt, executor, future, stream};

    executor::block_on(async {
        let (mut send, receive) = mpsc::channel(1);
        let sending = async move {
            for number in 0..12_u32 {
                send.send(number).await.unwrap_or(());
            }
        };
        let squares = receive.map(|number| async move { number * number });
        let squares = squares.buffer_unordered(3).collect::<Vec<u32>>();
        let (mut squares, ()) = future::join(squares, sending).await;
        squares.sort_unstable();
        let (first, second) = oneshot::channel();
        let boxed: Vec<_> = (1..6_u32).map(|number| async move { number }.boxed()).collect();
        let sum = future::join_all(boxed).await.into_iter().sum();
        first.send(sum).unwrap_or(());
        let shared = second.map(|sum| sum.unwrap_or(0)).shared();
        let both = future::join(shared.clone(), shared).map(|(a, b)| a + b).await;
        let words = stream::iter(["a", "b", "c"]).flat_map(|word| {
            stream::iter(0..2).map(move |number| format!("{word}{number}")).boxed()
        });
        let mut unordered: stream::FuturesUnordered<_> =
            words.map(|word| async move { word }.boxed()).collect().await;
        let mut words = Vec::new();
        while let Some(word) = unordered.next().await {
            words.push(word);
        }
        words.sort_unstable();
        (squares, both, words)
    })
}

/// Lets hyper read and write what tokio's pipe in memory holds.
struct Pipe(tokio::io::DuplexStream);

impl hyper::rt::Read for Pipe {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        mut buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let mut bytes = [0; 512];
        let room = buffer.remaining().min(bytes.len());
        let mut read = tokio::io::ReadBuf::new(&mut bytes[..room]);
        let polled =
            tokio::io::AsyncRead::poll_read(std::pin::Pin::new(&mut self.0), context, &mut read);
        buffer.put_slice(read.filled());
        polled
    }
}

impl hyper::rt::Write for Pipe {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(std::pin::Pin::new(&mut self.0), context, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(std::pin::Pin::new(&mut self.0), context)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(std::pin::Pin::new(&mut self.0), context)
    }
}

/// A server that returns the length of the path.
async fn serve(pipe: Pipe) {
    let service =
        hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
            let length = request.uri().path().len();
            let response = http::Response::builder().header("x-length", length);
            response.status(if length > 5 { 404 } else { 200 }).body(String::new())
        });
    let server = hyper::server::conn::http1::Builder::new();
    server.serve_connection(pipe, service).await.unwrap_or(());
}

pub(super) fn hyper() -> Vec<(u16, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("without a driver");
    runtime.block_on(async {
        let (client, server) = tokio::io::duplex(256);
        let server = tokio::spawn(serve(Pipe(server)));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(Pipe(client)).await.expect("a connection");
        let connection = tokio::spawn(connection);
        let mut seen = Vec::new();
        for path in ["/", "/abc", "/a/long/path?query=1"] {
            let request = http::Request::get(path).header("host", "example.org");
            let request = request.body(String::new()).expect("the path is right");
            let response = sender.send_request(request).await.expect("a response");
            let length = response.headers().get("x-length").and_then(|value| value.to_str().ok());
            seen.push((response.status().as_u16(), length.unwrap_or_default().to_owned()));
        }
        drop(sender);
        drop(connection.await);
        drop(server.await);
        seen
    })
}

pub(super) fn smol() -> (Vec<String>, usize) {
    use smol::stream::StreamExt;

    smol::block_on(async {
        let lock = Arc::new(smol::lock::Mutex::new(Vec::new()));
        let (send, receive) = smol::channel::unbounded();
        let local = smol::LocalExecutor::new();
        let tasks: Vec<_> = (0..6)
            .map(|number| {
                let (lock, send) = (Arc::clone(&lock), send.clone());
                local.spawn(async move {
                    lock.lock().await.push(format!("task {number}"));
                    smol::future::yield_now().await;
                    send.send(number).await.unwrap_or(());
                })
            })
            .collect();
        drop(send);
        local
            .run(async {
                for task in tasks {
                    task.await
                }
            })
            .await;
        let received = receive.count().await;
        let mut names = lock.lock().await.clone();
        names.sort_unstable();
        (names, received)
    })
}

/// A place that lines of a log are written to.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().map_or(Ok(0), |mut lines| lines.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) fn tracing() -> String {
    #[tracing::instrument]
    fn factorial(number: u64) -> u64 {
        tracing::info!(odd = number % 2 == 1, "at {number}");
        if number < 2 { 1 } else { number * factorial(number - 1) }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false);
    let subscriber = subscriber.with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!("outer", name = "a span");
        span.in_scope(|| tracing::warn!(result = factorial(4), "done"));
        tracing::trace!("left out");
    });
    let bytes = lines.0.lock().map(|lines| lines.clone()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
