//! Words that have to be decoded, with what to say instead. The project once spoke a language of its own.

/// Each with its replacement. A word with a space is looked for as it is, any other as a whole word,
/// also inside of an identifier.
const FORBIDDEN: &[(&str, &str)] = &[
    ("mend", "help, correct"),
    ("mends", "helps, corrects"),
    ("mended", "corrected"),
    ("omen", "status"),
    ("omens", "status"),
    ("crew", "workers"),
    ("brood", "fork pool"),
    ("manieth", "Nth"),
    ("so many", "say how many"),
    ("by chance", "random"),
    ("comes to its end", "ends"),
    ("hangs on", "depends on"),
    ("stands in", "is in"),
    ("is told by", "is identified by"),
    ("are told by", "are identified by"),
    ("what came of", "say what happened"),
];

/// At the beginning of a documentation comment: a function returns, it doesn't answer.
const ANSWERS: &str = "Answers ";

/// The lines of a text with a forbidden word.
pub(crate) fn forbidden(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (nth, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        for (word, instead) in FORBIDDEN {
            let is_there = match word.contains(' ') {
                true => lower.contains(word),
                false => lower.split(|c: char| !c.is_ascii_alphabetic()).any(|part| part == *word),
            };
            if is_there {
                found.push(format!("{path}:{}: `{word}` (say: {instead})", nth + 1));
            }
        }
        let is_doc = line.trim_start().starts_with("//");
        if is_doc && line.contains(ANSWERS) {
            found.push(format!("{path}:{}: `answers` (say: returns)", nth + 1));
        }
    }
    found
}
