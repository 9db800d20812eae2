//! The operations that several tests run: for each service every operation, in every state that
//! matters to it.

use mallory_scenarios::services::git_log::{ChangeKind, Id};
use mallory_scenarios::services::journal_intern::Entry;
use mallory_scenarios::services::{
    cache_rebuild, container_memory, git_command, journal_intern, request_context,
};

/// The object id that repeats this digit forty times.
pub(crate) fn id(digit: &str) -> Id {
    digit.repeat(40).parse().unwrap()
}

pub(crate) fn commits(path: &str) -> cache_rebuild::Op {
    cache_rebuild::Op::Commits { path: path.into() }
}

pub(crate) fn cache_rebuild() -> Vec<cache_rebuild::Op> {
    use cache_rebuild::Op;
    vec![
        Op::Summary,
        commits("src/lib.rs"),
        Op::Discard,
        Op::RebuildFrom { commits: 3 },
        commits("src/parse.rs"),
        Op::Paths { commit: id("1") },
        Op::Rebuild,
        commits("src/parse.rs"),
        commits("src/lib.rs"),
        commits(r#""docs/\303\251t\303\251.md""#),
        commits("nowhere"),
        Op::Paths { commit: id("1") },
        Op::Paths { commit: id("5") },
        Op::Paths { commit: id("8") },
        Op::Summary,
        Op::RebuildFrom { commits: 0 },
        Op::Summary,
        Op::Discard,
        Op::Rebuild,
    ]
}

pub(crate) fn append(path: &str, kind: ChangeKind, digit: &str) -> journal_intern::Op {
    let (commit, old, new) = (id("e"), id("0"), id(digit));
    journal_intern::Op::Append(Entry { commit, path: path.into(), kind, old, new })
}

pub(crate) fn journal_intern() -> Vec<journal_intern::Op> {
    use journal_intern::Op;
    let lookup = |path: &str| Op::Lookup { path: path.into() };
    let history = |path: &str| Op::History { path: path.into() };
    vec![
        Op::Replay,
        Op::Compact,
        Op::Count,
        lookup("src/lib.rs"),
        append("src/lib.rs", ChangeKind::Added, "a"),
        Op::AppendFromLog { skip: 0, take: 3 },
        append("src/lib.rs", ChangeKind::Modified, "b"),
        history("src/lib.rs"),
        lookup("src/lib.rs"),
        Op::Count,
        Op::Replay,
        Op::Compact,
        Op::Replay,
        Op::AppendFromLog { skip: 3, take: usize::MAX },
        Op::AppendFromLog { skip: 100, take: 1 },
        lookup("docs/old.md"),
        lookup("nowhere"),
        history("src/parse.rs"),
        append("src/lib.rs", ChangeKind::Deleted, "0"),
        Op::Replay,
        Op::Count,
        Op::Compact,
        Op::Count,
        append("", ChangeKind::Added, "a"),
    ]
}

pub(crate) fn score(player: &str, region: &str, points: i32) -> request_context::Op {
    let (player, faction, region) = (player.into(), "RED".into(), region.into());
    request_context::Op::Score { player, faction, region, points }
}

pub(crate) fn top(region: &str, limit: usize) -> request_context::Op {
    request_context::Op::Top { region: region.into(), limit }
}

pub(crate) fn request_context() -> Vec<request_context::Op> {
    use request_context::{NAME_MAX, Op};
    let retire = |player: &str| Op::Retire { player: player.into() };
    vec![
        Op::Count,
        Op::Totals,
        top("global", 3),
        retire("anna"),
        score("anna", " North", 12),
        score("bela", "north", 12),
        score("\"\n\u{1}é", "south", -3),
        score(&"n".repeat(256), "south", 5),
        score(&"n".repeat(257), "south", 5),
        score(&"n".repeat(NAME_MAX + 1), "south", 5),
        top("NORTH", 100),
        top("global", 2),
        top(&"r".repeat(NAME_MAX + 1), 2),
        score("anna", "south", 30),
        top("south", usize::MAX),
        Op::Totals,
        retire("bela"),
        top("north", 1),
        Op::Totals,
        Op::Count,
    ]
}

pub(crate) fn container_memory() -> Vec<container_memory::Op> {
    use container_memory::Op;
    let create = |id: &str, spec: &str| Op::Create { id: id.into(), spec: spec.into() };
    let start = |id: &str| Op::Start { id: id.into() };
    let stop = |id: &str| Op::Stop { id: id.into() };
    let destroy = |id: &str| Op::Destroy { id: id.into() };
    let log = |id: &str, times| Op::Log { id: id.into(), text: "0123456789".into(), times };
    let exec = |id: &str, times| Op::Exec { id: id.into(), command: "x".repeat(100), times };
    vec![
        Op::Metrics,
        create("", "image=alpine"),
        create(&"c".repeat(257), "image=alpine"),
        create("web", "image=alpine\nenv=A=1\n\nenv=B=2\n"),
        create("web", "image=alpine"),
        create("db", "env=A=1"),
        create("db", "image=alpine\nimage=b\nlimit=0"),
        create(&"c".repeat(256), &format!("image={}\nlimit=90000", "i".repeat(300))),
        create("small", "image=alpine\nlimit=100"),
        start("web"),
        start("web"),
        exec("web", 90),
        exec("nobody", 1),
        log("web", 0),
        log("web", 409),
        log("web", 800),
        log("web", 800),
        log("web", 820),
        destroy("web"),
        Op::Reload("name=lxd\ncontainer_limit=5000\n".into()),
        Op::Reload(format!("name={}\ndaemon_limit=40000\n", "n".repeat(257))),
        Op::Reload("name=\n".into()),
        stop("web"),
        stop("web"),
        Op::Metrics,
        Op::Pressure(60),
        Op::Pressure(50),
        start("web"),
        Op::Pressure(44),
        start("web"),
        Op::Pressure(200),
        start("web"),
        stop("web"),
        destroy("web"),
        destroy("nobody"),
        create("next", "image=alpine\nenv=A=1"),
        Op::Metrics,
    ]
}

pub(crate) fn git_command() -> Vec<git_command::Op> {
    use git_command::Op;
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let output = |text: &str, cap| Op::Output { arguments: words(text), cap };
    let digest = |text: &str| Op::Digest { arguments: words(text) };
    let commits = |revision: &str| Op::Commits { revision: revision.into() };
    let set = |name: &str, value: &str| Op::Set { name: name.into(), value: value.into() };
    let unset = |name: &str| Op::Unset { name: name.into() };
    let count_pages = "rev-list --count HEAD -- *.md";
    vec![
        Op::Count,
        output("rev-parse HEAD", 41),
        output("rev-parse HEAD", 40),
        output("rev-parse nothing", 100),
        output("cat-file -p nothing", 0),
        output("ls-tree -r main", 1 << 20),
        output("ls-tree -r main", (1 << 20) + 1),
        output("show HEAD:data/table.txt", 6000),
        digest("show HEAD:data/table.txt"),
        digest("cat-file -p nothing"),
        commits("main"),
        commits("nothing"),
        commits("unheard of"),
        output(count_pages, 10),
        set("GIT_LITERAL_PATHSPECS", "1"),
        output(count_pages, 10),
        set("GIT_ADVICE", "0"),
        output(count_pages, 10),
        unset("GIT_ADVICE"),
        set("GIT_LITERAL_PATHSPECS", "0"),
        set("GIT_LITERAL_PATHSPECS", "1"),
        commits("main"),
        unset("GIT_LITERAL_PATHSPECS"),
        unset("GIT_LITERAL_PATHSPECS"),
        set("GIT_DIR", "/"),
        set("GIT_ADVICE", "\0"),
        output("flood", 8192),
        digest("flood"),
        output("grumble", 100),
        output("die", 100),
        digest("die"),
        output("-c core.pager=x log", 10),
        Op::Output { arguments: vec![], cap: 1 },
        Op::Output { arguments: vec!["log".into(); 65], cap: 1 },
        Op::Output { arguments: vec!["log".into(), "\0".into()], cap: 1 },
        output("rev-parse HEAD", 41),
        Op::Count,
    ]
}
