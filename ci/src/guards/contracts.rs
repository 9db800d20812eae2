//! What public functions say about the memory that they hand out.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::guards::Breach;
use crate::guards::calls::has_test;

/// Types that own memory of a heap, or a right to it that has to be given back.
const OWNERS: [&str; 6] = ["Box", "Bytes", "Handle", "Path", "Text", "Vec"];
/// Words by which a documentation names what gives such a value back.
const RELEASES: [&str; 6] = ["drop", "free", "give back", "given back", "release", "reset"];
/// Words by which it says whose the memory is that a view leads to, or for how long that is valid.
const LENDS: [&str; 6] = ["as long as", "borrow", "lend", "lent", "until", "view"];

/// Checks the public functions of a file. Returns how many hand something out, and which don't say it.
pub(super) fn check(file: &str, parsed: &syn::File) -> (usize, Vec<Breach>) {
    let mut functions = Functions { file, checked: 0, breaches: Vec::new() };
    functions.visit_file(parsed);
    (functions.checked, functions.breaches)
}

struct Functions<'a> {
    file: &'a str,
    checked: usize,
    breaches: Vec<Breach>,
}

impl Functions<'_> {
    fn check(&mut self, signature: &syn::Signature, attributes: &[syn::Attribute]) {
        let syn::ReturnType::Type(_, returned) = &signature.output else { return };
        let name = signature.ident.to_string();
        let given = Given::of(returned, &name);
        let doc = documentation(attributes).to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| doc.contains(word));
        let (what, help) = match given {
            Given::Nothing => return,
            Given::Owner if !says(&RELEASES) => (
                format!("`{name}` hands out memory, and doesn't say what gives it back"),
                "say in its documentation what frees it: being dropped, a call of `release`, …",
            ),
            Given::View if !says(&LENDS) => (
                format!("`{name}` lends memory, and doesn't say whose it is"),
                "say in its documentation who lends it, or until when",
            ),
            Given::Owner | Given::View => (String::new(), ""),
        };
        self.checked += 1;
        if !what.is_empty() {
            let line = signature.span().start().line;
            let (file, help) = (self.file.to_owned(), help.to_owned());
            self.breaches.push(Breach { file, line, what, help });
        }
    }
}

/// What a function hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    Nothing,
    /// Memory that the caller has to give back.
    Owner,
    /// Memory of somebody else's.
    View,
}

impl Given {
    fn of(returned: &syn::Type, name: &str) -> Given {
        let mut types = Types { has_owner: false, has_view: false };
        types.visit_type(returned);
        match (types.has_owner || name.ends_with("_owned"), types.has_view) {
            (true, _) => Given::Owner,
            (false, true) => Given::View,
            (false, false) => Given::Nothing,
        }
    }
}

/// Which types a type is made of.
struct Types {
    has_owner: bool,
    has_view: bool,
}

impl<'ast> Visit<'ast> for Types {
    fn visit_type_reference(&mut self, reference: &'ast syn::TypeReference) {
        let is_static =
            reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static");
        self.has_view |= !is_static;
        // What is behind it is lent.
    }

    fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
        self.has_owner |= OWNERS.contains(&&*segment.ident.to_string());
        visit::visit_path_segment(self, segment);
    }
}

fn documentation(attributes: &[syn::Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let syn::Meta::NameValue(pair) = &attribute.meta
            && let syn::Expr::Lit(literal) = &pair.value
            && let syn::Lit::Str(line) = &literal.lit
        {
            text.push_str(&line.value());
            text.push('\n');
        }
    }
    text
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Mod(item) if has_test(&item.attrs) => {}
            syn::Item::Fn(item) if matches!(item.vis, syn::Visibility::Public(_)) => {
                self.check(&item.sig, &item.attrs);
            }
            // Methods of a trait are documented there.
            syn::Item::Impl(item) if item.trait_.is_some() => {}
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if matches!(function.vis, syn::Visibility::Public(_)) {
            self.check(&function.sig, &function.attrs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(source: &str) -> Vec<String> {
        let parsed = syn::parse_file(source).expect("a right source");
        check("a.rs", &parsed).1.into_iter().map(|breach| breach.what).collect()
    }

    #[test]
    fn an_owner_needs_its_release_and_a_view_its_lender() {
        let planted = "
/// The name.
pub fn name(&self) -> &str { \"\" }
impl Table {
    /// A copy of the path.
    pub fn copy(&self) -> Result<Text, Refused> { todo() }
}
";
        assert_eq!(
            breaches(planted),
            [
                "`name` lends memory, and doesn't say whose it is",
                "`copy` hands out memory, and doesn't say what gives it back",
            ]
        );
        let near_miss = "
/// The name, lent by the table.
pub fn name(&self) -> &str { \"\" }
/// The kind in words.
pub fn kind(&self) -> &'static str { \"\" }
impl Table {
    /// A copy of the path, freed when it is dropped.
    pub fn copy(&self) -> Result<Text, Refused> { todo() }
    fn private(&self) -> Text { todo() }
    /// The number of entries.
    pub fn len(&self) -> usize { 0 }
}
impl Clone for Table {
    fn clone(&self) -> Vec<u8> { todo() }
}
";
        assert!(breaches(near_miss).is_empty(), "{:?}", breaches(near_miss));
    }
}
