//! Calls that allocate past the heap.

use serde::Deserialize;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::guards::Breach;

/// Types of std whose values take memory from the global allocator, by the functions that make them.
const TYPES: [&str; 11] = [
    "Arc",
    "BTreeMap",
    "BTreeSet",
    "BinaryHeap",
    "Box",
    "HashMap",
    "HashSet",
    "Rc",
    "String",
    "Vec",
    "VecDeque",
];
const MAKERS: [&str; 5] = ["default", "from", "from_iter", "new", "with_capacity"];
/// Methods that return such values.
const METHODS: [&str; 9] = [
    "collect",
    "concat",
    "into_boxed_slice",
    "into_owned",
    "join",
    "repeat",
    "to_owned",
    "to_string",
    "to_vec",
];
const MACROS: [&str; 2] = ["format", "vec"];

const HELP: &str = "take the memory from the heap, and pass on its refusal; or give the reason in \
                    ci/guards.toml";

/// The file of calls that are allowed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Allowed {
    #[serde(default, rename = "allow")]
    entries: Vec<Entry>,
}

/// Calls that are allowed in one file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: String,
    calls: Vec<String>,
    reason: String,
    #[serde(skip)]
    used: Vec<String>,
}

impl Allowed {
    pub(super) fn parse(text: &str) -> Result<Allowed, String> {
        let allowed: Allowed = toml::from_str(text).map_err(|error| error.to_string())?;
        match allowed.entries.iter().find(|entry| entry.reason.trim().is_empty()) {
            Some(entry) => Err(format!("the calls of {} have no reason", entry.file)),
            None => Ok(allowed),
        }
    }

    fn allows(&mut self, file: &str, call: &str) -> bool {
        let is_it = |entry: &&mut Entry| {
            entry.file == file && entry.calls.iter().any(|known| known == call)
        };
        match self.entries.iter_mut().find(is_it) {
            Some(entry) => {
                entry.used.push(call.to_owned());
                true
            }
            None => false,
        }
    }

    /// What is allowed, and is not there.
    pub(super) fn unused(&self, file: &str) -> Vec<Breach> {
        let unused = self.entries.iter().flat_map(|entry| {
            let is_unused = |call: &&String| !entry.used.contains(call);
            entry.calls.iter().filter(is_unused).map(move |call| (entry, call))
        });
        unused
            .map(|(entry, call)| Breach {
                file: file.to_owned(),
                line: 1,
                what: format!("`{call}` is allowed in {}, and is not called there", entry.file),
                help: "take it out".to_owned(),
            })
            .collect()
    }
}

/// The calls in a file that allocate past the heap, and are not allowed.
pub(super) fn check(file: &str, parsed: &syn::File, allowed: &mut Allowed) -> Vec<Breach> {
    let mut calls = Calls { found: Vec::new() };
    calls.visit_file(parsed);
    let mut breaches = Vec::new();
    for (line, call) in calls.found {
        if !allowed.allows(file, &call) {
            let what = format!("`{call}` takes memory past the heap");
            breaches.push(Breach { file: file.to_owned(), line, what, help: HELP.to_owned() });
        }
    }
    breaches
}

/// The calls of a file that allocate past the heap, each with its line. Tests are left out.
struct Calls {
    found: Vec<(usize, String)>,
}

impl Calls {
    fn add(&mut self, at: &impl Spanned, call: String) {
        self.found.push((at.span().start().line, call));
    }
}

/// Whether an item is only there in tests.
pub(crate) fn is_test(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        _ => return false,
    };
    has_test(attributes)
}

/// Whether these attributes say that what they are of is only there in tests.
pub(super) fn has_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = match &attribute.meta {
            syn::Meta::List(list) => list.tokens.to_string(),
            _ => String::new(),
        };
        attribute.path().is_ident("cfg") && text == "test" || attribute.path().is_ident("test")
    })
}

impl<'ast> Visit<'ast> for Calls {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let names: Vec<String> =
            path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let [.., of, function] = &names[..]
            && TYPES.contains(&&**of)
            && MAKERS.contains(&&**function)
        {
            self.add(path, format!("{of}::{function}"));
        }
        visit::visit_expr_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let method = call.method.to_string();
        if METHODS.contains(&&*method) {
            self.add(&call.method, method);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let name = called.path.segments.last().map(|segment| segment.ident.to_string());
        if let Some(name) = name.filter(|name| MACROS.contains(&&**name)) {
            self.add(called, format!("{name}!"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
fn make(heap: &Heap) -> Result<(), Refused> {
    let near_miss = Vec::<u8, _>::new_in(heap.clone());
    let name = format!(\"{}\", 1);
    let all: std::vec::Vec<u8> = name.bytes().collect();
    let boxed = Box::new(all);
    Ok(())
}
#[cfg(test)]
mod tests {
    fn in_a_test() -> String {
        1.to_string()
    }
}
";

    fn found(allowed: &str) -> Vec<(usize, String)> {
        let mut allowed = Allowed::parse(allowed).expect("a right file");
        let parsed = syn::parse_file(SOURCE).expect("a right source");
        let breaches = check("a.rs", &parsed, &mut allowed);
        breaches.into_iter().map(|breach| (breach.line, breach.what)).collect()
    }

    #[test]
    fn each_call_that_allocates_by_itself_is_found_outside_of_tests() {
        let what = |call: &str| format!("`{call}` takes memory past the heap");
        let all = [(4, what("format!")), (5, what("collect")), (6, what("Box::new"))];
        assert_eq!(found(""), all);
        let allowed = "[[allow]]\nfile = \"a.rs\"\ncalls = [\"collect\"]\nreason = \"a test\"\n";
        assert_eq!(found(allowed), [all[0].clone(), all[2].clone()]);
    }

    #[test]
    fn what_is_allowed_has_a_reason_and_is_there() {
        let entry = |reason: &str| {
            format!("[[allow]]\nfile = \"a.rs\"\ncalls = [\"repeat\"]\nreason = \"{reason}\"\n")
        };
        assert!(Allowed::parse(&entry(" ")).expect_err("none").contains("have no reason"));
        let unused = Allowed::parse(&entry("x")).expect("right").unused("guards.toml");
        assert_eq!(unused[0].what, "`repeat` is allowed in a.rs, and is not called there");
    }
}
