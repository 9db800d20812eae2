//! Crates that search, split, encode, fill in and convert text.

use std::collections::BTreeMap;

use super::TEXT;

pub(super) fn aho_corasick() -> (Vec<(usize, usize)>, String, usize) {
    use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

    let words =
        ["fox", "quick brown", "the", "river", "other", "o", "dog sleeps", "has run before"];
    let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(words);
    let finder = finder.expect("a few patterns");
    let found = finder.find_iter(TEXT).map(|m| (m.pattern().as_usize(), m.start())).collect();
    let replaced = finder.replace_all(TEXT, &["1", "2", "3", "4", "5", "6", "7", "8"]);
    let dense = AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(words);
    let dense = dense.expect("a few patterns");
    (found, replaced, dense.find_overlapping_iter(TEXT).count())
}

pub(super) fn base64() -> (Vec<String>, bool, Option<String>) {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    let mut lines = Vec::new();
    for word in TEXT.split(' ') {
        let code = STANDARD.encode(word);
        lines.push(URL_SAFE_NO_PAD.encode(code.as_bytes()));
    }
    let whole = STANDARD.encode(TEXT);
    let back = STANDARD.decode(&whole).expect("it was written so");
    let error = STANDARD.decode("AAA=A").err().map(|error| error.to_string());
    (lines, back == TEXT.as_bytes(), error)
}

pub(super) fn fst() -> (Vec<(String, u64)>, Vec<String>, usize) {
    use fst::automaton::Str;
    use fst::{Automaton, IntoStreamer, Streamer};

    let words: BTreeMap<&str, u64> = TEXT.split(' ').zip(0..).collect();
    let map = fst::Map::from_iter(words).expect("the keys are sorted");
    let mut begins = Vec::new();
    let mut stream = map.search(Str::new("r").starts_with()).into_stream();
    while let Some((word, place)) = stream.next() {
        begins.push((String::from_utf8_lossy(word).into_owned(), place));
    }
    let set = fst::Set::from_iter(["dog", "fox", "wolf"]).expect("they are sorted");
    let mut both = fst::raw::OpBuilder::new().add(map.as_fst()).add(set.as_fst()).intersection();
    let mut common = Vec::new();
    while let Some((word, _)) = both.next() {
        common.push(String::from_utf8_lossy(word).into_owned());
    }
    (begins, common, map.as_fst().as_bytes().len())
}

pub(super) fn handlebars() -> (String, Option<String>) {
    let mut pages = handlebars::Handlebars::new();
    let page =
        "{{#each items}}{{@index}}: {{name}}{{#if last}}.{{else}}, {{/if}}{{/each}}{{> foot}}";
    pages.register_template_string("page", page).expect("a template");
    pages.register_partial("foot", "\n{{upper title}} <{{&title}}>").expect("a template");
    let upper = |helper: &handlebars::Helper<'_>,
                 _: &handlebars::Handlebars<'_>,
                 _: &handlebars::Context,
                 _: &mut handlebars::RenderContext<'_, '_>,
                 out: &mut dyn handlebars::Output| {
        let text = helper.param(0).map(handlebars::PathAndJson::render).unwrap_or_default();
        Ok(out.write(&text.to_uppercase())?)
    };
    pages.register_helper("upper", Box::new(upper));
    let item = |name: &str, last: &str| {
        BTreeMap::from([("name", name.to_owned()), ("last", last.to_owned())])
    };
    let items = vec![item("one & two", ""), item("three", "yes")];
    #[derive(serde::Serialize)]
    struct Data {
        title: &'static str,
        items: Vec<BTreeMap<&'static str, String>>,
    }
    let text = pages.render("page", &Data { title: "a \"title\"", items }).expect("all is there");
    let error = handlebars::Template::compile("{{#if x}}").err();
    (text, error.map(|error| error.reason().to_string()))
}

pub(super) fn memchr() -> (Vec<usize>, Vec<usize>, usize) {
    use memchr::memmem;

    let long = TEXT.repeat(20);
    let finders: Vec<memmem::Finder<'static>> = TEXT
        .split(' ')
        .map(|word| memmem::FinderBuilder::new().build_forward(word).into_owned())
        .collect();
    let counts = finders.iter().map(|finder| finder.find_iter(long.as_bytes()).count()).collect();
    let last = memmem::FinderRev::new("river").into_owned();
    let places = last.rfind_iter(long.as_bytes()).take(5).collect();
    (counts, places, memchr::memchr2_iter(b'x', b'q', long.as_bytes()).count())
}

pub(super) fn minijinja() -> (String, Option<String>) {
    let mut pages = minijinja::Environment::new();
    pages.add_template("base", "<{% block body %}{% endblock %}>").expect("a template");
    let page = "{% extends 'base' %}{% block body %}{% for n in numbers if n % 2 %}\
                {{ loop.index }}={{ (n * 3) | shout }}{% if not loop.last %}, {% endif %}\
                {% endfor %}{% set x = {'a': [1, 2]} %} {{ x.a | length }}{% endblock %}";
    pages.add_template("page", page).expect("a template");
    pages.add_filter("shout", |number: u32| format!("{number}!"));
    let page = pages.get_template("page").expect("it was added");
    let numbers: Vec<u32> = (0..9).collect();
    let text = page.render(minijinja::context! { numbers }).expect("all is there");
    let error = pages.render_str("{{ 1 | missing }}", ()).err();
    (text, error.map(|error| error.to_string()))
}

pub(super) fn pulldown_cmark() -> (String, usize) {
    use pulldown_cmark::{Event, Options, Parser, Tag, html};

    let text = "# A title\n\nSome *text* with `code`, a [link](https://example.org \"x\"), \
                a [reference][r] and &amp;.\n\n- one\n- two\n  1. three\n  2. four\n\n\
                | a | b |\n|---|--:|\n| 1 | **2** |\n\n> quoted[^n]\n\n```rust\nlet x = 1;\n```\n\n\
                [r]: /there\n[^n]: a note\n";
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
    let events: Vec<Event<'_>> = Parser::new_ext(text, options).collect();
    let links = events.iter().filter(|event| matches!(event, Event::Start(Tag::Link { .. })));
    let links = links.count();
    let mut page = String::new();
    html::push_html(&mut page, events.into_iter());
    (page, links)
}

pub(super) fn unicode_segmentation() -> (Vec<String>, Vec<(usize, String)>, String) {
    use unicode_segmentation::UnicodeSegmentation;

    let text = "The quick (\u{201c}brown\u{201d}) fox can\u{2019}t jump 32.3 feet, right? \
                e\u{301}\u{1f1e9}\u{1f1ea}\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{d55c}\u{ae00}";
    let words: Vec<String> = text.unicode_words().map(str::to_owned).collect();
    let clusters = text.grapheme_indices(true).filter(|(_, cluster)| cluster.len() > 2);
    let clusters = clusters.map(|(place, cluster)| (place, cluster.to_owned())).collect();
    let reversed = text.graphemes(true).rev().collect();
    (words, clusters, reversed)
}
