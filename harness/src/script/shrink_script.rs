//! Shrinks a script: runs all passes in the same order each time, until none finds anything smaller.
//! Modes and faults go first, then preemptions, threads, operations and sizes.
//!
//! The order of scripts is shortlex: fewer operations before shorter ones, and shorter ones before those
//! that are earlier in the alphabet.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::script::shrink::{Limits, Removed, ScriptOracle, ScriptShrinker};
use crate::script::shrink_faults::{advance_fault, remove_modes, shrink_faults};
use crate::script::shrink_operations::{order_values, remove_operations, shrink_values};
use crate::script::shrink_schedule::{choose_first_schedule, remove_preemptions, remove_threads};
use crate::system::script::Script;

/// The smallest script that shows what this one does; `None` if it doesn't show the same twice.
pub(crate) fn minimise_script<Op: Clone + Serialize + DeserializeOwned>(
    script: &Script<Op>,
    limits: Limits,
    oracle: &mut dyn ScriptOracle<Op>,
) -> Option<(Script<Op>, Removed)> {
    let mut shrinker = ScriptShrinker::new(script, limits, oracle)?;
    loop {
        let before = text_to_compare(&shrinker.best);
        remove_modes(&mut shrinker);
        shrink_faults(&mut shrinker);
        remove_preemptions(&mut shrinker);
        remove_threads(&mut shrinker);
        remove_operations(&mut shrinker);
        shrink_values(&mut shrinker);
        advance_fault(&mut shrinker);
        order_values(&mut shrinker);
        choose_first_schedule(&mut shrinker);
        if shrinker.is_over() || text_to_compare(&shrinker.best) == before {
            return Some((shrinker.best, shrinker.removed));
        }
    }
}

/// The script's text without its description.
fn text_to_compare<Op: Clone + Serialize>(script: &Script<Op>) -> String {
    let bare = Script { about: String::new(), found: None, ..script.clone() };
    bare.print().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::script::shrink::{RequestProfile, ScheduleSearchOutcome};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Op {
        Put { key: String, size: u32 },
        Drop(String),
        Tick,
    }

    /// Every operation but a tick makes two requests. The finding shows if a key is dropped that was
    /// put with 37 bytes or more, the second request of that drop fails, and the schedule has the
    /// preemption `T1@8>T2`.
    struct Planted;

    fn requests(op: &Op) -> u64 {
        if *op == Op::Tick { 0 } else { 2 }
    }

    impl ScriptOracle<Op> for Planted {
        fn profile_if_shown(&mut self, script: &Script<Op>) -> Option<RequestProfile> {
            let profile = self.profile(script);
            let at = script.shortages().ok()??.0.first()?.at()?.ordinal;
            let put = |key: &str, before: usize| {
                script.threads[0][..before]
                    .iter()
                    .any(|op| matches!(op, Op::Put { key: put, size } if put == key && *size >= 37))
            };
            let shown = script.threads[0].iter().enumerate().any(|(nth, op)| match op {
                Op::Drop(key) => put(key, nth) && at == profile.starts(0)[nth] + 2,
                _ => false,
            });
            let scheduled = script.preemptions().ok()?.contains(&"T1@8>T2".parse().ok()?);
            (shown && scheduled).then_some(profile)
        }

        fn profile(&mut self, script: &Script<Op>) -> RequestProfile {
            let (mut starts, mut all) = (Vec::new(), 0);
            for op in &script.threads[0] {
                starts.push(all);
                all += requests(op);
            }
            RequestProfile { injected: None, starts: vec![starts], requests: vec![all] }
        }

        fn find_schedule(&mut self, _: &Script<Op>, _: u32, _: u64) -> ScheduleSearchOutcome<Op> {
            (None, 0)
        }
    }

    fn long() -> Script<Op> {
        let mut ops = Vec::new();
        for nth in 0..200_u32 {
            let key = format!("key-{}", nth % 7);
            ops.push(Op::Put { key: key.clone(), size: nth });
            ops.push(if nth % 3 == 0 { Op::Tick } else { Op::Drop(key) });
        }
        let mut script = Script::of("planted", ops);
        script.schedule = Some("T0@1>T1, T1@8>T2".into());
        script.fault = Some("T0#3, T0#514..".into());
        script
    }

    #[test]
    fn what_is_needed_is_left_in_its_plainest_form() {
        let mut script = long();
        let ordinal = (1..=2000).find(|at| {
            script.fault = Some(format!("T0#{at}, T0#1900.."));
            Planted.profile_if_shown(&script).is_some()
        });
        assert!(ordinal.is_some_and(|at| at > 100), "{ordinal:?}");
        let (small, removed) =
            minimise_script(&script, Limits::default(), &mut Planted).expect("shown");
        assert_eq!(
            ron::to_string(&small.threads).expect("text"),
            r#"[[Put(key:"",size:37),Drop("")]]"#
        );
        assert_eq!(small.fault.as_deref(), Some("T0#4"));
        assert_eq!(small.schedule.as_deref(), Some("T1@8>T2"));
        assert_eq!((removed.operations, removed.preemptions), (398, 1));
        assert!(removed.runs < 3_000, "{removed}");
        let again = minimise_script(&script, Limits::default(), &mut Planted);
        assert_eq!(again, Some((small, removed)), "the result is deterministic");
    }

    #[test]
    fn a_limit_is_kept_and_a_script_that_shows_nothing_is_not_shrunk() {
        let mut script = long();
        assert_eq!(minimise_script(&script, Limits::default(), &mut Planted), None);
        script.threads[0] = vec![Op::Put { key: "k".into(), size: 40 }, Op::Drop("k".into())];
        script.fault = Some("T0#4..".into());
        let few = Limits { runs: 5, time: None };
        let (_, removed) = minimise_script(&script, few, &mut Planted).expect("shown");
        assert_eq!(removed.runs, 5);
    }

    /// Shows the finding the first time only.
    struct Flaky(u32);

    impl ScriptOracle<Op> for Flaky {
        fn profile_if_shown(&mut self, _: &Script<Op>) -> Option<RequestProfile> {
            self.0 += 1;
            (self.0 == 1).then(RequestProfile::default)
        }

        fn profile(&mut self, _: &Script<Op>) -> RequestProfile {
            RequestProfile::default()
        }

        fn find_schedule(&mut self, _: &Script<Op>, _: u32, _: u64) -> ScheduleSearchOutcome<Op> {
            (None, 0)
        }
    }

    #[test]
    fn a_flaky_script_is_not_shrunk() {
        assert_eq!(minimise_script(&long(), Limits::default(), &mut Flaky(0)), None);
    }
}
