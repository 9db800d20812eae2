//! `cargo run -p ci -- clones`: calls of `clone` in each file of the scenarios, and requests for memory
//! of each service's operations, compared with the most that are allowed (`ci/clones.toml`). More than
//! that fails. Less prints a hint to lower the maximum; `--update` writes the file anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use serde::Deserialize;
use syn::visit::{self, Visit};

use crate::guards::is_test;
use crate::{Step, cargo, output, root};

/// What is allowed.
const FILE: &str = "ci/clones.toml";
/// The sources whose calls are counted.
const SOURCES: &str = "scenarios/src";
const UPDATE: &str = "`cargo run -p ci -- clones --update` writes the new maximum";

/// The most calls of each file, and the most requests of a hundred operations of each service.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Most {
    clones: BTreeMap<String, u64>,
    requests: BTreeMap<String, u64>,
}

impl Most {
    fn print(&self) -> String {
        let mut text = String::from(
            "# The most calls of `clone` in each file of the scenarios, tests left out, and the most\n\
             # requests for memory that a hundred operations of a service's script make. Written by\n\
             # `cargo run -p ci -- clones --update`.\n\n[clones]\n",
        );
        for (file, most) in &self.clones {
            let _ = writeln!(text, "{file:?} = {most}");
        }
        text.push_str("\n[requests]\n");
        for (service, most) in &self.requests {
            let _ = writeln!(text, "{service} = {most}");
        }
        text
    }
}

/// Where the calls of each file are, and the requests of each service.
struct Found {
    clones: BTreeMap<String, Vec<usize>>,
    requests: BTreeMap<String, u64>,
}

impl Found {
    fn most(&self) -> Most {
        let clones = self.clones.iter().filter(|(_, lines)| !lines.is_empty());
        Most {
            clones: clones.map(|(file, lines)| (file.clone(), lines.len() as u64)).collect(),
            requests: self.requests.clone(),
        }
    }

    /// What is more than allowed, and hints where less is there.
    fn compare(&self, most: &Most) -> (Vec<String>, Vec<String>) {
        let (mut errors, mut hints) = (Vec::new(), Vec::new());
        let mut lower = |name: &str, found: u64, most: u64| {
            hints.push(format!("hint: {name}: {found} instead of {most}; {UPDATE}"));
        };
        for (file, lines) in &self.clones {
            let (found, most) = (lines.len() as u64, most.clones.get(file).copied().unwrap_or(0));
            if found > most {
                errors.push(format!(
                    "error: {found} calls of `clone`, at most {most} are allowed: lines {lines:?}\n  \
                     --> {file}:{}\n  help: borrow instead; or, if it has to be, {UPDATE}",
                    lines[0]
                ));
            } else if found < most {
                lower(file, found, most);
            }
        }
        for (service, found) in &self.requests {
            match most.requests.get(service) {
                Some(most) if found > most => errors.push(format!(
                    "error: {service}: {found} requests for memory in 100 operations, at most {most} \
                     are allowed\n  --> {FILE}\n  help: lend, or use a block again; or, if it has to \
                     be, {UPDATE}"
                )),
                Some(most) if found < most => lower(service, *found, *most),
                Some(_) => {}
                None => errors.push(format!(
                    "error: {service} has no maximum\n  --> {FILE}\n  help: {UPDATE}"
                )),
            }
        }
        for file in most.clones.keys().filter(|file| !self.clones.contains_key(*file)) {
            hints.push(format!("hint: {file} is gone; {UPDATE}"));
        }
        for service in most.requests.keys().filter(|name| !self.requests.contains_key(*name)) {
            errors.push(format!(
                "error: {service} is not measured\n  --> {FILE}\n  help: add it to \
                 scenarios/examples/allocations.rs; or, if it is gone, {UPDATE}"
            ));
        }
        (errors, hints)
    }
}

