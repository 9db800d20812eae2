//! Published allocators and the contract of a port: the documented table is up to date, each broken
//! promise is reproduced by its committed sequence, and allocators that keep every promise pass the
//! same sequences.

use mallory_scenarios::foreign::allocators::{Allocator, Known, Trial, all, broken, table};

#[test]
fn the_documented_table_is_what_is_printed() {
    let table = table();
    assert!(!table.contains("unexpected"), "{table}");
    let documented = include_str!("../../ALLOCATORS.md");
    let printed = "`cargo run --release --features foreign-allocators --example allocators`";
    assert!(documented.ends_with(&table), "ALLOCATORS.md differs from {printed}:\n{table}");
}

/// Whether the allocator comes with the system, and so has no locked version.
fn is_systems(package: &str) -> bool {
    ["std", "C library"].contains(&package)
}

#[test]
fn there_are_ten_published_ones_of_different_kinds_and_adapters() {
    let distinct = |of: fn(&Allocator) -> &'static str| {
        let mut all: Vec<_> = all().iter().map(of).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let packages = distinct(|allocator| allocator.package);
    let published = packages
        .iter()
        .filter(|package| !["mallory-scenarios"].contains(package) && !is_systems(package));
    assert!(published.count() >= 10, "{packages:?}");
    for allocator in all().iter().filter(|allocator| !is_systems(allocator.package)) {
        assert_ne!(allocator.version(), "–", "{allocator:?} is locked");
    }
    let adapters = distinct(|allocator| allocator.through);
    for adapter in [
        "Api2Port",
        "Api2V04Port",
        "GlobalPort",
        "MemoryPort",
        "RegionPort",
        "StaticPort",
        "TablePort",
    ] {
        assert!(adapters.contains(&&*format!("`{adapter}`")), "{adapter}: {adapters:?}");
    }
}

#[test]
fn what_is_known_replays_from_its_sequence_and_only_where_it_is_broken() {
    let sequences = |allocator: &Allocator| allocator.known.iter().map(|known| known.sequence);
    let all = all();
    let first = all.iter().flat_map(sequences).collect::<Vec<_>>();
    assert!(!first.is_empty());
    for allocator in &all {
        let known: Vec<&Known> = allocator.known_here().collect();
        for Known { promise, sequence, .. } in &known {
            let report = (allocator.run)(Trial::Sequence(sequence)).report;
            assert_eq!(broken(&report), [*promise], "{report}");
        }
        for sequence in first.iter().filter(|_| known.is_empty()) {
            (allocator.run)(Trial::Sequence(sequence)).report.assert_clean();
        }
    }
}
