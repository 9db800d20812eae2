//! Crates that read and write text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Record {
    name: String,
    numbers: Vec<i64>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    next: Option<Box<Record>>,
}

pub(super) fn serde_json() -> (Vec<Record>, String, String) {
    let text = r#"[
        {"name": "first \"\u00df\"", "numbers": [1, -2, 3], "tags": {"a": "x", "b": "y"},
         "next": {"name": "second", "numbers": [], "next": null}},
        {"name": "third", "numbers": [9223372036854775807, 0, 0, 0, 0], "next": null}
    ]"#;
    let records: Vec<Record> = serde_json::from_str(text).expect("the text is right");
    let error = serde_json::from_str::<Vec<Record>>(r#"[{"name": "x", "numbers": [true]}]"#);
    let error = error.map_or_else(|error| error.to_string(), |_| String::new());
    let text = serde_json::to_string(&records).expect("records are JSON");
    (records, text, error)
}

pub(super) fn toml() -> (String, String) {
    let text = "\
[package]
name = \"small\"
version = \"0.1.0\" # the first
keywords = [\"one\", 'two', \"\"\"three\"\"\"]

[dependencies]
serde = { version = \"1.0\", features = [\"derive\"] }

[[bin]]
name = \"a\"
ratio = 1.5

[[bin]]
name = \"b\"
made = 2024-02-29T12:00:00Z
";
    let mut manifest: toml::Table = toml::from_str(text).expect("the text is right");
    manifest.insert("answer".to_owned(), toml::Value::Integer(42));
    let error = toml::from_str::<toml::Table>("[a]\nb = \n");
    let error = error.map_or_else(|error| error.to_string(), |_| String::new());
    (toml::to_string_pretty(&manifest).expect("a table is TOML"), error)
}

pub(super) fn csv() -> (u64, String) {
    let text = "name,town,cents\nanna,\"north, upper\",1999\nbert,\"say \"\"south\"\"\",250\n\
                carl,east,1\ndora,\"two\nlines\",70\n";
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let mut chosen = csv::Writer::from_writer(Vec::new());
    chosen.write_record(table.headers().expect("there is a first row")).expect("into memory");
    let mut sum = 0;
    for row in table.deserialize() {
        let (name, town, cents): (String, String, u64) = row.expect("the text is right");
        sum += cents;
        if cents > 60 {
            chosen.write_record([name, town, cents.to_string()]).expect("into memory");
        }
    }
    let chosen = chosen.into_inner().expect("into memory");
    (sum, String::from_utf8_lossy(&chosen).into_owned())
}

/// A number, a name, or a list of these.
#[derive(Debug)]
enum Item {
    Number(i64),
    Name(String),
    List(Vec<Item>),
}

fn item(input: &str) -> nom::IResult<&str, Item> {
    use nom::Parser;
    use nom::branch::alt;
    use nom::character::complete::{alpha1, char, i64, multispace0, multispace1};
    use nom::multi::separated_list0;
    use nom::sequence::delimited;

    let list = delimited(
        (char('('), multispace0),
        separated_list0(multispace1, item),
        (multispace0, char(')')),
    );
    let name = alpha1.map(|name: &str| Item::Name(name.to_owned()));
    alt((i64.map(Item::Number), name, list.map(Item::List))).parse(input)
}

fn total(item: &Item) -> i64 {
    match item {
        Item::Number(number) => *number,
        Item::Name(name) => name.len() as i64,
        Item::List(items) => items.iter().map(total).sum(),
    }
}

pub(super) fn nom() -> (i64, Option<String>) {
    let (_, all) = item("(add 1 (times 2 3 -4) () (list (of (lists 10)) and more 5 6 7 8 9))")
        .expect("the text is right");
    (total(&all), item("(open 1 2").err().map(|error| error.to_string()))
}

type Settings = Vec<(String, BTreeMap<String, String>)>;

fn settings(input: &mut &str) -> winnow::Result<Settings> {
    use winnow::Parser;
    use winnow::ascii::{alphanumeric1, line_ending, space0, till_line_ending};
    use winnow::combinator::{delimited, preceded, repeat, separated_pair, terminated};

    let head = terminated(delimited('[', alphanumeric1, ']'), line_ending);
    let text = preceded(space0, till_line_ending).map(str::to_owned);
    let key = terminated(alphanumeric1, space0).map(str::to_owned);
    let pair = terminated(separated_pair(key, '=', text), line_ending);
    let pairs = repeat(0.., pair);
    repeat(1.., (head.map(str::to_owned), pairs)).parse_next(input)
}

pub(super) fn winnow() -> (Settings, Option<String>) {
    use winnow::Parser;

    let text = "[main]\nname = a name\nsize=12\n[empty]\n[last]\na = 1\nb = 2\nc = 3\nd = 4\n";
    let all = settings.parse(text).expect("the text is right");
    (all, settings.parse("[main]\nname a\n").err().map(|error| error.to_string()))
}

pub(super) fn semver() -> (Vec<String>, Vec<usize>, Option<String>) {
    let mut versions: Vec<semver::Version> = [
        "1.2.3",
        "0.4.45",
        "2.0.0-release-candidate.12+build.of.the.last.night",
        "1.2.3-alpha",
        "1.10.0",
        "2.0.0-release-candidate.2",
    ]
    .iter()
    .map(|text| text.parse().expect("the text is right"))
    .collect();
    versions.sort();
    let wanted = ["^1.2", ">=0.4, <2", "2.0.0-release-candidate.1", "*", "~1.2.3"];
    let fits = wanted.map(|wanted| {
        let wanted = semver::VersionReq::parse(wanted).expect("the text is right");
        versions.iter().filter(|version| wanted.matches(version)).count()
    });
    let copy = versions.clone();
    let error = semver::Version::parse("1.2").err().map(|error| error.to_string());
    (copy.iter().map(ToString::to_string).collect(), fits.to_vec(), error)
}

pub(super) fn chrono() -> (Vec<String>, Option<String>) {
    use chrono::{DateTime, Days, FixedOffset, NaiveDate, TimeDelta};

    let texts = ["2024-02-29T23:59:59+01:00", "1999-12-31T00:00:00Z", "2038-01-19T03:14:07-08:30"];
    let mut shown = Vec::new();
    for text in texts {
        let moment: DateTime<FixedOffset> =
            DateTime::parse_from_rfc3339(text).expect("the text is right");
        let later = moment + TimeDelta::hours(30);
        shown.push(later.to_rfc2822());
        shown.push(later.format("%A, %-d %B %Y, week %V, %H:%M:%S%.3f %z").to_string());
    }
    let day = NaiveDate::parse_from_str("29/02/2024", "%d/%m/%Y").expect("the text is right");
    shown.extend(day.iter_weeks().take(3).map(|day| (day + Days::new(1)).to_string()));
    (shown, "2023-02-29".parse::<NaiveDate>().err().map(|error| error.to_string()))
}

pub(super) fn url() -> (Vec<String>, Vec<(String, String)>, Option<String>) {
    let base =
        url::Url::parse("https://anna:secret@b\u{fc}cher.example:8443/a/b/../c?x=1&y=%20z#end");
    let mut base = base.expect("the text is right");
    let pairs = base.query_pairs().into_owned().collect();
    let joined = ["../d", "//other.example/", "?only=query", "/e f/\u{e9}"]
        .iter()
        .map(|text| base.join(text).expect("the text is right").to_string());
    let mut all: Vec<String> = joined.collect();
    base.query_pairs_mut().clear().append_pair("name", "two words & more");
    base.path_segments_mut().expect("it has a path").push("last one");
    base.set_fragment(None);
    all.push(base.into());
    (all, pairs, url::Url::parse("http://[::1").err().map(|error| error.to_string()))
}
