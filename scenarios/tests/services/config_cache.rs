//! The cache behaves like its model, survives every refused request, lends what it can, and evicts
//! nothing for what it can't keep.

use mallory::script::Script;
use mallory::{Heap, Outcome, Plan, Sweep};
use mallory::{Options, System};
use mallory_scenarios::services::config_cache::{Answer, ConfigCache, Gone, Op, Stats, Value};

use crate::by_hand::{agree, survive};
use crate::operations::config_cache as script;

const NONE: [(&str, &str); 0] = [];

#[test]
fn behaves_like_the_model() {
    for bypass in [false, true] {
        let requests = agree::<ConfigCache>(&script(), &[], Options::new().bypass(bypass));
        assert!(requests > 30, "only {requests} requests");
    }
}

#[test]
fn survives_every_refused_request() {
    survive::<ConfigCache>(&script(), &[]);
}

#[test]
fn the_committed_script_returns_every_refusal() {
    let text = include_str!("../../scripts/config-cache.ron");
    let script = Script::read(text, "config-cache.ron").expect("a script");
    let report = Sweep::new("config-cache").scripted::<ConfigCache>(&script);
    report.assert_clean();
    let coverage = report.coverage();
    assert!(coverage.complete && coverage.requests >= 200, "{report}");
    assert_eq!(report.outcomes(Outcome::Propagated), coverage.runs, "{report}");
}

fn put(cache: &mut ConfigCache, name: &str, source: &str, ttl: u32) -> Gone {
    let done = cache.put(name, source, ttl).expect("there is memory");
    done.unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

#[test]
fn what_is_stored_is_lent_and_what_is_changed_is_the_callers() {
    let heap = Heap::new();
    let mut cache = ConfigCache::new(&heap);
    put(&mut cache, "web", "host=a\nport=80", 1_000);
    // Lending allocates nothing, so it works where there is no memory.
    heap.arm(Plan::from(1));
    let lent = cache.get("web", &[("port", "80")]).expect("none is needed").expect("a setting");
    assert!(matches!(lent, Some(Answer::Borrowed("host=a\nport=80\n"))));
    assert_eq!(cache.value("web", "port"), Value::Is("80"));
    assert!(cache.get("web", &[("port", "81")]).is_err());
    assert_eq!(cache.stats(), Stats { hits: 2, ..Stats::default() });
    heap.disarm();
    let made = cache.get("web", &[("port", "81")]).expect("there is memory").expect("a setting");
    assert!(matches!(&made, Some(Answer::Owned(_))));
    assert_eq!(made.as_deref(), Some("host=a\nport=81\n"));
    drop(made);
    cache.set_defaults("mode=fast").expect("there is memory").expect("a setting");
    let made = cache.get("web", &NONE).expect("there is memory").expect("no override");
    assert_eq!(made.as_deref(), Some("host=a\nport=80\nmode=fast\n"));
}

#[test]
fn a_failed_insertion_evicts_nothing() {
    let heap = Heap::new();
    let mut cache = ConfigCache::new(&heap);
    cache.set_capacity(2);
    put(&mut cache, "a", "x=1", 10);
    put(&mut cache, "b", "x=2", 1_000);
    let before = (cache.snapshot(), heap.live_bytes());
    for nth in 1..=3 {
        heap.arm(Plan::nth(nth));
        assert!(cache.put("c", "x=3", 1_000).is_err(), "request {nth}");
        heap.disarm();
        assert_eq!(cache.snapshot(), before.0);
    }
    assert_eq!(put(&mut cache, "c", "x=3", 1_000), Gone::Evicted);
    assert_eq!(cache.value("a", "x"), Value::NotCached);
    // One whose time is over goes before one that was used longer ago.
    put(&mut cache, "d", "x=4", 10);
    cache.advance(10);
    assert_eq!(put(&mut cache, "e", "x=5", 10), Gone::Expired);
    assert_eq!(cache.value("c", "x"), Value::Is("3"));
    let stats = Stats { hits: 1, misses: 1, expired: 1, evicted: 2 };
    assert_eq!(cache.stats(), stats);
    drop(cache);
    assert_eq!((heap.live_bytes(), heap.found()), (0, 0));
}

#[test]
fn operations_are_written_and_read_back() {
    let text = ron::to_string(&script()).unwrap();
    assert_eq!(ron::from_str::<Vec<Op>>(&text).unwrap(), script());
}
