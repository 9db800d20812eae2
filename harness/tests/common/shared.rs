//! State that processes share, which no fork resets: what makes runs differ also if each has a
//! process of its own.

use std::os::unix::net::UnixDatagram;

/// A number that is kept in a socket. Make it before the sweep, so that all children inherit it.
pub(crate) struct SharedCounter {
    reader: UnixDatagram,
    writer: UnixDatagram,
}

impl SharedCounter {
    pub(crate) fn new() -> Self {
        let (reader, writer) = UnixDatagram::pair().expect("a pair of sockets");
        writer.send(&0_u64.to_ne_bytes()).expect("room in an empty socket");
        SharedCounter { reader, writer }
    }

    /// The number, which is then one more.
    pub(crate) fn next(&self) -> u64 {
        let mut bytes = [0; 8];
        self.reader.recv(&mut bytes).expect("the number is in the socket");
        let number = u64::from_ne_bytes(bytes);
        self.writer.send(&(number + 1).to_ne_bytes()).expect("room in an empty socket");
        number
    }
}
