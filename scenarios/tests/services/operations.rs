//! The operations that several tests run: for each service every operation, in every state that
//! matters to it.

use mallory_scenarios::services::git_log::{ChangeKind, Id};
use mallory_scenarios::services::journal_intern::Entry;
use mallory_scenarios::services::state_listener::TaskState;
use mallory_scenarios::services::{
    cache_rebuild, container_memory, journal_intern, request_context, state_listener, task_executor,
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

pub(crate) fn set(key: &str, value: &str) -> task_executor::Step {
    task_executor::Step::Set { key: key.into(), value: value.into() }
}

pub(crate) fn remove(key: &str) -> task_executor::Step {
    task_executor::Step::Remove { key: key.into() }
}

pub(crate) fn rename(from: &str, to: &str) -> task_executor::Step {
    task_executor::Step::Rename { from: from.into(), to: to.into() }
}

pub(crate) fn require(key: &str, value: &str) -> task_executor::Step {
    task_executor::Step::Require { key: key.into(), value: value.into() }
}

pub(crate) fn emit(text: &str) -> task_executor::Step {
    task_executor::Step::Emit { text: text.into() }
}

pub(crate) fn task_executor() -> Vec<task_executor::Op> {
    use task_executor::{KEY_MAX, Op, STEPS_MAX, VALUE_MAX};
    let run = |steps: &[task_executor::Step]| Op::Run(steps.to_vec());
    vec![
        Op::Count,
        Op::Report,
        run(&[]),
        run(&[set("a", "1"), set("b", "${a}${a}"), emit("b is ${b}, "), emit("\"a\n")]),
        Op::Get("b".into()),
        Op::Get("nothing".into()),
        // Every change in one task that is taken back.
        run(&[
            set("a", "2"),
            remove("b"),
            set("c", "${a}"),
            rename("a", "b"),
            set("c", "4"),
            emit("${c}"),
            require("c", "5"),
        ]),
        Op::Report,
        run(&[require("a", "1"), set("b", "${unknown}")]),
        run(&[set("b", "${a")]),
        run(&[remove("c")]),
        run(&[rename("c", "d")]),
        run(&[rename("a", "b")]),
        run(&[rename("a", "a")]),
        run(&[set(&"k".repeat(KEY_MAX), ""), set(&"k".repeat(KEY_MAX + 1), "")]),
        run(&[set("a", &"v".repeat(VALUE_MAX)), emit("${a}"), emit("${a}.")]),
        run(&[set("long", &"v".repeat(VALUE_MAX)), rename("long", "l"), emit("${l}${}")]),
        run(&vec![set("a", "${a}1"); STEPS_MAX]),
        run(&vec![set("a", "${a}1"); STEPS_MAX + 1]),
        run(&[remove("a"), rename("b", "a"), set("b", "${a}"), emit("${a} ${b}")]),
        Op::Report,
        Op::Count,
    ]
}

pub(crate) fn listen(listener: &str, only: Option<TaskState>) -> state_listener::Op {
    state_listener::Op::Listen { listener: listener.into(), only }
}

pub(crate) fn report(task: &str, state: TaskState, note: &str) -> state_listener::Op {
    state_listener::Op::Report { task: task.into(), state, note: note.into() }
}

pub(crate) fn receive(listener: &str, limit: usize) -> state_listener::Op {
    state_listener::Op::Receive { listener: listener.into(), limit }
}

pub(crate) fn state_listener() -> Vec<state_listener::Op> {
    use TaskState::{Failed, Pending, Running, Succeeded};
    use state_listener::{INBOX_MAX, NAME_MAX, NOTE_MAX, Op};
    let mut ops = vec![
        Op::Count,
        report("build", Pending, "nobody listens"),
        receive("ui", 1),
        Op::Leave("ui".into()),
        listen("ui", None),
        listen("retry", Some(Failed)),
        listen(&"l".repeat(NAME_MAX), Some(Running)),
        listen(&"l".repeat(NAME_MAX + 1), None),
        report(&"t".repeat(NAME_MAX + 1), Failed, ""),
        report("build", Failed, &"n".repeat(NOTE_MAX + 1)),
        report("build", Pending, ""),
        report("build", Running, "on \"node 1\"\n"),
        report("deploy", Failed, "build"),
        receive("ui", 2),
        Op::Acknowledge("retry".into()),
        Op::Reject("ui".into()),
        receive("ui", 1),
        Op::Acknowledge("ui".into()),
        receive("ui", usize::MAX),
        receive("retry", 3),
        Op::Known("ui".into()),
        Op::Acknowledge("ui".into()),
        Op::Acknowledge("retry".into()),
        Op::Known("ui".into()),
        Op::Known("retry".into()),
        listen("ui", Some(Succeeded)),
        report("build", Succeeded, "build"),
        Op::Count,
        Op::Leave("l".repeat(NAME_MAX)),
    ];
    ops.extend((0..INBOX_MAX).map(|_| report("again", Failed, "")));
    ops.extend([Op::Reject("retry".into()), Op::Leave("retry".into()), Op::Count]);
    ops.extend((1..9).map(|nth: usize| listen(&nth.to_string(), None)));
    ops.extend([report("build", Running, "to all"), receive("7", 1), Op::Leave("ui".into())]);
    ops
}
