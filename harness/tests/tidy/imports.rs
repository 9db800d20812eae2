//! Which file imports which, read by a parser: `use` trees, paths in code, and paths in macro calls. A
//! name that a `mod.rs` only passes on counts as an import of the file where it is defined.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;

use crate::files::{File, sources};
use crate::rules::{TWINS, folder, layer};

type Module = Vec<String>;

/// What the files of the crate import and define.
pub(crate) struct Tree {
    /// Importing and imported file, each once.
    pub(crate) edges: BTreeSet<(String, String)>,
    /// Structs, enums, unions, traits and type aliases, with their files.
    pub(crate) types: Vec<(String, String)>,
    /// The types of inherent `impl`s, with their files.
    pub(crate) impls: Vec<(String, String)>,
}

/// The module of a file.
fn module(path: &str) -> Module {
    let mut parts: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

/// Whether a file holds tests only.
fn is_tests(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = match &attribute.meta {
            syn::Meta::List(list) => list.tokens.to_string(),
            _ => String::new(),
        };
        attribute.path().is_ident("cfg") && (text == "test" || text.starts_with("all (test"))
    })
}

/// What one file says, before names are resolved.
#[derive(Default)]
struct Said {
    /// Paths as they are written, with whether they are re-exports.
    paths: Vec<(Vec<String>, bool)>,
    types: Vec<String>,
    impls: Vec<String>,
}

impl Said {
    fn of(file: &File) -> Said {
        let parsed = syn::parse_file(&file.text);
        let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", file.path));
        let mut said = Said::default();
        said.visit_file(&parsed);
        said
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &[String], is_public: bool) {
        let mut path = before.to_vec();
        match tree {
            syn::UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.tree(&part.tree, &path, is_public);
            }
            syn::UseTree::Name(name) => {
                path.push(name.ident.to_string());
                self.paths.push((path, is_public));
            }
            syn::UseTree::Rename(name) => {
                path.push(name.ident.to_string());
                self.paths.push((path, is_public));
            }
            syn::UseTree::Glob(_) => {
                path.push("*".to_owned());
                self.paths.push((path, is_public));
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.tree(tree, before, is_public));
            }
        }
    }

    /// Paths in the tokens of a macro call, which no parser knows the grammar of.
    fn tokens(&mut self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        for (nth, _) in words.iter().enumerate().filter(|(_, word)| **word == "crate") {
            let mut path = vec!["crate".to_owned()];
            let mut rest = words[nth + 1..].chunks(2);
            while let Some(["::", name]) = rest.next() {
                path.push((*name).to_owned());
            }
            self.paths.push((path, false));
        }
    }
}

impl<'ast> Visit<'ast> for Said {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Mod(module) if is_test_only(&module.attrs) => return,
            syn::Item::Struct(item) => self.types.push(item.ident.to_string()),
            syn::Item::Enum(item) => self.types.push(item.ident.to_string()),
            syn::Item::Union(item) => self.types.push(item.ident.to_string()),
            syn::Item::Trait(item) => self.types.push(item.ident.to_string()),
            syn::Item::Type(item) => self.types.push(item.ident.to_string()),
            syn::Item::Impl(item) if item.trait_.is_none() => {
                if let syn::Type::Path(path) = &*item.self_ty
                    && let Some(last) = path.path.segments.last()
                {
                    self.impls.push(last.ident.to_string());
                }
            }
            _ => {}
        }
        syn::visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_public = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&item.tree, &[], is_public);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if matches!(names[0].as_str(), "crate" | "super" | "self") {
            self.paths.push((names, false));
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let text = call.tokens.to_string().replace("::", " :: ");
        self.tokens(&text);
        syn::visit::visit_macro(self, call);
    }
}

