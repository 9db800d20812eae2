//! The operations that several tests run: for each service every operation, in every state that
//! matters to it.

use mallory_scenarios::services::git_log::{ChangeKind, Id};
use mallory_scenarios::services::journal_intern::Entry;
use mallory_scenarios::services::state_listener::TaskState;
use mallory_scenarios::services::{
    cache_rebuild, circuit_breaker, config_cache, container_memory, git_command, journal_intern,
    request_context, state_listener, task_executor,
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

pub(crate) fn put(name: &str, source: &str, ttl: u32) -> config_cache::Op {
    config_cache::Op::Put { name: name.into(), source: source.into(), ttl }
}

pub(crate) fn config_cache() -> Vec<config_cache::Op> {
    use config_cache::{NAME_MAX, Op, SOURCE_MAX};
    let get = |name: &str, overrides: &[(&str, &str)]| {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Op::Get { name: name.into(), overrides: overrides.iter().map(owned).collect() }
    };
    let value = |name: &str, key: &str| Op::Value { name: name.into(), key: key.into() };
    let remove = |name: &str| Op::Remove { name: name.into() };
    vec![
        Op::Stats,
        get("web", &[]),
        put("", "a=1", 10),
        put(&"n".repeat(NAME_MAX + 1), "a=1", 10),
        put("long", &"#".repeat(SOURCE_MAX + 1), 10),
        put("web", "host=a\nhost=b", 10),
        put("web", " host = a\n\n# remark\nport=80", 1_000),
        get("web", &[]),
        get("web", &[("host", "a")]),
        get("web", &[("host", "b"), ("new", "1"), ("host", "c"), ("new", "2")]),
        get("web", &[("a=b", "c")]),
        Op::Defaults("mode=fast\nport=1".into()),
        Op::Defaults("mode".into()),
        Op::Defaults("#".repeat(SOURCE_MAX + 1)),
        get("web", &[]),
        value("web", "port"),
        value("web", "mode"),
        value("web", "nothing"),
        value("nobody", "port"),
        put("db", "mode=slow\nport=5432", 500),
        get("db", &[]),
        Op::Advance(500),
        value("db", "port"),
        remove("db"),
        put("db", "a=1", 100),
        put("mail", "", 0),
        put("web", "host=c", 1_000),
        put("mail", "b=1", 5_000),
        Op::Capacity(2),
        put("queue", "c=1", 200),
        remove("mail"),
        put("mail", "b=2", 5_000),
        Op::Advance(200),
        Op::Purge,
        put("dns", "d=1", 5_000),
        put("proxy", "e=1", 5_000),
        Op::Capacity(0),
        Op::Stats,
    ]
}

pub(crate) fn register(backend: &str, failures: u8, trials: u8) -> circuit_breaker::Op {
    let policy = circuit_breaker::Policy { failures, open_ms: 100, trials };
    circuit_breaker::Op::Register { backend: backend.into(), policy }
}

pub(crate) fn call(backend: &str, behaviour: circuit_breaker::Behaviour) -> circuit_breaker::Op {
    let (backend, request) = (backend.into(), "0123456789".into());
    circuit_breaker::Op::Call { backend, request, behaviour }
}

pub(crate) fn circuit_breaker() -> Vec<circuit_breaker::Op> {
    use circuit_breaker::Behaviour::{Body, Echo, Fail, FailAfter};
    use circuit_breaker::{NAME_MAX, Op};
    let circuit = |backend: &str| Op::Circuit { backend: backend.into() };
    let close = |backend: &str| Op::Close { backend: backend.into() };
    vec![
        Op::Report,
        call("db", Echo),
        register("", 1, 1),
        register(&"n".repeat(NAME_MAX + 1), 1, 1),
        register("db", 0, 1),
        register("db", 2, 0),
        register("db", 2, 2),
        register("db", 2, 2),
        register("\"é", 1, 1),
        call("db", Echo),
        call("db", Body(90)),
        call("db", FailAfter(20)),
        call("db", Body(0)),
        call("db", Fail),
        circuit("db"),
        call("db", FailAfter(9)),
        circuit("db"),
        call("db", Body(20)),
        Op::Advance(99),
        call("db", Echo),
        Op::Advance(1),
        call("db", Body(20)),
        circuit("db"),
        call("db", FailAfter(20)),
        Op::Advance(100),
        call("db", Echo),
        call("db", Body(20)),
        circuit("db"),
        call("\"é", Fail),
        Op::Report,
        close("\"é"),
        close("db"),
        close("nobody"),
        circuit("nobody"),
        call("\"é", Echo),
        Op::Report,
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
