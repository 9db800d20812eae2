//! regex: a pattern is compiled and matched against lines of a log.

use regex::Regex;

use super::subject::{self, Aborts, ForeignSubject};

pub(super) const SUBJECT: ForeignSubject = ForeignSubject {
    package: "regex",
    does: "compiles a pattern, and finds, captures and replaces in the lines of a log",
    aborts: Aborts::new(178, 178),
    run: |sweep| subject::infallible(sweep, search),
};

const LOG: &str = "\
WARN  cache: 17 of 4096 pages are dirty (user=anna)
INFO  cache: flushed 17 pages in 12 ms (user=anna)
ERROR store: no space left on /var/db (user=bert)
INFO  store: 3 files removed (user=bert)
not a line of the log
";

/// In ASCII, since a class of Unicode's asks for thousands of blocks, all alike.
const LINE: &str =
    r"(?m-u)^(?<level>INFO|WARN|ERROR) +[a-z]+: (?<text>[ -~]+?) \(user=([a-z])[a-z]*\)$";

fn search() -> (Vec<(String, String)>, String) {
    let line = Regex::new(LINE).expect("the pattern is right");
    let found = line.captures_iter(LOG);
    let found = found.map(|found| (found["level"].to_owned(), found["text"].to_owned())).collect();
    (found, line.replace_all(LOG, "$level by $3").into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found() {
        let (found, replaced) = search();
        let levels: Vec<&str> = found.iter().map(|(level, _)| level.as_str()).collect();
        assert_eq!(levels, ["WARN", "INFO", "ERROR", "INFO"]);
        assert_eq!(found[3].1, "3 files removed");
        let lines: Vec<&str> = replaced.lines().collect();
        let expected =
            ["WARN by a", "INFO by a", "ERROR by b", "INFO by b", "not a line of the log"];
        assert_eq!(lines, expected);
    }
}
