//! The rules of the house, read off the source: imports point down, files stay short, `unsafe`
//! stays where it is, and nothing is left for later.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Every module of the crate, from the top down: each imports from its own layer and from those
/// below it. A folder is one module.
const LAYERS: &[(&str, &[&str])] = &[
    ("the command line", &["cli"]),
    (
        "what callers write",
        &[
            "anysystem",
            "c",
            "case",
            "conformance",
            "env",
            "explorer",
            "fuzz",
            "hunt",
            "input",
            "literal",
            "minimise",
            "player",
            "property",
            "scenario",
            "script",
            "script_tests",
            "seek",
            "sweep",
        ],
    ),
    ("the loops", &["explore", "host"]),
    ("the report", &["finding", "json", "report", "token", "verdict"]),
    (
        "one run",
        &[
            "board",
            "brood",
            "contended",
            "death",
            "ear",
            "history",
            "omen",
            "panics",
            "pipe",
            "run",
            "scratch",
            "site",
            "subject",
            "system",
            "weight",
            "wire",
            "worker",
        ],
    ),
    ("the heap", &["adapters", "gate", "global", "handle", "heap", "node", "quick", "thread"]),
    ("what a heap knows", &["accuse", "pulse", "state"]),
    ("what is wrong, and what fails", &["detect", "options", "plan"]),
    ("what blocks leave behind", &["capture", "redzone"]),
    (
        "words",
        &[
            "counters", "error", "evidence", "kind", "ledger", "model", "pool", "port", "sync",
            "text", "trace", "turn",
        ],
    ),
];

/// Imports that point up all the same, and why. One that is gone has to leave the list.
const UPWARD: &[(&str, &str, &str)] = &[
    ("options", "heap", "a heap is made from its options: `Options::heap`"),
    ("state", "node", "the state finds the ports of quarantined blocks by their nodes"),
    ("state", "run", "the state tells a run's listener what it sees"),
];

const LINES_MAX: usize = 400;
/// Below this a file is no long one any more.
const LINES_SHORT: usize = 350;

/// Files that are longer, and why. One that is short again has to leave the list.
const LONG: &[(&str, &str)] = &[
    ("adapters/c_memory.rs", "malloc and its kin, as Rust, as a table and as C, each once"),
    (
        "run.rs",
        "one execution: what it is given, who lets its threads take turns, what comes of it",
    ),
    ("report.rs", "one page: a finding, a row, and what stands around them"),
    ("adapters/adversary.rs", "one port, and a switch for each thing that it does"),
    ("conformance/mod.rs", "one way to ask, the children it asks in, and the page that comes out"),
    ("conformance/trial.rs", "the model: one promise of a port after the other"),
    ("minimise.rs", "one pass after the other, with a planted bug to test them by"),
    ("plan/mod.rs", "what a plan is made of, with its tests"),
    ("player.rs", "a script played, here and in a child, and what it shows by name"),
    ("subject.rs", "closures, a set-up and scripts: each as one subject, by the same oracles"),
    ("state.rs", "what a run knows is one value, touched step by step"),
    ("global.rs", "one allocator: what passes, what is watched, and what outlives a run"),
    ("heap.rs", "the one choke point: every call of the subject, in four steps"),
    ("ledger.rs", "one data structure, with its model test"),
    ("node.rs", "what a heap is made of, and its way to its port"),
    ("pool.rs", "one data structure, with its tests"),
    ("quick.rs", "a short way for each call, with guards and without"),
    ("worker.rs", "fork, pipe and wait share what a child must not inherit"),
    ("subject.rs", "each way to write a subject, side by side"),
    ("thread/tests.rs", "the twins of std's threads and locks, each under both model checkers"),
    ("sweep.rs", "one method for each thing that can be asked of a sweep"),
];

/// The only files with `unsafe` in them.
const UNSAFE: &[&str] = &[
    "adapters/adversary.rs",
    "adapters/arena.rs",
    "adapters/c_memory.rs",
    "adapters/c_slot.rs",
    "adapters/c_table.rs",
    "adapters/global_alloc.rs",
    "adapters/guarded.rs",
    "adapters/mod.rs",
    "adapters/region.rs",
    "board.rs",
    "brood.rs",
    "c/conformance.rs",
    "c/mod.rs",
    "capture.rs",
    "conformance/call.rs",
    "conformance/storm.rs",
    "conformance/trial.rs",
    "contended.rs",
    "explore/fork.rs",
    "gate.rs",
    "global.rs",
    "handle.rs",
    "heap.rs",
    "host/loom.rs",
    "host/shuttle.rs",
    "ledger.rs",
    "node.rs",
    "omen.rs",
    "pipe.rs",
    "pool.rs",
    "port.rs",
    "quick.rs",
    "redzone.rs",
    "sync/lazy.rs",
    "thread/scope.rs",
    "weight.rs",
    "worker.rs",
];

/// A source file: its path below `src`, with slashes, and its text.
struct File {
    path: String,
    text: String,
}

impl File {
    /// The module that it belongs to: its folder, or its own name.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or(&self.path);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Its code without comments and tests.
    fn code(&self) -> String {
        let code = self.text.split("\n#[cfg(test)]\n").next().unwrap_or("");
        let is_comment = |line: &&str| line.trim_start().starts_with("//");
        code.lines().filter(|line| !is_comment(line)).flat_map(|line| [line, "\n"]).collect()
    }
}

