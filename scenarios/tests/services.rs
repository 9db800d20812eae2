//! The services under the sweep: exhaustively, and with N in {1, 3, 7, 37}, once and for good,
//! with the kill switch off and on.

use mallory::script::Script;
use mallory::{Options, Outcome, Plan, Report, Sweep, System};
use mallory_scenarios::cache_rebuild::CacheRebuild;
use mallory_scenarios::fixture;
use mallory_scenarios::journal_intern::JournalIntern;
use mallory_scenarios::lfs_batch::LfsBatch;
use serde::de::DeserializeOwned;

type Input = fn() -> Result<std::sync::Arc<[u8]>, mallory::Error>;

struct Service<S: System> {
    text: &'static str,
    input: Input,
    system: std::marker::PhantomData<S>,
}

impl<S: System> Service<S>
where
    S::Op: DeserializeOwned,
{
    const fn new(text: &'static str, input: Input) -> Self {
        Service { text, input, system: std::marker::PhantomData }
    }

    fn report(&self, bypass: bool, plan: Option<Plan>) -> Report {
        let script = Script::read(self.text, S::NAME).expect("a script");
        let mut sweep = Sweep::new(S::NAME)
            .input((self.input)().expect("the fixture"))
            .options(Options::new().bypass(bypass));
        if let Some(plan) = plan {
            sweep = sweep.plan(plan);
        }
        sweep.scripted::<S>(&script)
    }

    /// Every request, once and for good.
    fn exhaustively(&self, bypass: bool) {
        let report = self.report(bypass, None);
        report.assert_clean();
        let coverage = report.coverage();
        assert!(coverage.complete && coverage.requests >= 300, "{report}");
        assert_eq!(report.outcomes(Outcome::Propagated), coverage.runs, "{report}");
    }

    /// The first, third, seventh and thirty-seventh request.
    fn at_chosen_requests(&self, bypass: bool) {
        for n in [1, 3, 7, 37] {
            for plan in [Plan::nth(n), Plan::from(n)] {
                let report = self.report(bypass, Some(plan));
                report.assert_clean();
                assert_eq!(report.outcomes(Outcome::Propagated), 1, "N = {n}: {report}");
            }
        }
    }
}

macro_rules! service {
    ($name:ident: $system:ty, $script:literal, $input:expr) => {
        mod $name {
            use super::*;

            const SERVICE: Service<$system> =
                Service::new(include_str!(concat!("../scripts/", $script)), $input);

            #[test]
            fn survives_every_failure() {
                SERVICE.exhaustively(false);
            }

            #[test]
            fn survives_every_failure_with_the_kill_switch_on() {
                SERVICE.exhaustively(true);
            }

            #[test]
            fn survives_failures_at_chosen_requests() {
                SERVICE.at_chosen_requests(false);
            }

            #[test]
            fn survives_failures_at_chosen_requests_with_the_kill_switch_on() {
                SERVICE.at_chosen_requests(true);
            }
        }
    };
}

service!(cache_rebuild: CacheRebuild, "cache-rebuild.ron", fixture::journal);
service!(journal_intern: JournalIntern, "journal-intern.ron", fixture::journal);
service!(lfs_batch: LfsBatch, "lfs-batch.ron", fixture::lfs_requests);
