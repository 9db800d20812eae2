//! What the functions of the C header say about the memory that they hand out.

use crate::guards::Breach;

/// Words by which a comment names what gives a result back, or says whose it is.
const WORDS: [&str; 6] = ["free", "drop", "release", "belongs", "lives", "until"];

/// Checks each function that returns a pointer. Returns how many there are, and which don't say it.
pub(super) fn check(file: &str, header: &str) -> (usize, Vec<Breach>) {
    let (mut checked, mut breaches) = (0, Vec::new());
    let mut comment = String::new();
    for (number, line) in (1..).zip(header.lines()) {
        let text = line.trim();
        if text.starts_with("/*") || text.starts_with('*') || text.starts_with("//") {
            if text.starts_with("/*") {
                comment.clear();
            }
            comment.push_str(text);
            comment.push('\n');
            continue;
        }
        if let Some(name) = pointer_function(line) {
            checked += 1;
            let said = comment.to_lowercase();
            if !WORDS.iter().any(|word| said.contains(word)) {
                breaches.push(Breach {
                    file: file.to_owned(),
                    line: number,
                    what: format!("`{name}` returns a pointer, and doesn't say what gives it back"),
                    help: "name the function that does, or say whose it is".to_owned(),
                });
            }
        }
        if text.is_empty() || text.ends_with(';') {
            comment.clear();
        }
    }
    (checked, breaches)
}

/// The name of the function that is declared on this line, if it returns a pointer.
fn pointer_function(line: &str) -> Option<&str> {
    let (before, _) = line.split_once('(')?;
    let (returned, name) = before.split_once('*')?;
    let is_type = |c: char| c.is_alphanumeric() || c == '_' || c == ' ';
    let is_declared = !line.starts_with(' ') && !line.starts_with("typedef");
    let name = name.trim_start_matches('*');
    (is_declared && returned.chars().all(is_type) && name.starts_with("mallory_")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_needs_a_word_on_its_release() {
        let planted =
            "/** A block of `size` bytes. */\nvoid *mallory_malloc(void *heap, size_t size);\n";
        let (checked, breaches) = check("a.h", planted);
        assert_eq!((checked, breaches.len()), (1, 1));
        assert_eq!(
            breaches[0].what,
            "`mallory_malloc` returns a pointer, and doesn't say what gives it back"
        );
        let near_miss = "/** A block, for `mallory_free`. */\nvoid *mallory_malloc(void *heap);\n\
                         /** The size. */\nsize_t mallory_usable_size(void *heap, void *block);\n";
        assert_eq!(check("a.h", near_miss), (1, Vec::new()));
    }
}