fn sources(folder: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = std::fs::read_to_string(&path).expect("source is text");
                let below = path.strip_prefix(&root).expect("below the root");
                let path = below.to_string_lossy().replace('\\', "/");
                files.push(File { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 3, "there is something to read in {}", root.display());
    files
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, modules)| modules.contains(&module))
}

/// What `lib.rs` makes public, by name, with the module it comes from.
fn public_names(lib: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for line in lib.lines().filter_map(|line| line.strip_prefix("pub use ")) {
        let Some((module, list)) = line.trim_end_matches(';').split_once("::") else { continue };
        for name in list.trim_matches(['{', '}']).split(',') {
            names.insert(name.trim().to_owned(), module.to_owned());
        }
    }
    names
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The modules that a file names, as `crate::x` or `crate::{x, …}`, or `super::x` at the top.
fn imports(file: &File, public: &BTreeMap<String, String>) -> BTreeSet<String> {
    let code = file.code();
    let mut places: Vec<&str> = code.split("crate::").skip(1).collect();
    if !file.path.contains('/') {
        places.extend(code.split("super::").skip(1));
    }
    let mut found = BTreeSet::new();
    for place in places {
        let named: Vec<&str> = match place.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or("").split(',').collect(),
            None => vec![place],
        };
        for name in named.into_iter().filter_map(|name| words(name).next()) {
            let module = public.get(name).map_or(name, String::as_str);
            found.insert(module.to_owned());
        }
    }
    found
}

#[test]
fn imports_point_down() {
    let files = sources("src");
    let lib = files.iter().find(|file| file.path == "lib.rs").expect("there is a lib.rs");
    let public = public_names(&lib.text);
    assert_eq!(public.get("Heap").map(String::as_str), Some("heap"), "public names are read");
    let mut upward = BTreeSet::new();
    let mut seen = 0;
    for file in files.iter().filter(|file| file.path != "lib.rs") {
        let from = layer(file.module());
        for to in imports(file, &public) {
            if let (Some(from), Some(to_layer)) = (from, layer(&to)) {
                seen += 1;
                if to_layer < from {
                    upward.insert((file.module().to_owned(), to));
                }
            }
        }
    }
    assert!(seen > 100, "only {seen} imports were found: does this test still read them?");
    let known: BTreeSet<(String, String)> =
        UPWARD.iter().map(|(from, to, _)| (String::from(*from), String::from(*to))).collect();
    assert_eq!(upward, known, "left: imports that point up; right: those known");
}

#[test]
fn every_file_has_its_layer_and_there_is_one_level_of_folders() {
    for file in sources("src").iter().filter(|file| file.path != "lib.rs") {
        let path = &file.path;
        assert!(layer(file.module()).is_some(), "{path} has no layer: which one is it in?");
        assert!(path.matches('/').count() <= 1, "{path} is in a folder of a folder");
    }
    let all = LAYERS.iter().flat_map(|(_, modules)| *modules);
    let once: BTreeSet<&&str> = all.clone().collect();
    assert_eq!(all.count(), once.len(), "a module is in two layers");
}

#[test]
fn nothing_below_the_run_knows_that_scenarios_exist() {
    let run = layer("run").expect("it has a layer");
    for file in &sources("src") {
        if layer(file.module()).is_some_and(|layer| layer > run) {
            for word in ["scenario", "Scenario", "sweep", "Sweep"] {
                let said = words(&file.code()).any(|found| found == word);
                assert!(!said, "{} says {word}", file.path);
            }
        }
    }
}

#[test]
fn a_long_file_has_a_reason() {
    for File { path, text } in sources("tests") {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "tests/{path} has {lines} lines: split it");
    }
    for File { path, text } in sources("src") {
        let lines = text.lines().count();
        let known = LONG.iter().any(|(long, _)| *long == path);
        assert!(known || lines <= LINES_MAX, "{path} has {lines} lines: split it, or say why");
        assert!(!known || lines > LINES_SHORT, "{path} has {lines} lines: it needs no reason now");
    }
}

#[test]
fn unsafe_stays_where_it_is() {
    let keyword = |file: &File| words(&file.code()).any(|word| word == "unsafe");
    let files = sources("src");
    let found: Vec<&str> =
        files.iter().filter(|file| keyword(file)).map(|file| &*file.path).collect();
    assert_eq!(found, UNSAFE);
}

#[test]
fn every_file_begins_with_a_sentence_about_itself() {
    for folder in ["src", "tests"] {
        for file in sources(folder) {
            let first = file.text.lines().next().unwrap_or("");
            let says = first.strip_prefix("//! ").is_some_and(|said| said.len() > 10);
            let header: String = file.text.lines().take_while(|l| l.starts_with("//!")).collect();
            assert!(says, "{folder}/{}: {first}", file.path);
            assert!(header.contains('.') || header.contains(':'), "{folder}/{}", file.path);
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    let later = [
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
        concat!("#[ig", "nore"),
        concat!("FIX", "ME"),
        concat!("db", "g!("),
    ];
    for folder in ["src", "tests"] {
        for file in sources(folder) {
            for mark in later {
                assert!(!file.text.contains(mark), "{folder}/{}: {mark}", file.path);
            }
        }
    }
}