/// Counts, measures, and compares.
pub(crate) fn clones(update: bool) -> Step {
    let mut clones = BTreeMap::new();
    count_in(Path::new(SOURCES), &mut clones)?;
    let example = ["run", "-q", "-p", "mallory-scenarios", "--example", "allocations"];
    let requests = measured(&output(&mut cargo(&example), 0)?)?;
    let found = Found { clones, requests };
    let path = root().join(FILE);
    if update {
        return std::fs::write(path, found.most().print())
            .map_err(|e| format!("error: {FILE}: {e}"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| format!("error: {e}\n  --> {FILE}"))?;
    let most: Most = toml::from_str(&text).map_err(|e| format!("error: {e}\n  --> {FILE}"))?;
    let (errors, hints) = found.compare(&most);
    hints.iter().for_each(|hint| println!("{hint}"));
    if !errors.is_empty() {
        return Err(errors.join("\n"));
    }
    let (calls, services) = (most.clones.values().sum::<u64>(), found.requests.len());
    println!(
        "clones: at most {calls} calls of `clone`, and {services} services within their requests"
    );
    Ok(())
}

/// The requests of a hundred operations, rounded up, by service: from lines of a service, its
/// operations and its requests.
fn measured(table: &str) -> Result<BTreeMap<String, u64>, String> {
    let row = |line: &str| {
        let mut words = line.split(' ');
        let service = words.next()?.to_owned();
        let operations = words.next()?.parse::<u64>().ok().filter(|operations| *operations != 0)?;
        let requests = words.next()?.parse::<u64>().ok()?;
        Some((service, (requests * 100).div_ceil(operations)))
    };
    table.lines().map(|line| row(line).ok_or_else(|| format!("error: not a row: {line}"))).collect()
}

fn count_in(folder: &Path, clones: &mut BTreeMap<String, Vec<usize>>) -> Step {
    let failed = |error: std::io::Error| format!("error: {error}\n  --> {}", folder.display());
    for entry in std::fs::read_dir(root().join(folder)).map_err(failed)? {
        let path = folder.join(entry.map_err(failed)?.file_name());
        if root().join(&path).is_dir() {
            count_in(&path, clones)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(root().join(&path)).map_err(failed)?;
            let file = path.display().to_string();
            let lines = lines(&source).map_err(|error| {
                format!("error: {error}\n  --> {file}:{}", error.span().start().line)
            })?;
            clones.insert(file, lines);
        }
    }
    Ok(())
}

/// The lines of a source on which `clone` is called, in order. Tests are left out.
fn lines(source: &str) -> Result<Vec<usize>, syn::Error> {
    let mut calls = Calls { lines: Vec::new() };
    calls.visit_file(&syn::parse_file(source)?);
    calls.lines.sort_unstable();
    Ok(calls.lines)
}

struct Calls {
    lines: Vec<usize>,
}

impl Calls {
    /// Counts `.clone()` in what a macro is called with, which is not parsed.
    fn count_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for three in tokens.windows(3) {
            if let [TokenTree::Punct(dot), TokenTree::Ident(name), TokenTree::Group(group)] = three
                && dot.as_char() == '.'
                && name == "clone"
                && group.delimiter() == Delimiter::Parenthesis
                && group.stream().is_empty()
            {
                self.lines.push(name.span().start().line);
            }
        }
        for token in tokens {
            if let TokenTree::Group(group) = token {
                self.count_tokens(group.stream());
            }
        }
    }
}

impl<'ast> Visit<'ast> for Calls {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "clone" && call.args.is_empty() {
            self.lines.push(call.method.span().start().line);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.count_tokens(called.tokens.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
fn call(name: &Name) {
    let one = name.clone();
    print!(\"{}\", [one.clone()].len());
    near.clone_from(name);
    name.clone(1);
    vec![miss.clone(1), cloned()];
}
#[cfg(test)]
mod tests {
    fn in_a_test() {
        x.clone();
    }
}
";

    fn found(requests: u64) -> Found {
        let lines = lines(SOURCE).expect("a right source");
        let requests = measured(&format!("cache 50 {requests} 0.1")).expect("a right table");
        Found { clones: [("a.rs".to_owned(), lines)].into(), requests }
    }

    fn most(calls: u64, requests: u64) -> Most {
        let text = format!("[clones]\n\"a.rs\" = {calls}\n\n[requests]\ncache = {requests}\n");
        toml::from_str(&text).expect("a right file")
    }

    #[test]
    fn calls_are_counted_in_macros_too_but_not_in_tests() {
        assert_eq!(lines(SOURCE).expect("a right source"), [3, 4]);
    }

    #[test]
    fn one_more_fails_with_its_place_and_one_less_is_a_hint() {
        assert_eq!(found(5).compare(&most(2, 10)), (Vec::new(), Vec::new()));
        let (errors, hints) = found(6).compare(&most(1, 11));
        assert!(errors[0].contains("at most 1 are allowed: lines [3, 4]"), "{errors:?}");
        assert!(errors[0].contains("\n  --> a.rs:3\n  help: borrow"), "{errors:?}");
        assert!(errors[1].starts_with("error: cache: 12 requests"), "{errors:?}");
        assert_eq!((errors.len(), hints.len()), (2, 0));
        let (errors, hints) = found(5).compare(&most(3, 11));
        assert_eq!((errors.len(), hints.len()), (0, 2), "{errors:?}");
        assert!(hints[0].starts_with("hint: a.rs: 2 instead of 3; "), "{hints:?}");
    }

    #[test]
    fn what_is_unknown_or_not_measured_fails() {
        let (errors, _) = found(5).compare(&Most::default());
        assert!(errors[0].contains("at most 0 are allowed"), "{errors:?}");
        assert!(errors[1].contains("cache has no maximum"), "{errors:?}");
        let mut of_two = most(2, 10);
        of_two.requests.insert("other".to_owned(), 1);
        let (errors, _) = found(5).compare(&of_two);
        assert!(errors[0].contains("other is not measured"), "{errors:?}");
        assert!(measured("cache 0 1").is_err());
    }

    #[test]
    fn the_file_is_written_as_it_is_read() {
        let most = found(5).most();
        assert_eq!(toml::from_str::<Most>(&most.print()).expect("a right file"), most);
    }
}
