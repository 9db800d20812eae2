//! Reads the command line, and turns what is wrong with it into an error of our own form: clap's is
//! several paragraphs of text, also where JSON was asked for.

use std::ffi::OsString;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::output::{Format, print_error, say, unwritable};
use crate::error::Error;

/// The arguments of a command line; or, if there is nothing to run, its exit code: it asks for help,
/// or is wrong. What there is to say is printed.
pub(crate) fn parse<Cli: Parser>(words: &[OsString]) -> Result<Cli, u8> {
    let error = match Cli::try_parse_from(words) {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    let format = asked_format(words);
    let wrong = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match unwritable(error.print()) {
            None => return Err(0),
            Some(wrong) => wrong,
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            if format == Format::Text {
                // On standard error. Whether that can be written to, nobody could be told.
                let _ = error.print();
                say("\n");
            }
            Error::new("no command was given").help("name one of those that `--help` lists")
        }
        _ => mistake(&error),
    };
    print_error(None, &wrong, format);
    Err(2)
}

/// The form in which a mistake is printed where the flags could not be read.
pub(crate) fn asked_format(words: &[OsString]) -> Format {
    let flags: Vec<&str> =
        words.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--").collect();
    let asks = flags.contains(&"--format=json")
        || flags.windows(2).any(|pair| pair == ["--format", "json"]);
    if asks { Format::Json } else { Format::Text }
}

/// What clap says of a mistake, in our form.
fn mistake(error: &clap::Error) -> Error {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let first = text.split("\n\n").next().unwrap_or(text);
    let what: Vec<&str> = first.split_whitespace().collect();
    let known = |kinds: &[ContextKind]| kinds.iter().find_map(|kind| named(error, *kind));
    let suggested =
        [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let help = match (known(&suggested), known(&[ContextKind::Usage])) {
        (Some(nearest), _) => format!("did you mean `{nearest}`?"),
        (None, Some(usage)) => {
            let usage = usage.trim_start_matches("Usage: ").to_owned();
            format!("write `{usage}`; `--help` explains it")
        }
        (None, None) => "`--help` explains it".to_owned(),
    };
    let wrong = Error::new(what.join(" ")).help(help);
    match known(&[ContextKind::InvalidArg, ContextKind::InvalidSubcommand]) {
        Some(place) => wrong.at(place),
        None => wrong,
    }
}

/// What clap knows of a mistake by this name: the first of several words.
fn named(error: &clap::Error, kind: ContextKind) -> Option<String> {
    let value = match error.get(kind)? {
        ContextValue::String(word) => word.clone(),
        ContextValue::Strings(words) => words.first()?.clone(),
        ContextValue::StyledStr(text) => text.to_string(),
        ContextValue::StyledStrs(texts) => texts.first()?.to_string(),
        _ => return None,
    };
    (!value.is_empty()).then_some(value)
}
