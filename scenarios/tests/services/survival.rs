//! The sweep of each service: every request, and the requests 1, 3, 7 and 37, each alone and with
//! all later ones, with the kill switch off and on.

use mallory::script::Script;
use mallory::{Options, Outcome, Plan, Report, Sweep, System};
use mallory_scenarios::services::cache_rebuild::CacheRebuild;
use mallory_scenarios::services::circuit_breaker::Gateway;
use mallory_scenarios::services::config_cache::ConfigCache;
use mallory_scenarios::services::fixture;
use mallory_scenarios::services::git_command::GitCommand;
use mallory_scenarios::services::journal_intern::JournalIntern;
use mallory_scenarios::services::lfs_batch::{LfsBatch, LfsBatchArena};
use mallory_scenarios::services::request_context::Board;
use mallory_scenarios::services::state_listener::StateHub;
use mallory_scenarios::services::task_executor::TaskExecutor;
use serde::de::DeserializeOwned;

/// Reads a service's fixture.
pub(crate) type Input = fn() -> Result<std::sync::Arc<[u8]>, mallory::Error>;

/// The input of a service that reads none.
pub(crate) fn nothing() -> Result<std::sync::Arc<[u8]>, mallory::Error> {
    Ok(std::sync::Arc::from([]))
}

/// Sweeps a service's script, with the settings that `set` adds.
pub(crate) fn report<S: System>(text: &str, input: Input, set: impl Fn(Sweep) -> Sweep) -> Report
where
    S::Op: DeserializeOwned,
{
    let script = Script::read(text, S::NAME).expect("a script");
    let plain = Sweep::new(S::NAME).input(input().expect("the fixture"));
    set(plain).scripted::<S>(&script)
}

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
        report::<S>(self.text, self.input, |sweep| {
            let sweep = sweep.options(Options::new().bypass(bypass));
            match plan.clone() {
                Some(plan) => sweep.plan(plan),
                None => sweep,
            }
        })
    }

    /// Fails every request, alone and with all later ones.
    fn exhaustively(&self, bypass: bool) {
        let report = self.report(bypass, None);
        report.assert_clean();
        let coverage = report.coverage();
        assert!(coverage.complete && coverage.requests >= 200, "{report}");
        assert_eq!(report.outcomes(Outcome::Propagated), coverage.runs, "{report}");
    }

    /// Fails the first, third, seventh and thirty-seventh request.
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
                Service::new(include_str!(concat!("../../scripts/", $script)), $input);

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
service!(lfs_batch_arena: LfsBatchArena, "lfs-batch-arena.ron", fixture::lfs_requests);
service!(request_context: Board, "request-context.ron", nothing);
service!(config_cache: ConfigCache, "config-cache.ron", nothing);
service!(circuit_breaker: Gateway, "circuit-breaker.ron", nothing);
service!(git_command: GitCommand, "git-command.ron", fixture::git_answers);
service!(task_executor: TaskExecutor, "task-executor.ron", nothing);
service!(state_listener: StateHub, "state-listener.ron", nothing);
