//! The durable store's oracle is worth what it finds: stores that keep half of a batch, or none of
//! one that they answered for, are found by the scenario that the right one passes.
#![cfg(feature = "foreign")]

use mallory::script::Script;
use mallory::{Heap, Kind, Refused, Report, Sweep};
use mallory_scenarios::fixture;
use mallory_scenarios::lfs::Oid;
use mallory_scenarios::lfs::sqlite_store::SqliteStore;
use mallory_scenarios::lfs::store::{Change, Known, Record, Store};
use mallory_scenarios::lfs_batch_sqlite::{Durable, LfsBatchSqlite};

/// A store that differs from the right one in how it commits.
macro_rules! planted {
    ($(#[$meta:meta])* $store:ident, $name:literal, $commit:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        struct $store(SqliteStore);

        impl Durable for $store {
            const NAME: &'static str = $name;

            fn over(store: SqliteStore) -> Self {
                $store(store)
            }

            fn sqlite(&self) -> &SqliteStore {
                &self.0
            }

            fn sqlite_mut(&mut self) -> &mut SqliteStore {
                &mut self.0
            }
        }

        impl Store for $store {
            fn get(&self, oid: &Oid) -> Result<Option<Known>, Refused> {
                self.0.get(oid)
            }

            fn visit(
                &self,
                scratch: &Heap,
                each: &mut dyn FnMut(&Oid, Record<'_>) -> Result<(), Refused>,
            ) -> Result<(), Refused> {
                self.0.visit(scratch, each)
            }

            fn commit(&mut self, heap: &Heap, changes: &[Change<'_>]) -> Result<(), Refused> {
                let commit: fn(&mut SqliteStore, &Heap, &[Change<'_>]) -> _ = $commit;
                commit(&mut self.0, heap, changes)
            }
        }
    };
}

planted! {
    /// Commits row by row, without a transaction around them.
    RowByRow, "row-by-row", |store, heap, changes| {
        changes.iter().try_for_each(|change| store.commit(heap, &[*change]))
    }
}

planted! {
    /// Answers for a batch whether it was committed or not.
    Hasty, "hasty", |store, heap, changes| {
        let _ = store.commit(heap, changes);
        Ok(())
    }
}

planted! {
    /// Commits as the right one does, in another order of calls.
    Twice, "twice", |store, heap, changes| {
        store.commit(heap, &[])?;
        store.commit(heap, changes)
    }
}

/// A batch of several objects.
fn swept<S: Durable + 'static>() -> Report {
    let text = format!("(system: {:?}, threads: [[Call(Batch(Line(1))), Reopen]])", S::NAME);
    let script = Script::read(&text, "durable.ron").expect("a script");
    let input = fixture::lfs_requests().expect("the fixture is whole");
    Sweep::new(S::NAME).input(input).scripted::<LfsBatchSqlite<S>>(&script)
}

fn kinds(report: &Report) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = report.findings().iter().map(|finding| finding.kind()).collect();
    kinds.dedup();
    kinds
}

#[test]
fn half_a_batch_in_the_file_is_found() {
    let report = swept::<RowByRow>();
    assert_eq!(kinds(&report), [Kind::NotRecovered], "{report}");
    let text = report.to_string();
    assert!(text.contains("the state after the error is not the state before"), "{text}");
    assert!(text.contains(r#"+             state: "pending","#), "{text}");
}

#[test]
fn a_batch_that_was_answered_and_is_not_in_the_file_is_found() {
    let report = swept::<Hasty>();
    // It is missed at the end, or by the operation that fails after it.
    let kinds = kinds(&report);
    assert!(kinds.contains(&Kind::SilentWrong), "{report}");
    assert!(!kinds.contains(&Kind::NotRecovered) || kinds.len() == 2, "{report}");
}

#[test]
fn the_right_store_and_one_that_only_looks_different_are_clean() {
    swept::<SqliteStore>().assert_clean();
    swept::<Twice>().assert_clean();
}
