//! A subject that dies where its second request fails, and what its sweep has to say.

use std::time::Duration;

use mallory::{Faults, Heap, Kind, Outcome, Report, Sweep};

use super::{Oom, Owned, the};

/// Three requests; `end` is what happens where the second one fails.
pub(crate) fn dies(heap: &Heap, end: fn(&Heap)) -> Result<(), Oom> {
    let _first = Owned::new(heap, 16)?;
    if let Err(refused) = Owned::new(heap, 32) {
        end(heap);
        return Err(refused.into());
    }
    let _third = Owned::new(heap, 48)?;
    Ok(())
}

/// Sweeps the subject above, and sees that nothing else was touched by what it died of.
#[track_caller]
pub(crate) fn sweep(end: fn(&Heap)) -> Report {
    let report = Sweep::new("dies")
        .faults(Faults::Transient)
        .patience(Duration::from_secs(1))
        .run(move |heap| dies(heap, end));
    assert_eq!(report.exit_code(), 1, "{report}");
    assert_eq!(report.coverage().runs, 3, "{report}");
    assert!(report.outcomes(Outcome::Propagated) >= 2, "the sweep went on:\n{report}");
    report
}

/// The sweep's only finding is of this kind and says this, and nothing that differs by run.
#[track_caller]
pub(crate) fn expect(end: fn(&Heap), kind: Kind, outcome: Outcome, note: &str) {
    let report = sweep(end);
    let finding = the(&report, kind);
    assert_eq!(report.findings().len(), 1, "{report}");
    assert!(finding.to_string().lines().any(|line| line == format!("  {note}")), "{report}");
    assert_eq!(report.outcomes(outcome), 1, "{report}");
    assert_eq!(report.to_string(), sweep(end).to_string(), "the same bytes each time");
}
