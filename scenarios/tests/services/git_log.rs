//! The log parser reads git's output, names the line of an error, and never panics.

use mallory_scenarios::services::fixture::SAMPLE;
use mallory_scenarios::services::git_log::{ChangeKind, Log};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn commits_have_their_parts() {
    let commits: Vec<_> = Log::new(SAMPLE).map(Result::unwrap).collect();
    assert_eq!(commits.len(), 8);
    let newest = &commits[0];
    assert_eq!(newest.id.to_string(), "8".repeat(40));
    assert_eq!(text(newest.author), "Ada Example <ada@example.org>");
    assert_eq!(text(newest.date), "Thu Jan 8 10:00:00 2026 +0000");
    let message: Vec<_> = newest.message().map(text).collect();
    assert_eq!(message, ["Rename the parser", "", ":100644 is no change here"]);
    assert!(commits.iter().map(|commit| commit.is_merge).eq((0..8).map(|n| n == 1)));
}

#[test]
fn changes_have_their_parts() {
    let of = |nth: usize| Log::new(SAMPLE).nth(nth).unwrap().unwrap().changes().collect::<Vec<_>>();
    let renamed = of(0);
    assert_eq!(renamed.len(), 2);
    assert_eq!(renamed[0].kind, ChangeKind::Renamed);
    assert_eq!(renamed[0].from.map(text), Some("src/parse.rs"));
    assert_eq!(text(renamed[0].path), "src/log.rs");
    assert_eq!(renamed[1].kind, ChangeKind::Modified);
    let merged = of(1);
    assert_eq!(merged.len(), 1);
    assert_eq!(text(merged[0].path), "README.md");
    assert_eq!(merged[0].old.to_string(), "1".repeat(40));
    assert_eq!(merged[0].new.to_string(), "3".repeat(40));
    assert_eq!(of(3), [], "an empty commit");
    assert_eq!(text(of(4)[0].path), r#""docs/\303\251t\303\251.md""#);
    assert_eq!(of(5)[0].kind, ChangeKind::Copied);
}

#[test]
fn line_ends_and_long_ids_do_not_matter() {
    let unix: Vec<_> = Log::new(SAMPLE).flat_map(|c| c.unwrap().changes()).collect();
    let dos = text(SAMPLE).replace('\n', "\r\n");
    assert!(Log::new(dos.as_bytes()).flat_map(|c| c.unwrap().changes()).eq(unix));
    let (old, new) = ("a".repeat(64), "b".repeat(64));
    let long = format!("commit {old} (tag: v1)\n\n:100644 100644 {old} {new} T\tlink\n");
    let change = Log::new(long.as_bytes()).next().unwrap().unwrap().changes().next().unwrap();
    assert_eq!((change.kind, change.new.to_string()), (ChangeKind::TypeChanged, new));
}

#[test]
fn a_wrong_log_is_an_error_with_its_line() {
    let id = "a".repeat(40);
    let commit = format!("commit {id}\nAuthor: A\n\n    m\n\n");
    for (log, line, what) in [
        ("hello\n".to_owned(), 1, "begins with `commit"),
        ("\n\ncommit abc\n".to_owned(), 3, "40 or 64"),
        (format!("commit {id}x\n"), 1, "40 or 64"),
        (format!("{commit}diff\n"), 6, "neither"),
        (format!("{commit}:::::\n"), 6, "modes"),
        (format!("{commit}:100644 10064 {id} {id} M\tp\n"), 6, "octal"),
        (format!("{commit}:100644 100644 abc def M\tp\n"), 6, "no-abbrev"),
        (format!("{commit}:100644 100644 {id} {id}\n"), 6, "status"),
        (format!("{commit}:100644 100644 {id} {id} Q\tp\n"), 6, "status"),
        (format!("{commit}:100644 100644 {id} {id} Mx\tp\n"), 6, "score"),
        (format!("{commit}:100644 100644 {id} {id} M\n"), 6, "path"),
        (format!("{commit}:100644 100644 {id} {id} M\t\n"), 6, "path"),
        (format!("{commit}:100644 100644 {id} {id} R100\tp\n"), 6, "two paths"),
        (format!("{commit}:100644 100644 {id} {id} M\tp\tq\n"), 6, "two paths"),
    ] {
        let mut commits = Log::new(log.as_bytes());
        let error = commits.find_map(Result::err).unwrap_or_else(|| panic!("{log} is read"));
        assert_eq!(error.line, line, "{log}");
        assert!(error.what.contains(what), "{log}: {error}");
        assert!(commits.next().is_none(), "nothing follows an error");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let read = |bytes: &[u8]| {
        for commit in Log::new(bytes).map_while(Result::ok) {
            std::hint::black_box((commit.message().count(), commit.changes().count()));
        }
    };
    for end in 0..SAMPLE.len() {
        read(&SAMPLE[..end]);
        read(&SAMPLE[end..]);
    }
    let mut bytes = SAMPLE.to_vec();
    for place in 0..bytes.len() {
        for byte in [0, b'\n', b'\t', b':', b' ', 0xff] {
            let was = std::mem::replace(&mut bytes[place], byte);
            read(&bytes);
            bytes[place] = was;
        }
    }
}
