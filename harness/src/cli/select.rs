//! Turns the names on a command line into scenarios.

use crate::error::Error;
use crate::scenario::Scenario;

/// The scenarios with these names or in these groups that the command can run (`can`); without
/// names, all that are in no group. A name may leave out the group if that is unambiguous.
///
/// # Errors
/// An unknown or ambiguous name, or one whose scenario the command can't run: it cannot be `done`.
pub(crate) fn select<'a>(
    scenarios: &'a [Scenario],
    names: &[String],
    can: fn(&Scenario) -> bool,
    done: &str,
) -> Result<Vec<&'a Scenario>, Error> {
    if names.is_empty() {
        let of_none = |scenario: &&Scenario| scenario.group.is_none() && can(scenario);
        let all: Vec<&Scenario> = scenarios.iter().filter(of_none).collect();
        if all.is_empty() {
            return Err(Error::new(format!("no scenario outside of a group can be {done}"))
                .help("name a scenario or a group; `list` shows all names"));
        }
        return Ok(all);
    }
    let matching = |fits: &dyn Fn(&Scenario) -> bool| -> Vec<&Scenario> {
        scenarios.iter().filter(|scenario| can(scenario) && fits(scenario)).collect()
    };
    let mut selected: Vec<&Scenario> = Vec::new();
    for name in names {
        let mut named = matching(&|s| s.name == *name || s.group.as_deref() == Some(name));
        if named.is_empty() {
            named = matching(&|s| s.name.rsplit('/').next() == Some(name));
            if named.len() > 1 {
                let all: Vec<&str> = named.iter().map(|scenario| scenario.name()).collect();
                return Err(Error::new(format!("`{name}` is ambiguous: {}", all.join(" or ")))
                    .help("give the whole name"));
            }
        }
        if named.is_empty() {
            let is_known = scenarios.iter().any(|scenario| scenario.name == *name);
            return Err(if is_known {
                Error::new(format!("`{name}` cannot be {done}"))
                    .help("`list` shows what each scenario supports")
            } else {
                Error::new(format!("there is no scenario or group `{name}`"))
                    .help(nearest(scenarios, name))
            });
        }
        let is_new = |s: &&Scenario| !selected.iter().any(|known| known.name == s.name);
        let more: Vec<&Scenario> = named.into_iter().filter(is_new).collect();
        selected.extend(more);
    }
    Ok(selected)
}

/// The help for a name that there isn't.
pub(crate) fn nearest(scenarios: &[Scenario], name: &str) -> String {
    let groups = scenarios.iter().filter_map(|scenario| scenario.group.as_deref());
    let mut known: Vec<&str> = scenarios.iter().map(Scenario::name).chain(groups).collect();
    known.dedup();
    match similar::get_close_matches(name, &known, 1, 0.6)[..] {
        [nearest] => format!("did you mean `{nearest}`? `list` shows all names"),
        _ => "`list` shows all names".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Scenario> {
        let swept = |name: &str, group: &str| {
            let scenario = Scenario::new(name, "requests nothing", |sweep| {
                sweep.run(|_| Ok::<_, crate::port::Refused>(()))
            });
            if group.is_empty() { scenario } else { scenario.group(group) }
        };
        let explored = |name: &str, group: &str| {
            Scenario::threads(name, "requests nothing", |explore| {
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
    fn each_scenario_is_selected_once() {
        assert_eq!(named(&[], Scenario::can_sweep), ok(&["intern"]));
        let twice = named(&["planted", "planted/leak", "intern"], Scenario::can_sweep);
        assert_eq!(twice, ok(&["planted/leak", "intern"]));
    }

    #[test]
    fn a_group_may_be_left_out_if_the_name_is_unambiguous() {
        assert_eq!(named(&["leak"], Scenario::can_explore), ok(&["racy/leak"]));
        assert_eq!(named(&["intern"], Scenario::can_explore), ok(&["contended/intern"]));
        assert_eq!(named(&["intern"], Scenario::can_sweep), ok(&["intern"]));
        let error = named(&["leak"], Scenario::can_sweep).expect_err("there are two");
        assert!(error.contains("`leak` is ambiguous: planted/leak or spare/leak"), "{error}");
    }

    #[test]
    fn nothing_to_do_is_an_error() {
        // No scenario outside of a group has threads.
        let error = named(&[], Scenario::can_explore).expect_err("there is none");
        assert!(error.contains("no scenario outside of a group can be done"), "{error}");
    }

    #[test]
    fn unknown_names_and_impossible_commands_are_errors() {
        let error = named(&["nothing"], Scenario::can_sweep).expect_err("there is none");
        assert!(error.contains("there is no scenario or group `nothing`"), "{error}");
        let error = named(&["planted/leak"], Scenario::can_explore).expect_err("it has no threads");
        assert!(error.contains("`planted/leak` cannot be done"), "{error}");
    }
}
