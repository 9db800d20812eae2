//! The journal behaves like its model, survives every refused request, and stores repeated strings
//! once.

use mallory::{Heap, Options, System};
use mallory_scenarios::services::fixture::{self, SAMPLE};
use mallory_scenarios::services::git_log::ChangeKind;
use mallory_scenarios::services::journal_intern::{Error, JournalIntern, Op, Reply};

use crate::by_hand::{Stage, agree, survive};
use crate::operations::{append, journal_intern as script};
use crate::survival;

#[test]
fn behaves_like_the_model() {
    for bypass in [false, true] {
        let requests = agree::<JournalIntern>(&script(), SAMPLE, Options::new().bypass(bypass));
        assert!(requests > 100, "only {requests} requests");
    }
}

#[test]
fn survives_every_refused_request() {
    survive::<JournalIntern>(&script(), SAMPLE);
}

#[test]
fn duplicates_are_saved_unless_the_kill_switch_is_on() {
    for bypass in [false, true] {
        let stage = Stage::new(SAMPLE);
        let heap = Options::new().bypass(bypass).heap();
        let mut journal = JournalIntern::open(&heap, &stage.world()).unwrap();
        journal.apply(&Op::AppendFromLog { skip: 0, take: 99 }, &stage.world()).unwrap();
        let Reply::Counted { records, strings, .. } =
            journal.apply(&Op::Count, &stage.world()).unwrap()
        else {
            panic!("not counted")
        };
        let stats = journal.strings();
        let copies = if bypass { 4 * records } else { strings };
        assert_eq!(stats.strings, copies);
        assert_eq!(stats.saved_strings, 4 * records - copies);
        assert_eq!(stats.saved_bytes == 0, bypass);
    }
}

#[test]
fn a_sweep_reports_what_the_intern_table_saved() {
    let text = include_str!("../../scripts/journal-intern.ron");
    let report = survival::report::<JournalIntern>(text, fixture::journal, |sweep| sweep.limit(4));
    let of = |name: &str| report.metrics().iter().find(|(found, _)| found == name).unwrap().1;
    assert!(of("saved_duplicates") > 0 && of("saved_bytes") > of("saved_duplicates"), "{report}");
    let json = report.to_json("sweep").expect("a result");
    let saved = of("saved_bytes");
    assert!(json.contains("\"metrics\":{\"interned_strings\":"), "{json}");
    assert!(json.contains(&format!("\"saved_bytes\":{saved}}}")), "{json}");
}

#[test]
fn a_renamed_path_is_live_under_its_new_name_only() {
    let stage = Stage::new(SAMPLE);
    let mut journal = JournalIntern::open(&Heap::new(), &stage.world()).unwrap();
    let mut apply = |op| journal.apply(&op, &stage.world()).unwrap();
    apply(Op::AppendFromLog { skip: 0, take: 99 });
    for (path, kind) in [("src/parse.rs", ChangeKind::Deleted), ("src/log.rs", ChangeKind::Renamed)]
    {
        let newest = apply(Op::Lookup { path: path.into() });
        let Reply::Newest(Some(entry)) = newest else { panic!("{path} is lost") };
        assert_eq!(entry.kind, kind);
    }
    let replayed = apply(Op::Replay);
    assert!(matches!(replayed, Reply::Replayed { live: 4, .. }), "{replayed:?}");
}

#[test]
fn a_wrong_log_appends_nothing() {
    let stage = Stage::new(SAMPLE);
    let wrong = [SAMPLE, b"oops\n"].concat();
    let mut journal = JournalIntern::open(&Heap::new(), &stage.world()).unwrap();
    let all = Op::AppendFromLog { skip: 0, take: 99 };
    let error = journal.apply(&all, &stage.world_of(&wrong)).unwrap_err();
    assert!(matches!(error, Error::Log(_)));
    assert_eq!(journal.snapshot(), Default::default());
}

#[test]
fn a_snapshot_covers_every_entry() {
    let stage = Stage::new(SAMPLE);
    let mut journal = JournalIntern::open(&Heap::new(), &stage.world()).unwrap();
    journal.apply(&Op::AppendFromLog { skip: 0, take: 99 }, &stage.world()).unwrap();
    let whole = journal.snapshot();
    for place in 0..whole.records.len() {
        let mut less = whole.clone();
        less.records.remove(place);
        assert_ne!(less, whole);
    }
    for path in whole.newest.keys() {
        let mut less = whole.clone();
        less.newest.remove(path);
        assert_ne!(less, whole);
    }
    for text in whole.references.keys() {
        let mut less = whole.clone();
        *less.references.get_mut(text).unwrap() -= 1;
        assert_ne!(less, whole);
    }
    // Conversely, each operation that changes anything changes the snapshot.
    for op in [append("src/lib.rs", ChangeKind::Modified, "7"), Op::Compact] {
        let before = journal.snapshot();
        journal.apply(&op, &stage.world()).unwrap();
        assert_ne!(journal.snapshot(), before, "{op:?}");
    }
}

#[test]
fn operations_are_written_and_read_back() {
    let text = ron::to_string(&script()).unwrap();
    assert_eq!(ron::from_str::<Vec<Op>>(&text).unwrap(), script());
}
