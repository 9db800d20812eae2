//! The result of a whole program as text: its exit status, what it wrote, and how many lines it said on
//! standard error. What those lines say may well differ from run to run.

#[cfg(any(test, feature = "preload"))]
use std::fmt::Write;

use crate::printable;
use crate::run::outcome::EXIT_STATUS;

/// How the first line of a file begins that belongs to the result.
const FILE: &str = "--- ";
/// How the last line begins.
const SAID: &str = "\nlines on standard error: ";

/// The beginning of a result: the exit status and standard output.
#[cfg(any(test, feature = "preload"))]
pub(crate) fn begin(status: i32, output: &str) -> String {
    format!("{EXIT_STATUS}{status}\n{output}")
}

/// Adds a file that belongs to the result, or why it can't be read.
#[cfg(any(test, feature = "preload"))]
pub(crate) fn add_file(result: &mut String, path: &str, content: Result<&str, std::io::ErrorKind>) {
    let _ = match content {
        Ok(text) => write!(result, "{FILE}{path}\n{text}"),
        Err(error) => writeln!(result, "{FILE}{path}: {error}"),
    };
}

/// Adds how many lines the program said.
#[cfg(any(test, feature = "preload"))]
pub(crate) fn end(result: &mut String, said: usize) {
    let _ = write!(result, "{SAID}{said}");
}

/// A whole result without its last line, and the number in that.
pub(crate) fn split(result: &str) -> (&str, &str) {
    result.rsplit_once(SAID).unwrap_or((result, ""))
}

/// Where two results differ first, in words that are the same the next time: nothing of what differs is
/// in them. Empty for equal results.
pub(crate) fn difference_between(one: &str, other: &str) -> String {
    let (one, said) = split(one);
    let (other, other_said) = split(other);
    let mut stream = "standard output";
    let mut number = 0;
    let mut lines = [one.lines(), other.lines()];
    loop {
        let pair = (lines[0].next(), lines[1].next());
        let (a, b) = match pair {
            (None, None) if said != other_said => {
                return "in the number of lines on standard error".to_owned();
            }
            (None, None) => return String::new(),
            (a, b) => (a.unwrap_or_default(), b.unwrap_or_default()),
        };
        if a == b {
            if let Some(path) = a.strip_prefix(FILE) {
                (stream, number) = (path, 0);
            } else {
                number += u64::from(!a.starts_with(EXIT_STATUS) || number > 0);
            }
            continue;
        }
        if number == 0 && a.starts_with(EXIT_STATUS) && b.starts_with(EXIT_STATUS) {
            return "in the exit status".to_owned();
        }
        let number = number + 1;
        let place = format!("in line {number} of {}", printable::sentence(stream));
        let before = common(a, b);
        if pair.0.is_none() || pair.1.is_none() {
            return format!("{place}, which only one of them has");
        }
        return match before.trim() {
            "" => place,
            before => format!("{place}, after `{}`", printable::line(before)),
        };
    }
}

/// What two lines begin with alike, without the number or the word that goes on differently.
fn common<'a>(a: &'a str, b: &str) -> &'a str {
    let alike = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    let end: usize = alike.map(|(c, _)| c.len_utf8()).sum();
    a[..end].trim_end_matches(|c: char| c.is_alphanumeric() || ".,:-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::outcome::exit_status;

    fn result(status: i32, output: &str, said: usize) -> String {
        let mut result = begin(status, output);
        add_file(&mut result, "out.txt", Ok("a\nb\n"));
        end(&mut result, said);
        result
    }

    #[test]
    fn the_difference_between_is_named_without_what_differs() {
        let usual = result(0, "first\npid: 4711\n", 1);
        assert_eq!(difference_between(&usual, &usual), "");
        let first = |other: &str| difference_between(&usual, other);
        assert_eq!(first(&result(1, "first\npid: 4711\n", 1)), "in the exit status");
        assert_eq!(
            first(&result(0, "first\npid: 4712\n", 1)),
            "in line 2 of standard output, after `pid:`"
        );
        assert_eq!(first(&result(0, "last\n", 1)), "in line 1 of standard output");
        assert_eq!(
            first(&result(0, "first\npid: 4711\n", 2)),
            "in the number of lines on standard error"
        );
        assert_eq!(first(&usual.replace("b\n", "c\n")), "in line 2 of out.txt");
        let longer = usual.replace("a\nb\n", "a\nb\nc\n");
        assert_eq!(first(&longer), "in line 3 of out.txt, which only one of them has");
    }

    #[test]
    fn a_result_is_read_back() {
        let (rest, said) = split("exit status 3\nlines on standard error: 9");
        assert_eq!((exit_status(rest), said), (Some(3), "9"));
    }
}
