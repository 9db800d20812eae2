//! The concurrent subjects on real threads, where a sweep is a sample of the schedules.

use mallory::{Options, Sweep, Verdict};
use mallory_scenarios::concurrent::SUBJECTS;

#[test]
fn real_threads_find_nothing() {
    for subject in SUBJECTS {
        for bypass in [false, true] {
            let options = Options::new().parallel().bypass(bypass);
            let report = Sweep::new(subject.name).options(options).run(subject.run);
            report.assert_clean();
            assert_eq!(report.verdict(), Verdict::Sampled, "{report}");
        }
    }
}
