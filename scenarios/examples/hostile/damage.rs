//! Damaged texts: tokens, journals, lists of allowed call sites, and scripts.

use std::alloc::Layout;
use std::fs;

use mallory::script::Script;
use mallory::{Port, Refused, Report, Sweep, Token};
use mallory_scenarios::planted::shelf::{Op, Shelf, Sound};

use crate::{Part, check, is_safe, kills};

/// Damages bytes: changes, removes, doubles or inserts some, or cuts them off.
fn damage(random: &mut fastrand::Rng, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.usize(1..4) {
        if bytes.is_empty() {
            bytes.push(random.u8(..));
        }
        let at = random.usize(..bytes.len());
        let end = (at + random.usize(1..12)).min(bytes.len());
        match random.u8(..7) {
            0 => bytes[at] ^= 1 << random.u8(..8),
            1 => bytes[at] = random.u8(..),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => bytes.truncate(at),
            5 => {
                let digits = b"0123456789 .,=#@\n\x1b\xe2\x80\xae";
                bytes.insert(at, digits[random.usize(..digits.len())]);
            }
            _ => bytes.extend(std::iter::repeat_n(bytes[at], random.usize(1..2000))),
        }
    }
    bytes
}

fn sweep() -> Sweep {
    Sweep::new("planted/leak")
}

/// Loses a block if a second one is refused.
fn swept(sweep: Sweep) -> Report {
    sweep.run(kills::subject)
}

/// Replays damaged tokens: each is refused, or replayed, and never passes.
pub(crate) fn tokens(attempts: u64) -> Part {
    let mut random = fastrand::Rng::with_seed(1);
    let whole = swept(sweep());
    let token = whole.findings()[0].token().to_string();
    let mut wrong = Vec::new();
    let mut replayed = 0;
    // A replay never passes as a test, and the panic that says so would be printed each time.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for _ in 0..attempts {
        let damaged = damage(&mut random, token.as_bytes());
        let line = String::from_utf8_lossy(&damaged).into_owned();
        match line.parse::<Token>() {
            Err(error) => {
                let text = error.to_string();
                if !is_safe(&text) || text.len() > 10_000 {
                    wrong.push(format!("{line:?}: the error can't be printed: {text:?}"));
                }
            }
            Ok(token) => {
                replayed += 1;
                let report = swept(sweep().replay(token));
                wrong.extend(check(&report).err());
                if std::panic::catch_unwind(|| report.assert_clean()).is_ok() {
                    wrong.push(format!("{line:?} passes"));
                }
            }
        }
    }
    std::panic::set_hook(hook);
    let note = format!(", {replayed} were tokens still");
    Part { name: "damaged tokens", attempts, wrong, note }
}

/// Resumes from damaged journals: each is refused, or gives the same report.
pub(crate) fn journals(attempts: u64) -> Part {
    let mut random = fastrand::Rng::with_seed(2);
    let folder = tempfile::tempdir().expect("a folder");
    let run = |resume: bool| kills::quick(folder.path(), resume);
    let expected = run(false).to_string();
    let journal = folder.path().join("killed.journal");
    let whole = fs::read(&journal).expect("the sweep kept a journal");
    let mut wrong = Vec::new();
    let mut resumed = 0;
    for _ in 0..attempts {
        let damaged = damage(&mut random, &whole);
        fs::write(&journal, &damaged).expect("written");
        let report = run(true);
        wrong.extend(check(&report).err());
        match report.error() {
            Some(_) if damaged == whole => wrong.push("a whole journal was refused".to_owned()),
            Some(_) => {}
            None if report.to_string() == expected => resumed += 1,
            None => wrong.push(format!("another report:\n{report}")),
        }
        if crate::names(folder.path()) != ["killed.journal"] {
            wrong.push(format!("files are left: {:?}", crate::names(folder.path())));
        }
    }
    let note = format!(", {resumed} were resumed");
    Part { name: "damaged journals", attempts, wrong, note }
}

/// Reads damaged lists of allowed call sites: no other list allows what the whole one allows.
pub(crate) fn lists(attempts: u64) -> Part {
    let mut random = fastrand::Rng::with_seed(3);
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("allowed.txt");
    let run = || {
        let sweep = Sweep::new("aborts").allowed(&list);
        sweep.run(|heap| match heap.alloc(Layout::new::<u64>()) {
            Err(_) => std::process::abort(),
            Ok(block) => {
                // SAFETY: allocated with this layout.
                #[allow(unsafe_code)]
                unsafe {
                    heap.free(block.cast(), Layout::new::<u64>());
                }
                Ok::<_, Refused>(())
            }
        })
    };
    let finding = run().findings().first().map(|finding| finding.id().to_owned());
    let Some(id) = finding else {
        let wrong = vec!["the planted abort was not found".to_owned()];
        return Part { name: "damaged lists", attempts: 0, wrong, note: String::new() };
    };
    let whole = format!("# allowed\nabort {id}  abort::planted\n");
    let mut wrong = Vec::new();
    for _ in 0..attempts {
        let damaged = damage(&mut random, whole.as_bytes());
        fs::write(&list, &damaged).expect("written");
        let report = run();
        wrong.extend(check(&report).err());
        let text = String::from_utf8_lossy(&damaged).into_owned();
        let is_named = text.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("abort") && words.next() == Some(&id)
        });
        if report.exit_code() == 0 && !is_named {
            wrong.push(format!("{text:?} allows it"));
        }
    }
    Part { name: "damaged lists", attempts, wrong, note: String::new() }
}

/// Reads and sweeps damaged scripts: each is refused with its place, or swept.
pub(crate) fn scripts(attempts: u64) -> Part {
    let mut random = fastrand::Rng::with_seed(4);
    let whole = "(system: \"shelf\", about: \"a script\", threads: [[Put(place: 0, label: \"a\"), \
                 Count, Take(place: 0)]], fault: Some(\"T0#2\"))";
    let mut wrong = Vec::new();
    let mut swept = 0;
    for nth in 0..attempts {
        let text = match nth {
            0 => "(".repeat(10_000_000),
            1 => String::new(),
            2 => "\u{feff}".to_owned() + whole,
            3 => whole.replace("T0#2", "T0#99999999999999999999"),
            4 => whole.replace("place: 0", "place: -1"),
            5 => whole.replace("[[", "[[[[["),
            6 => whole.repeat(1000),
            _ => String::from_utf8_lossy(&damage(&mut random, whole.as_bytes())).into_owned(),
        };
        match Script::<Op>::read(&text, "it.ron") {
            Err(error) => {
                let said = error.to_string();
                if !is_safe(&said) || said.len() > 10_000 || !said.contains("it.ron") {
                    wrong.push(format!("script {nth}: {said:?}"));
                }
            }
            Ok(script) => {
                swept += 1;
                let report = Sweep::new("script").scripted::<Shelf<Sound>>(&script);
                wrong.extend(check(&report).err().map(|what| format!("script {nth}: {what}")));
            }
        }
    }
    let note = format!(", {swept} were scripts still");
    Part { name: "damaged scripts", attempts, wrong, note }
}
