//! Nothing that a client sends makes the server panic, use unbounded memory, or reply anything but
//! what the model replies.

use mallory::{Heap, Options};
use mallory_scenarios::memory::slab::SUPERBLOCK;
use mallory_scenarios::services::lfs_batch::model::Model;
use mallory_scenarios::services::lfs_batch::server::{ARENA_CAP, Call, Server};
use mallory_scenarios::services::lfs_batch::store::MemoryStore;

use super::session::{LOGO, REQUESTS};

fn lines() -> impl Iterator<Item = &'static [u8]> {
    REQUESTS.split(|byte| *byte == b'\n')
}

/// A server and its model, which get the same calls.
struct Both {
    server: Server<MemoryStore>,
    model: Model,
}

impl Both {
    fn new() -> Self {
        let heap = Options::new().ledger_only().heap();
        let server = Server::new(&heap, MemoryStore::new(&heap));
        let model = Model::default();
        Both { server, model }
    }

    fn batch(&mut self, request: &[u8]) {
        let reply = self.server.answer(Call::Batch(request)).unwrap();
        let expected = format!("{:?}", self.model.batch(request));
        assert_eq!(format!("{reply:?}"), expected, "{}", request.escape_ascii());
    }

    fn verify(&mut self, request: &[u8]) {
        let reply = self.server.answer(Call::Verify(request)).unwrap();
        let expected = format!("{:?}", self.model.verify(request));
        assert_eq!(format!("{reply:?}"), expected, "{}", request.escape_ascii());
    }

    fn pointer(&mut self, text: &str) {
        let reply = self.server.answer(Call::Pointer(text)).unwrap();
        let expected = format!("{:?}", self.model.pointer(text));
        assert_eq!(format!("{reply:?}"), expected, "{}", text.escape_default());
    }
}

/// A small random number generator with a fixed seed, so that every run is the same.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    /// Makes up to four random changes: inserts, replaces, removes or repeats bytes.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const LIKELY: &[u8] = b"\"\\{}[],:0123456789.eE+-unulltrfalse \n\x00\x1f\xc3\xa9\xff";
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            let byte = LIKELY[self.below(LIKELY.len())];
            match self.below(4) {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 if at < bytes.len() => {
                    let end = (at + self.below(20)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn truncated_requests_are_replied_to_like_the_model() {
    let mut both = Both::new();
    for line in lines() {
        for length in 0..=line.len() {
            both.batch(&line[..length]);
        }
        both.verify(line);
    }
}

#[test]
fn mutated_requests_are_replied_to_like_the_model() {
    let mut both = Both::new();
    let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
    for _ in 0..60 {
        for line in lines() {
            let mut line = line.to_vec();
            rng.mutate(&mut line);
            both.batch(&line);
            both.verify(&line);
        }
    }
}

#[test]
fn mutated_pointer_files_are_read_as_the_model_reads_them() {
    let mut both = Both::new();
    let mut rng = Rng(7);
    let text = format!(
        "version https://git-lfs.github.com/spec/v1\next-0-scan sha256:{LOGO}\n\
         ext-1-pack sha256:{LOGO}\noid sha256:{LOGO}\nsize 42\n"
    );
    for length in 0..=text.len() {
        both.pointer(&text[..length]);
    }
    for _ in 0..3000 {
        let mut bytes = text.clone().into_bytes();
        rng.mutate(&mut bytes);
        both.pointer(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn huge_requests_cost_nothing() {
    let heap = Heap::new();
    let mut server = Server::new(&heap, MemoryStore::new(&heap));
    for fill in ["[", "{\"a\":", "\"", "9", " ", "\\"] {
        let request = fill.repeat((10 << 20) / fill.len());
        let reply = server.answer(Call::Batch(request.as_bytes())).unwrap();
        assert_eq!(reply.status(), 413);
    }
    // Most of it is the superblock that holds the recorded faults.
    assert!(heap.peak_bytes() < 2 * SUPERBLOCK, "{} bytes", heap.peak_bytes());
}

/// A request that repeats `piece` up to the limit of length.
fn fill(head: &str, piece: &str, tail: &str) -> String {
    let count = ((256 << 10) - head.len() - tail.len()) / piece.len();
    format!("{head}{}{tail}", piece.repeat(count))
}

#[test]
fn the_arena_has_room_for_every_request_within_the_limits() {
    let object = format!(r#"{{"oid":"{LOGO}","size":42}}"#);
    let thousand = vec![object; 1000].join(",");
    let requests = [
        format!(r#"{{"operation":"upload","objects":[{thousand}]}}"#),
        fill(r#"{"operation":"upload","objects":["#, r#"{"oid":"\n"},"#, "{}]}"),
        fill(r#"{"operation":"upload","objects":[],"#, r#""\n":"\n","#, r#""x":1}"#),
        fill(r#"{"operation":"upload","objects":["#, "{},", "{}]}"),
        fill(r#"{"operation":"upload","ref":{"name":""#, r"\u0001", r#""},"objects":[]}"#),
    ];
    for bypass in [false, true] {
        let heap = Options::new().bypass(bypass).heap();
        let mut server = Server::new(&heap, MemoryStore::new(&heap));
        for request in &requests {
            assert!(server.answer(Call::Batch(request.as_bytes())).is_ok());
        }
        assert!(heap.peak_bytes() < ARENA_CAP / 4 * 3, "{} bytes", heap.peak_bytes());
    }
}
