//! All subjects, in the order of the table: those of the groups `foreign` and `popular` come first.
//!
//! What each returns is the same in every run. What it does meanwhile need not be: many of these
//! crates draw random seeds or start threads, since that is where a tool like this one might report
//! something that isn't there.

mod allocators;
mod asynchronous;
mod collections;
mod compression;
mod formats;
mod hashes;
mod numbers;
mod parsers;
mod strings;
mod text;
mod threads;

use mallory_scenarios::foreign;

use crate::subject::{self, Subject};

const TEXT: &str = "the quick brown fox jumps over the lazy dog and the dog sleeps on as the quick \
                    fox runs along the brown river where every other fox has run before it";

/// A list of subjects, after whether they have threads: package, whether it returns errors for
/// failed requests, function, and what it does.
macro_rules! subjects {
    ($has_threads:literal; $($package:literal $kind:ident $work:path, $does:literal;)*) => {
        &[$(Subject {
            package: $package,
            dependent: env!("CARGO_PKG_NAME"),
            does: $does,
            has_threads: $has_threads,
            run: |sweep| subject::$kind(sweep, $work),
        }),*]
    };
}

const OF_ONE_THREAD: &[Subject] = subjects! {
    false;
    "arrayvec" infallible collections::arrayvec, "drains and fills vectors of strings";
    "bitvec" infallible collections::bitvec, "sieves primes, and packs numbers of eleven bits";
    "fixedbitset" infallible collections::fixedbitset, "intersects and subtracts sets";
    "im" infallible collections::im, "changes maps and vectors, and keeps the old ones";
    "lru" infallible collections::lru, "fills, uses and shrinks a cache";
    "roaring" infallible collections::roaring, "combines, writes and reads bitmaps";
    "ropey" infallible collections::ropey, "edits, splits and joins a text";
    "slotmap" infallible collections::slotmap, "fills, empties and refills places, with a second map";
    "thin-vec" infallible collections::thin_vec, "changes, splits and nests vectors";
    "tinyvec" infallible collections::tinyvec, "spills, splits and shrinks vectors";
    "typed-arena" infallible collections::typed_arena, "builds a list in an arena";
    "compact_str" infallible strings::compact_str, "formats, edits and shares strings";
    "ecow" infallible strings::ecow, "shares strings and vectors, and changes copies";
    "lasso" infallible strings::lasso, "interns words, and turns into a reader and a resolver";
    "smol_str" infallible strings::smol_str, "formats, builds and shares strings";
    "string-interner" infallible strings::string_interner, "interns words, and copies the interner";
    "ahash" infallible hashes::ahash, "counts words in std's map, with random seeds";
    "foldhash" infallible hashes::foldhash, "counts words in std's map, with random seeds";
    "rustc-hash" infallible hashes::rustc_hash, "counts words in std's map";
    "itertools" infallible hashes::itertools, "groups, counts, sorts and multiplies, by std's random seeds";
    "rand" infallible hashes::rand, "shuffles and draws from the thread's generator and a seeded one";
    "aho-corasick" infallible text::aho_corasick, "builds automata, finds and replaces";
    "base64" infallible text::base64, "encodes words twice, and decodes";
    "fst" infallible text::fst, "builds a map, and intersects it with an automaton and a set";
    "handlebars" infallible text::handlebars, "registers templates and a helper, and fills them in";
    "memchr" infallible text::memchr, "builds owned searchers, and searches both ways";
    "minijinja" infallible text::minijinja, "fills in a template that extends another";
    "pulldown-cmark" infallible text::pulldown_cmark, "turns Markdown into HTML";
    "unicode-segmentation" infallible text::unicode_segmentation, "splits a text into words and clusters";
    "clap" infallible parsers::clap, "parses a command line, and explains a wrong one";
    "logos" infallible parsers::logos, "splits a program into tokens";
    "pest" infallible parsers::pest, "parses and computes a formula by a grammar";
    "quick-xml" infallible parsers::quick_xml, "reads a document, and writes parts of it";
    "syn" infallible parsers::syn, "parses Rust, and makes code of it with `quote`";
    "ciborium" infallible formats::ciborium, "writes and reads a drawing by derived code";
    "postcard" infallible formats::postcard, "writes and reads a drawing by derived code";
    "prost" infallible formats::prost, "writes and reads an order with a map";
    "rmp-serde" fallible formats::rmp_serde, "writes and reads a drawing by derived code";
    "ron" infallible formats::ron, "writes and reads a drawing by derived code";
    "anyhow" infallible numbers::anyhow, "wraps errors in context, and prints them";
    "blake3" infallible numbers::blake3, "digests a text, with and without a key";
    "num-bigint" infallible numbers::num_bigint, "multiplies, exponentiates, and prints in other bases";
    "rust_decimal" infallible numbers::rust_decimal, "parses, sums and prints prices";
    "sha2" infallible numbers::sha2_and_hex, "digests digests, and prints them with `hex`";
    "time" infallible numbers::time, "parses, shifts and formats dates";
    "uuid" infallible numbers::uuid, "makes ids of names and random ones, prints and parses them";
    "brotli" fallible compression::brotli, "compresses a text and gets it back";
    "lz4_flex" infallible compression::lz4_flex, "compresses a text in blocks and frames, and gets it back";
    "miniz_oxide" infallible compression::miniz_oxide, "compresses a text and gets it back";
    "png" infallible compression::png, "writes a picture and reads it";
    "ruzstd" fallible compression::ruzstd, "compresses a text and gets it back";
    "snap" fallible compression::snap, "compresses a text in blocks and frames, and gets it back";
    "tar" fallible compression::tar, "writes an archive and reads it";
    "async-executor" infallible asynchronous::async_executor, "runs tasks that send over an `async-channel`";
    "futures" infallible asynchronous::futures, "joins, buffers and shares futures and streams";
    "hyper" infallible asynchronous::hyper, "sends requests to a server through a pipe in memory";
    "smol" infallible asynchronous::smol, "runs tasks with an asynchronous lock and a channel";
    "tracing-subscriber" infallible asynchronous::tracing, "formats events in spans";
    "crossbeam-deque" infallible threads::crossbeam_deque, "steals boxes in batches";
    "crossbeam-epoch" infallible threads::crossbeam_epoch, "replaces vectors, and frees them later";
    "crossbeam-skiplist" infallible threads::crossbeam_skiplist, "fills a map, removes from it, reads a range";
    "buddy_system_allocator" infallible allocators::buddy_system_allocator, "hands out pieces of a block";
    "linked_list_allocator" infallible allocators::linked_list_allocator, "hands out pieces of a block";
    "rlsf" infallible allocators::rlsf, "hands out pieces of a block";
};

const OF_SEVERAL_THREADS: &[Subject] = subjects! {
    true;
    "arc-swap" infallible threads::arc_swap, "replaces a vector while a thread reads it";
    "crossbeam-channel" infallible threads::crossbeam_channel, "selects from what three threads send";
    "dashmap" infallible threads::dashmap, "counts words in two threads";
    "flume" infallible threads::flume, "receives what two threads send";
    "moka" infallible threads::moka, "fills a cache from two threads, and invalidates";
    "once_cell" infallible threads::once_cell, "initializes cells from three threads";
    "parking_lot" infallible threads::parking_lot, "waits for what two threads put into a queue";
    "rayon" infallible threads::rayon, "sums, maps, sorts and joins on two threads";
    "sharded-slab" infallible threads::sharded_slab, "frees on one thread what another one stored";
    "tokio" infallible threads::tokio_threads, "runs tasks on two threads and blocking ones";
};

pub(crate) fn all() -> Vec<Subject> {
    let others = foreign::SUBJECTS.into_iter().chain(foreign::popular::SUBJECTS);
    let here = OF_ONE_THREAD.iter().chain(OF_SEVERAL_THREADS);
    others.map(Subject::from).chain(here.copied()).collect()
}
