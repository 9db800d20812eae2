//! The subjects of these tests: one ends in some way if its second request fails, and the other one
//! leaks.

use std::time::Duration;

use mallory::{Faults, Heap, Kind, Outcome, Report, Sweep};

use crate::common::{Oom, Owned, the};

/// Makes three requests, and calls `end` if the second one fails.
pub(crate) fn dies(heap: &Heap, end: fn(&Heap)) -> Result<(), Oom> {
    let _first = Owned::new(heap, 16)?;
    if let Err(refused) = Owned::new(heap, 32) {
        end(heap);
        return Err(refused.into());
    }
    let _third = Owned::new(heap, 48)?;
    Ok(())
}

/// Makes 61 requests, and leaks a block if one of the last 60 fails.
pub(crate) fn lossy(heap: &Heap) -> Result<(), Oom> {
    let kept = Owned::new(heap, 16)?;
    for _ in 0..60 {
        if Owned::new(heap, 32).is_err() {
            kept.lose();
            return Err(Oom);
        }
    }
    Ok(())
}

/// Sweeps the subject `dies`, and checks that its end did not affect the other runs.
#[track_caller]
pub(crate) fn sweep(end: fn(&Heap)) -> Report {
    let report = Sweep::new("dies")
        .faults(Faults::Transient)
        .patience(Duration::from_secs(1))
        .run(move |heap| dies(heap, end));
    assert_eq!(report.exit_code(), 1, "{report}");
    assert_eq!(report.coverage().runs, 3, "{report}");
    assert!(report.outcomes(Outcome::Propagated) >= 2, "the sweep continued:\n{report}");
    report
}

/// The only finding has this kind and contains this note, and the report is the same each time.
#[track_caller]
pub(crate) fn expect(end: fn(&Heap), kind: Kind, outcome: Outcome, note: &str) {
    let report = sweep(end);
    let finding = the(&report, kind);
    assert_eq!(report.findings().len(), 1, "{report}");
    assert!(finding.to_string().lines().any(|line| line == format!("  {note}")), "{report}");
    assert_eq!(report.outcomes(outcome), 1, "{report}");
    assert_eq!(report.to_string(), sweep(end).to_string(), "the same bytes each time");
}