impl Tree {
    pub(crate) fn of(files: &[File]) -> Tree {
        let product: Vec<&File> = files.iter().filter(|file| !is_tests(&file.path)).collect();
        let modules: BTreeMap<Module, &str> =
            product.iter().map(|file| (module(&file.path), file.path.as_str())).collect();
        let said: BTreeMap<&str, Said> =
            product.iter().map(|file| (file.path.as_str(), Said::of(file))).collect();
        let resolver = Resolver::new(&modules, &said);
        let mut edges = BTreeSet::new();
        for (path, said) in said.iter().filter(|(path, _)| **path != "lib.rs") {
            let own = module(path);
            for (written, is_public) in &said.paths {
                let Some((to, _)) = resolver.resolve(&own, written) else { continue };
                let passes_on = *is_public && to.len() > own.len() && to.starts_with(&own);
                let to = modules[&to];
                if to != *path && !passes_on && to != "lib.rs" {
                    edges.insert(((*path).to_owned(), to.to_owned()));
                }
            }
        }
        let all = |names: fn(&Said) -> &Vec<String>| {
            let each = said.iter().flat_map(move |(path, said)| {
                names(said).iter().map(move |name| (name.clone(), (*path).to_owned()))
            });
            each.collect()
        };
        Tree { edges, types: all(|said| &said.types), impls: all(|said| &said.impls) }
    }

    /// Imports that don't point down, in words.
    pub(crate) fn upward(&self) -> Vec<String> {
        let up = self.edges.iter().filter_map(|(from, to)| {
            let (above, below) = (layer(from)?, layer(to)?);
            let is_within = folder(from) == folder(to);
            (below <= above && !is_within).then(|| format!("{from} imports {to}"))
        });
        up.collect()
    }

    fn homes(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut homes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, path) in &self.types {
            homes.entry(name).or_default().push(path);
        }
        homes
    }

    /// Names that more than one type has, with their files.
    pub(crate) fn names_used_twice(&self) -> Vec<String> {
        let mut homes = self.homes();
        // The names in there are those of other crates.
        let is_twin = |path: &str| TWINS.contains(&folder(path));
        homes.values_mut().for_each(|paths| paths.retain(|path| !is_twin(path)));
        let twice = homes.iter().filter(|(_, paths)| paths.len() > 1);
        twice.map(|(name, paths)| format!("{name}: {}", paths.join(", "))).collect()
    }

    /// Types and files with an inherent `impl` of a type that is defined elsewhere.
    pub(crate) fn second_impls(&self) -> BTreeSet<(String, String)> {
        let homes = self.homes();
        let is_away = |(name, path): &&(String, String)| {
            !TWINS.contains(&folder(path))
                && homes.get(name.as_str()).is_some_and(|homes| !homes.contains(&path.as_str()))
        };
        self.impls.iter().filter(is_away).cloned().collect()
    }

    /// Each group of files that reach each other, in words.
    pub(crate) fn circles(&self) -> Vec<String> {
        let files: BTreeSet<&str> = self.edges.iter().map(|(from, _)| from.as_str()).collect();
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            files.iter().map(|file| (*file, self.reached(file))).collect();
        let mut circles = BTreeSet::new();
        for file in &files {
            let others = reached[file]
                .iter()
                .filter(|other| reached.get(**other).is_some_and(|back| back.contains(file)));
            let circle: BTreeSet<&str> = others.copied().collect();
            if !circle.is_empty() {
                circles.insert(circle.into_iter().collect::<Vec<&str>>().join(" ↔ "));
            }
        }
        circles.into_iter().collect()
    }

    fn reached(&self, from: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(file) = open.pop() {
            let here = self.edges.iter().filter(|(importer, _)| importer == file);
            for (_, to) in here {
                if reached.insert(to.as_str()) {
                    open.push(to);
                }
            }
        }
        reached
    }
}

/// Finds the file that a path means.
struct Resolver<'a> {
    modules: &'a BTreeMap<Module, &'a str>,
    /// Names that a module passes on, with where they come from.
    passed_on: BTreeMap<(Module, String), (Module, String)>,
    /// Modules that pass on all names of another.
    globs: BTreeMap<Module, Vec<Module>>,
    types: BTreeMap<Module, BTreeSet<String>>,
}

