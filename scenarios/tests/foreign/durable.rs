//! The scenario of the durable store detects what it should: it finds stores that keep half of a
//! batch, or nothing of a batch that they confirmed, and the correct store passes it.

use mallory::script::Script;
use mallory::{Heap, Kind, Refused, Report, Sweep};
use mallory_scenarios::services::fixture;
use mallory_scenarios::services::lfs_batch::Oid;
use mallory_scenarios::services::lfs_batch::store::{
    KnownObject, ObjectRecord, Store, StoreChange,
};
use mallory_scenarios::services::lfs_batch_sqlite::store::SqliteStore;
use mallory_scenarios::services::lfs_batch_sqlite::{Durable, LfsBatchSqlite};

/// Defines a store that differs from the correct one only in how it commits.
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
            fn get(&self, oid: &Oid) -> Result<Option<KnownObject>, Refused> {
                self.0.get(oid)
            }

            fn visit(
                &self,
                scratch: &Heap,
                each: &mut dyn FnMut(&Oid, ObjectRecord<'_>) -> Result<(), Refused>,
            ) -> Result<(), Refused> {
                self.0.visit(scratch, each)
            }

            fn commit(&mut self, heap: &Heap, changes: &[StoreChange<'_>]) -> Result<(), Refused> {
                let commit: fn(&mut SqliteStore, &Heap, &[StoreChange<'_>]) -> _ = $commit;
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
    /// Confirms a batch whether it was committed or not.
    Hasty, "hasty", |store, heap, changes| {
        let _ = store.commit(heap, changes);
        Ok(())
    }
}

planted! {
    /// Commits correctly, by more calls than necessary.
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
fn a_confirmed_batch_that_is_not_in_the_file_is_found() {
    let report = swept::<Hasty>();
    // It is missing at the end, or after a later operation that fails.
    let kinds = kinds(&report);
    assert!(kinds.contains(&Kind::SilentWrong), "{report}");
    assert!(!kinds.contains(&Kind::NotRecovered) || kinds.len() == 2, "{report}");
}

#[test]
fn the_right_store_and_one_that_only_looks_different_are_clean() {
    swept::<SqliteStore>().assert_clean();
    swept::<Twice>().assert_clean();
}
