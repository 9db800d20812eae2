//! Crates that read languages: grammars, markup, Rust, command lines.

use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, logos::Logos)]
#[logos(skip r"[ \t\n]+")]
pub(super) enum Token {
    #[regex(r"[0-9]+", |lex| lex.slice().parse::<u64>().ok())]
    Number(u64),
    #[regex(r"[a-z_]+", |lex| lex.slice().to_owned())]
    Name(String),
    #[regex(r#""([^"\\]|\\.)*""#, |lex| lex.slice().trim_matches('"').to_owned())]
    Text(String),
    #[token("(")]
    Open,
    #[token(")")]
    Close,
}

pub(super) fn logos() -> (Vec<Token>, usize) {
    use logos::Logos;

    let text = "(define (square_of x) (times x x)) (print \"a \\\" b\" 42 18446744073709551616) ?";
    let (tokens, errors): (Vec<_>, Vec<_>) = Token::lexer(text).partition(Result::is_ok);
    (tokens.into_iter().flatten().collect(), errors.len())
}

mod calculator {
    #[derive(pest_derive::Parser)]
    #[grammar_inline = r#"
        WHITESPACE = _{ " " }
        number     = @{ ASCII_DIGIT+ }
        name       = @{ ASCII_ALPHA+ }
        call       = { name ~ "(" ~ (sum ~ ("," ~ sum)*)? ~ ")" }
        factor     = { call | number | "(" ~ sum ~ ")" }
        product    = { factor ~ ("*" ~ factor)* }
        sum        = { product ~ ("+" ~ product)* }
        whole      = _{ SOI ~ sum ~ EOI }
    "#]
    pub(super) struct Grammar;
}

fn value(pair: pest::iterators::Pair<'_, calculator::Rule>) -> u64 {
    use calculator::Rule;

    match pair.as_rule() {
        Rule::number => pair.as_str().parse().unwrap_or(0),
        Rule::product => pair.into_inner().map(value).product(),
        Rule::call => pair.into_inner().skip(1).map(value).max().unwrap_or(0),
        Rule::name | Rule::EOI => 0,
        _ => pair.into_inner().map(value).sum(),
    }
}

pub(super) fn pest() -> (u64, usize, Option<String>) {
    use calculator::{Grammar, Rule};
    use pest::Parser;

    let text = "1 + 2 * (3 + max(4, 5 * 6, none())) * 7 + max(8)";
    let parsed = Grammar::parse(Rule::whole, text).expect("the text is right");
    let nested = parsed.clone().flatten().count();
    let error = Grammar::parse(Rule::whole, "1 + * 2").err();
    (parsed.map(value).sum(), nested, error.map(|error| error.to_string()))
}

pub(super) fn quick_xml() -> (Vec<(String, u64)>, String, Option<String>) {
    use quick_xml::events::{BytesStart, BytesText, Event};

    let text = r#"<?xml version="1.0"?><list kind="a &amp; b"><item count="3">first &lt;one&gt;</item>
                  <item count='12'><![CDATA[second]]></item><!-- none --><empty/></list>"#;
    let mut reader = quick_xml::Reader::from_str(text);
    let mut writer = quick_xml::Writer::new(Vec::new());
    let mut items = Vec::new();
    loop {
        match reader.read_event().expect("the text is right") {
            Event::Eof => break,
            Event::Start(start) if start.name().as_ref() == "item" => {
                let count = start.try_get_attribute("count").expect("attributes");
                let count = count.and_then(|count| count.value.parse().ok());
                let end = start.to_end().into_owned();
                let content = reader.read_text(end.name()).expect("the text is right");
                let content = content.to_string();
                let mut copy = BytesStart::new("copied");
                copy.push_attribute(("length", content.len().to_string().as_str()));
                writer.write_event(Event::Start(copy.borrow())).expect("into memory");
                writer.write_event(Event::Text(BytesText::new(&content))).expect("into memory");
                writer.write_event(Event::End(copy.to_end())).expect("into memory");
                items.push((content, count.unwrap_or(0)));
            }
            _ => {}
        }
    }
    let mut broken = quick_xml::Reader::from_str("<a></b>");
    let error = std::iter::from_fn(|| Some(broken.read_event())).take(3).find_map(Result::err);
    let written = String::from_utf8_lossy(&writer.into_inner()).into_owned();
    (items, written, error.map(|error| error.to_string()))
}

pub(super) fn syn() -> (Vec<String>, String, Option<String>) {
    let text = "/// A pair.\n#[derive(Clone)]\npub struct Pair<'a, T: Copy> { first: &'a [T], rest: Vec<T> }\n\
                impl<T> Pair<'_, T> { fn sum(&self) -> u64 { self.rest.iter().map(|x| x * 2).sum() } }";
    let file = syn::parse_file(text).expect("the text is right");
    let mut fields = Vec::new();
    for item in &file.items {
        if let syn::Item::Struct(item) = item {
            let names = item.fields.iter().filter_map(|field| field.ident.as_ref());
            fields.extend(names.map(ToString::to_string));
        }
    }
    let getters = fields.iter().map(|field| {
        let name = quote::format_ident!("get_{field}");
        quote::quote! { fn #name(&self) -> usize { self.len() } }
    });
    let code = quote::quote! { impl Pair { #(#getters)* } }.to_string();
    let error = syn::parse_str::<syn::Expr>("1 + ").err();
    (fields, code, error.map(|error| error.to_string()))
}

pub(super) fn clap() -> (BTreeMap<String, String>, usize, String) {
    use clap::{Arg, ArgAction, Command};

    let command = || {
        Command::new("copy")
            .about("copies files")
            .arg(Arg::new("force").short('f').long("force").action(ArgAction::SetTrue))
            .arg(Arg::new("level").short('l').long("level").default_value("3"))
            .subcommand(Command::new("to").arg(Arg::new("file").action(ArgAction::Append)))
    };
    let words = ["copy", "-f", "--level=7", "to", "a.txt", "b.txt"];
    let parsed = command().try_get_matches_from(words).expect("the words are right");
    let level = parsed.get_one::<String>("level").cloned().unwrap_or_default();
    let mut found = BTreeMap::from([("level".to_owned(), level)]);
    let files = parsed.subcommand().map_or(0, |(name, rest)| {
        found.insert("subcommand".to_owned(), name.to_owned());
        rest.get_many::<String>("file").map_or(0, Iterator::count)
    });
    let error = command().try_get_matches_from(["copy", "--forec"]).err();
    (found, files, error.map(|error| error.to_string()).unwrap_or_default())
}