impl<'a> Resolver<'a> {
    fn new(modules: &'a BTreeMap<Module, &'a str>, said: &BTreeMap<&str, Said>) -> Self {
        let mut resolver = Resolver {
            modules,
            passed_on: BTreeMap::new(),
            globs: BTreeMap::new(),
            types: BTreeMap::new(),
        };
        let mut passed_on = Vec::new();
        for (path, said) in said {
            let own = module(path);
            resolver.types.insert(own.clone(), said.types.iter().cloned().collect());
            for (written, _) in said.paths.iter().filter(|(_, is_public)| *is_public) {
                if let Some((to, Some(name))) = resolver.resolve(&own, written) {
                    passed_on.push((own.clone(), to, name));
                }
            }
        }
        for (own, to, name) in passed_on {
            if name == "*" {
                resolver.globs.entry(own).or_default().push(to);
            } else {
                resolver.passed_on.insert((own, name.clone()), (to, name));
            }
        }
        resolver
    }

    /// The module that a path leads to, and the name in it, if the path goes on to one.
    fn resolve(&self, own: &Module, written: &[String]) -> Option<(Module, Option<String>)> {
        let mut rest = written.iter();
        let mut at = match written.first()?.as_str() {
            "crate" => {
                rest.next();
                Module::new()
            }
            "self" => {
                rest.next();
                own.clone()
            }
            "super" => {
                let mut at = own.clone();
                while rest.as_slice().first().is_some_and(|part| part == "super") {
                    rest.next();
                    at.pop();
                }
                at
            }
            first => {
                let child = [own.as_slice(), &[first.to_owned()]].concat();
                self.modules.contains_key(&child).then(|| own.clone())?
            }
        };
        let mut name = None;
        for part in rest {
            let child = [at.as_slice(), std::slice::from_ref(part)].concat();
            if !self.modules.contains_key(&child) {
                name = Some(part.clone());
                break;
            }
            at = child;
        }
        for _ in 0..4 {
            let Some(wanted) = &name else { break };
            if let Some((to, other)) = self.passed_on.get(&(at.clone(), wanted.clone())) {
                (at, name) = (to.clone(), Some(other.clone()));
                continue;
            }
            let globs = self.globs.get(&at).into_iter().flatten();
            let has =
                |module: &&Module| self.types.get(*module).is_some_and(|t| t.contains(wanted));
            match globs.into_iter().find(has) {
                Some(to) => at = to.clone(),
                None => break,
            }
        }
        self.modules.contains_key(&at).then_some((at, name))
    }
}

/// Whether a keyword occurs in the code of a file.
pub(crate) fn says(file: &File, keyword: &str) -> bool {
    let code = file.text.lines().map(|line| line.split("//").next().unwrap_or(""));
    let before_tests = code.take_while(|line| !line.starts_with("mod tests"));
    let is_word = |c: char| !c.is_alphanumeric() && c != '_';
    before_tests.into_iter().any(|line| line.split(is_word).any(|word| word == keyword))
}

/// The names that `lib.rs` makes public at the crate's root, macros included.
pub(crate) fn public_root_names() -> BTreeSet<String> {
    let files = sources("src");
    let lib = files.iter().find(|file| file.path == "lib.rs").expect("there is a lib.rs");
    let parsed = syn::parse_file(&lib.text).expect("lib.rs is Rust");
    let mut names = BTreeSet::new();
    for item in &parsed.items {
        if let syn::Item::Use(item) = item
            && matches!(item.vis, syn::Visibility::Public(_))
        {
            let mut said = Said::default();
            said.tree(&item.tree, &[], true);
            names.extend(said.paths.into_iter().filter_map(|(mut path, _)| path.pop()));
        }
    }
    // An exported macro is at the root wherever it is written.
    for file in &files {
        for part in file.text.split("#[macro_export]").skip(1) {
            let name = part.split("macro_rules! ").nth(1).and_then(|rest| rest.split(' ').next());
            names.extend(name.filter(|name| !name.starts_with("__")).map(str::to_owned));
        }
    }
    names
}
