//! The passes that remove a script's modes and faults, make faults plainer, and move a fault to an
//! earlier request.

use crate::plan::syntax::Shortage;
use crate::script::shrink::ScriptShrinker;

/// The most earlier ordinals that are tried for a fault.
const ORDINALS: usize = 64;

/// Removes modes, one by one.
pub(crate) fn remove_modes<Op: Clone>(shrinker: &mut ScriptShrinker<'_, Op>) {
    for mode in shrinker.best.modes.clone() {
        let mut plainer = shrinker.best.clone();
        plainer.modes.retain(|other| *other != mode);
        shrinker.removed.faults += u64::from(shrinker.accepts(plainer));
    }
}

/// Removes all faults, or else single ones, and makes those that are left plainer.
pub(crate) fn shrink_faults<Op: Clone>(shrinker: &mut ScriptShrinker<'_, Op>) {
    let all = shrinker.shortages().len() as u64;
    if all > 0 && shrinker.accepts(shrinker.with_shortages(Vec::new())) {
        shrinker.removed.faults += all;
        return;
    }
    for nth in (0..shrinker.shortages().len()).rev() {
        let mut fewer = shrinker.shortages();
        if fewer.len() > 1 && nth < fewer.len() {
            fewer.remove(nth);
            let accepted = shrinker.accepts(shrinker.with_shortages(fewer));
            shrinker.removed.faults += u64::from(accepted);
        }
    }
    for nth in 0..shrinker.shortages().len() {
        simplify_fault(shrinker, nth);
    }
}

/// Makes one fault plainer: once is plainer than for good, that than a burst, and that than a budget.
fn simplify_fault<Op: Clone>(shrinker: &mut ScriptShrinker<'_, Op>, nth: usize) {
    let Some(present) = shrinker.shortages().get(nth).copied() else { return };
    match present {
        Shortage::Once(_) => {}
        Shortage::ForGood(at) => {
            replace(shrinker, nth, Shortage::Once(at));
        }
        Shortage::Burst(at, last) => {
            let injected = shrinker.profile.injected.unwrap_or(at);
            if [at, injected].into_iter().any(|at| replace(shrinker, nth, Shortage::Once(at)))
                || replace(shrinker, nth, Shortage::ForGood(at))
            {
                return;
            }
            // Bisects for the earliest end of the burst.
            let (mut too_early, mut end) = (at.ordinal, last);
            while end - too_early > 1 {
                let middle = too_early + (end - too_early) / 2;
                if replace(shrinker, nth, Shortage::Burst(at, middle)) {
                    end = middle;
                } else {
                    too_early = middle;
                }
            }
        }
        Shortage::Budget(_) => {
            if let Some(at) = shrinker.profile.injected {
                let _ = replace(shrinker, nth, Shortage::Once(at))
                    || replace(shrinker, nth, Shortage::ForGood(at));
            }
        }
    }
}

/// Replaces one fault, if the script still shows the finding then.
fn replace<Op: Clone>(
    shrinker: &mut ScriptShrinker<'_, Op>,
    nth: usize,
    shortage: Shortage,
) -> bool {
    let mut shortages = shrinker.shortages();
    let differs = shortages.get(nth).is_some_and(|present| *present != shortage);
    differs && {
        shortages[nth] = shortage;
        shrinker.accepts(shrinker.with_shortages(shortages))
    }
}

/// Moves the only fault to the earliest request of its thread that shows the finding.
pub(crate) fn advance_fault<Op: Clone>(shrinker: &mut ScriptShrinker<'_, Op>) {
    let [only] = shrinker.shortages()[..] else { return };
    let Some(at) = only.at() else { return };
    for ordinal in (1..at.ordinal).take(ORDINALS) {
        if shrinker.accepts(shrinker.with_shortages(vec![only.moved(ordinal)])) {
            return;
        }
    }
}
