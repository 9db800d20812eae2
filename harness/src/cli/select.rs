//! Which scenarios a command's names mean.

use crate::error::Error;
use crate::scenario::Scenario;

/// The scenarios of these names and groups for which `can` says yes; all that are in no group
/// unless named. One that is named itself has to be of that kind: that it is not `done` is an error,
/// unless its name is also the end of one that is.
pub(crate) fn select<'a>(
    scenarios: &'a [Scenario],
    names: &[String],
    can: fn(&Scenario) -> bool,
    done: &str,
) -> Result<Vec<&'a Scenario>, Error> {
    if names.is_empty() {
        let of_none = |scenario: &&Scenario| scenario.group.is_none() && can(scenario);
        return Ok(scenarios.iter().filter(of_none).collect());
    }
    let able = |fits: &dyn Fn(&Scenario) -> bool| -> Vec<&Scenario> {
        scenarios.iter().filter(|scenario| can(scenario) && fits(scenario)).collect()
    };
    let mut selected: Vec<&Scenario> = Vec::new();
    for name in names {
        let mut named = able(&|s| s.name == *name || s.group.as_deref() == Some(name));
        if named.is_empty() {
            // A group may be left out where that leaves one.
            named = able(&|s| s.name.rsplit('/').next() == Some(name));
            if named.len() > 1 {
                let all: Vec<&str> = named.iter().map(|scenario| scenario.name()).collect();
                return Err(Error::new(format!("`{name}` may be {}", all.join(" or ")))
                    .help("name one of them"));
            }
        }
        if named.is_empty() {
            let is_known = scenarios.iter().any(|scenario| scenario.name == *name);
            return Err(if is_known {
                Error::new(format!("`{name}` is not {done}")).help("`list` shows what each can do")
            } else {
                Error::new(format!("there is no scenario or group `{name}`"))
                    .help("`list` shows them")
            });
        }
        let is_new = |s: &&Scenario| !selected.iter().any(|known| known.name == s.name);
        let more: Vec<&Scenario> = named.into_iter().filter(is_new).collect();
        selected.extend(more);
    }
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Scenario> {
        let swept = |name: &str, group: &str| {
            let scenario = Scenario::new(name, "asks for nothing", |sweep| {
                sweep.run(|_| Ok::<_, crate::port::Refused>(()))
            });
            if group.is_empty() { scenario } else { scenario.group(group) }
        };
        let explored = |name: &str, group: &str| {
            Scenario::threads(name, "asks for nothing", |explore| {
                explore.run(|_| Ok::<_, crate::port::Refused>(()))
            })
            .group(group)
        };
        vec![
            swept("intern", ""),
            swept("planted/leak", "planted"),
            swept("spare/leak", "spare"),
            explored("contended/intern", "contended"),
            explored("racy/leak", "racy"),
        ]
    }

    fn named(names: &[&str], can: fn(&Scenario) -> bool) -> Result<Vec<String>, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let all = all();
        let selected = select(&all, &names, can, "done").map_err(|error| error.to_string())?;
        Ok(selected.iter().map(|scenario| scenario.name().to_owned()).collect())
    }

    fn ok(names: &[&str]) -> Result<Vec<String>, String> {
        Ok(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn names_and_groups_mean_each_scenario_once() {
        assert_eq!(named(&[], Scenario::can_sweep), ok(&["intern"]));
        let twice = named(&["planted", "planted/leak", "intern"], Scenario::can_sweep);
        assert_eq!(twice, ok(&["planted/leak", "intern"]));
    }

    #[test]
    fn a_group_may_be_left_out_where_that_leaves_one() {
        assert_eq!(named(&["leak"], Scenario::can_explore), ok(&["racy/leak"]));
        assert_eq!(named(&["intern"], Scenario::can_explore), ok(&["contended/intern"]));
        assert_eq!(named(&["intern"], Scenario::can_sweep), ok(&["intern"]));
        let said = named(&["leak"], Scenario::can_sweep).expect_err("there are two");
        assert!(said.contains("`leak` may be planted/leak or spare/leak"), "{said}");
    }

    #[test]
    fn what_there_is_not_and_what_cannot_be_done_is_said() {
        let said = named(&["nothing"], Scenario::can_sweep).expect_err("there is none");
        assert!(said.contains("there is no scenario or group `nothing`"), "{said}");
        let said = named(&["planted/leak"], Scenario::can_explore).expect_err("it has no threads");
        assert!(said.contains("`planted/leak` is not done"), "{said}");
    }
}
