//! The cache behaves like its model, survives every refused request, and rejects damaged files.

use mallory::{Heap, Options, Plan, System};
use mallory_scenarios::services::cache_rebuild::{CacheRebuild, Error, Op, Reply};
use mallory_scenarios::services::fixture::SAMPLE;
use mallory_scenarios::services::git_log::Digest;

use crate::by_hand::{Stage, agree, survive};
use crate::operations::{cache_rebuild as script, commits, id};

#[test]
fn behaves_like_the_model() {
    for bypass in [false, true] {
        let requests = agree::<CacheRebuild>(&script(), SAMPLE, Options::new().bypass(bypass));
        assert!(requests > 100, "only {requests} requests");
    }
    agree::<CacheRebuild>(&script(), b"", Options::new());
    agree::<CacheRebuild>(&script(), &[SAMPLE, SAMPLE].concat(), Options::new());
}

#[test]
fn survives_every_refused_request() {
    survive::<CacheRebuild>(&script(), SAMPLE);
}

#[test]
fn look_ups_find_what_the_log_says() {
    let stage = Stage::new(SAMPLE);
    let heap = Heap::new();
    let mut cache = CacheRebuild::open(&heap, &stage.world()).unwrap();
    let mut apply = |op| cache.apply(&op, &stage.world()).unwrap();
    let Reply::Rebuilt(summary) = apply(Op::Rebuild) else { panic!("no summary") };
    assert_eq!((summary.commits, summary.paths), (8, 6));
    assert_eq!(summary.input, Digest::of(SAMPLE));
    let renamed = apply(commits("src/parse.rs"));
    assert!(matches!(renamed, Reply::Commits(ids) if ids[..] == [id("8"), id("6"), id("2")]));
    let touched = format!("{:?}", apply(Op::Paths { commit: id("8") }));
    assert_eq!(touched, r#"Paths(["src/lib.rs", "src/log.rs", "src/parse.rs"])"#);
    assert!(cache.peak_bytes() > 0 && !cache.is_near_budget());
}

#[test]
fn a_wrong_log_leaves_the_cache_as_it_was() {
    let stage = Stage::new(SAMPLE);
    let wrong = [SAMPLE, b"oops\n"].concat();
    let heap = Heap::new();
    let mut cache = CacheRebuild::open(&heap, &stage.world()).unwrap();
    cache.apply(&Op::RebuildFrom { commits: 2 }, &stage.world()).unwrap();
    let before = cache.snapshot();
    let error = cache.apply(&Op::Rebuild, &stage.world_of(&wrong)).unwrap_err();
    assert!(matches!(error, Error::Log(error) if error.line > 60), "{error:?}");
    assert_eq!(cache.snapshot(), before);
}

#[test]
fn a_rebuild_that_the_file_system_stops_leaves_nothing_behind() {
    let stage = Stage::new(SAMPLE);
    let mut cache = CacheRebuild::open(&Heap::new(), &stage.world()).unwrap();
    let scratch = stage.world().scratch;
    // A file can't be renamed over a directory.
    std::fs::create_dir(scratch.join("cache")).unwrap();
    let error = cache.apply(&Op::Rebuild, &stage.world()).unwrap_err();
    assert!(matches!(error, Error::Io(_)), "{error:?}");
    let left = std::fs::read_dir(scratch).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["cache"]);
}

#[test]
fn a_damaged_cache_is_an_error() {
    let stage = Stage::new(SAMPLE);
    let heap = Options::new().ledger_only().heap();
    let mut cache = CacheRebuild::open(&heap, &stage.world()).unwrap();
    cache.apply(&Op::Rebuild, &stage.world()).unwrap();
    let path = stage.world().scratch.join("cache");
    let good = std::fs::read(&path).unwrap();
    let mut refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        for op in [Op::Summary, commits("README.md"), Op::Paths { commit: id("1") }] {
            assert_eq!(cache.apply(&op, &stage.world()), Err(Error::Corrupt));
        }
        assert_eq!(cache.snapshot().unreadable, Some(Error::Corrupt));
    };
    for end in (0..good.len()).step_by(7) {
        refused(&good[..end]);
        let mut flipped = good.clone();
        flipped[end] ^= 0x10;
        refused(&flipped);
    }
    refused(&[good.as_slice(), b"x"].concat());
}

/// A snapshot depends on every byte of the cache, and no byte makes a look-up panic, even if the
/// checksum is correct.
#[test]
fn a_forged_cache_never_panics_and_is_seen() {
    let stage = Stage::new(SAMPLE);
    let heap = Options::new().ledger_only().heap();
    let mut cache = CacheRebuild::open(&heap, &stage.world()).unwrap();
    cache.apply(&Op::Rebuild, &stage.world()).unwrap();
    let snapshot = cache.snapshot();
    let path = stage.world().scratch.join("cache");
    let good = std::fs::read(&path).unwrap();
    let body = &good[..good.len() - 32];
    for place in 0..body.len() {
        for flip in [0x01, 0xff] {
            let mut forged = body.to_vec();
            forged[place] ^= flip;
            let checksum = Digest::of(&forged);
            forged.extend_from_slice(&checksum.0);
            std::fs::write(&path, forged).unwrap();
            for op in [Op::Summary, commits("src/lib.rs"), Op::Paths { commit: id("8") }] {
                let answer = cache.apply(&op, &stage.world());
                assert!(matches!(answer, Ok(_) | Err(Error::Corrupt)), "{answer:?}");
            }
            assert_ne!(cache.snapshot(), snapshot, "byte {place}");
        }
    }
}

#[test]
fn a_snapshot_covers_every_entry() {
    let stage = Stage::new(SAMPLE);
    let mut cache = CacheRebuild::open(&Heap::new(), &stage.world()).unwrap();
    cache.apply(&Op::Rebuild, &stage.world()).unwrap();
    let whole = cache.snapshot();
    let content = whole.cache.clone().unwrap();
    let mut variants = Vec::new();
    for place in 0..content.order.len() {
        let mut less = content.clone();
        less.order.remove(place);
        variants.push(less);
    }
    for (id, paths) in &content.commits {
        let mut less = content.clone();
        less.commits.remove(id);
        variants.push(less);
        for path in paths {
            let mut less = content.clone();
            less.commits.get_mut(id).unwrap().remove(path);
            variants.push(less);
        }
    }
    for (path, ids) in &content.paths {
        let mut less = content.clone();
        less.paths.remove(path);
        variants.push(less);
        for place in 0..ids.len() {
            let mut less = content.clone();
            less.paths.get_mut(path).unwrap().remove(place);
            variants.push(less);
        }
    }
    assert!(variants.len() > 40);
    assert!(variants.iter().all(|less| *less != content));
    std::fs::write(stage.world().scratch.join("cache.tmp"), b"").unwrap();
    assert_ne!(cache.snapshot(), whole, "a file that was left behind is seen");
}

#[test]
fn the_budget_is_kept() {
    let stage = Stage::new(SAMPLE);
    let heap = Heap::new();
    let mut cache = CacheRebuild::open(&heap, &stage.world()).unwrap();
    heap.arm(Plan::budget(10_000));
    assert_eq!(cache.apply(&Op::Rebuild, &stage.world()), Err(Error::OutOfMemory));
    assert!(heap.peak_bytes() <= 10_000);
}

#[test]
fn operations_are_written_and_read_back() {
    let text = ron::to_string(&script()).unwrap();
    assert_eq!(ron::from_str::<Vec<Op>>(&text).unwrap(), script());
    assert!(ron::from_str::<Op>(r#"Paths(commit:"12")"#).is_err());
}
