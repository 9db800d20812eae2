//! The findings of a suite: a broken promise with what was seen and how to repeat it.

use crate::conformance::clause::{BreachRoot, Clause, Function};
use crate::conformance::operation;
use crate::conformance::suite::BrokenSequence;
use crate::launch;
use crate::report::finding::{BlockTally, Finding};
use crate::report::kind::Kind;
use crate::report::rerun::Rerun;
use crate::report::token::Token;
use crate::trace::{Fingerprint, hash_bytes};

/// The text that tells a broken promise from others. It is the same for every sequence that shows it.
fn root_text(root: BreachRoot) -> String {
    let how = match root.clause {
        Clause::Aborts => "by aborting",
        Clause::Exits => "by exiting",
        _ => "",
    };
    let function = root.function.map_or("", Function::name);
    format!("{}{how}{function}", root.clause.promise())
}

/// What all findings of a suite have in common.
pub(crate) struct FindingSource<'a> {
    /// The name of the suite.
    pub(crate) name: &'a str,
    pub(crate) seed: u64,
    /// How the program is started again; `None` if it is started as it was.
    pub(crate) program: Option<&'a str>,
}

impl FindingSource<'_> {
    /// The finding of a sequence.
    pub(crate) fn of_sequence(&self, broken: &BrokenSequence) -> Finding {
        let BrokenSequence { steps, breach } = broken;
        let lines = operation::print(steps);
        let indented: String = lines.lines().map(|line| format!("\n  {line}")).collect();
        let by = if steps.is_empty() {
            "by making and dropping it".to_owned()
        } else {
            format!("by this sequence, the smallest that shows it:{indented}")
        };
        self.finding(&root_text(breach.root()), breach.clause, &breach.note, by, &lines)
    }

    /// The finding of several threads that used the port at the same time.
    pub(crate) fn of_stress(&self, clause: Clause, note: &str, threads: u8) -> Finding {
        let by = format!("by {threads} threads at once: no sequence shows how they met");
        // "storm" is hashed into the fingerprint, and so is part of tokens.
        self.finding(&format!("{}threads", clause.promise()), clause, note, by, "storm")
    }

    /// A finding. `root` is hashed into its id.
    fn finding(&self, root: &str, clause: Clause, note: &str, by: String, lines: &str) -> Finding {
        let (kind, promise) = (Kind::PortContract, clause.promise());
        let hash = |text: String| hash_bytes(text.as_bytes());
        let root = hash(format!("{kind}{root}")) >> 32;
        let fingerprint = hash(format!("{promise}\n{lines}"));
        let again = self.program.map_or_else(launch::program, str::to_owned);
        Finding {
            kind,
            id: format!("{}-{root:08x}", kind.letter()),
            scenario: self.name.to_owned(),
            block: None,
            tally: BlockTally::default(),
            steps: Vec::new(),
            notes: vec![format!("broken: {promise}"), note.to_owned(), by],
            fault: None,
            count: 1,
            of: 0,
            schedule: None,
            token: Token {
                preemptions: None,
                scenario: self.name.to_owned(),
                fault: None,
                seed: self.seed,
                input: None,
                modes: Vec::new(),
                fingerprint: Fingerprint(fingerprint).short(),
            },
            rerun: Rerun::Program(again),
            c_call: String::new(),
        }
    }
}
