//! Crates of strings: short ones, shared ones, interned ones.

use super::TEXT;

pub(super) fn compact_str() -> (Vec<String>, usize) {
    use compact_str::{CompactString, ToCompactString, format_compact};

    let mut lines = Vec::new();
    let mut all = CompactString::default();
    for (place, word) in TEXT.split(' ').enumerate() {
        all.push_str(word);
        let line = format_compact!("{place} is {word}, after {} bytes of text", all.len());
        lines.push(if line.len() % 2 == 0 {
            line.to_uppercase()
        } else {
            place.to_compact_string()
        });
    }
    all.retain(|letter| letter != 'o');
    all.insert_str(3, "inserted in the middle");
    all.truncate(90);
    all.shrink_to_fit();
    let copy = all.clone();
    lines.push(copy);
    (lines.into_iter().map(String::from).collect(), all.capacity().min(90))
}

pub(super) fn ecow() -> (String, Vec<usize>, bool) {
    let mut text = ecow::EcoString::new();
    let mut places = ecow::EcoVec::new();
    let mut old = Vec::new();
    for (place, word) in TEXT.split(' ').enumerate() {
        text.push_str(word);
        if place % 6 == 0 {
            old.push((text.clone(), places.clone()));
        }
        places.push(place * word.len());
    }
    text.make_mut().make_ascii_uppercase();
    places.retain(|place| *place % 2 == 0);
    let lengths = old.iter().map(|(text, places)| text.len() + places.len()).collect();
    (text.replace("THE", "").to_string(), lengths, places.is_empty())
}

pub(super) fn lasso() -> (Vec<usize>, Vec<String>, bool) {
    use lasso::Key;

    let mut names = lasso::Rodeo::default();
    let keys: Vec<lasso::Spur> = TEXT.split(' ').map(|word| names.get_or_intern(word)).collect();
    let numbers = keys.iter().map(|key| key.into_usize()).collect();
    let reader = names.into_reader();
    let found = reader.get("fox").is_some();
    let resolver = reader.into_resolver();
    (numbers, resolver.strings().map(str::to_owned).collect(), found)
}

pub(super) fn smol_str() -> (Vec<String>, String) {
    use smol_str::{SmolStr, SmolStrBuilder, StrExt, format_smolstr};

    let words: Vec<SmolStr> = TEXT
        .split(' ')
        .map(|word| format_smolstr!("{word} and again {word}, so it is long"))
        .collect();
    let copies: Vec<SmolStr> = words.iter().step_by(4).cloned().collect();
    drop(words);
    let mut builder = SmolStrBuilder::new();
    for word in &copies {
        builder.push_str(&word.to_uppercase_smolstr());
        builder.push(' ');
    }
    (copies.into_iter().map(String::from).collect(), builder.finish().to_string())
}

pub(super) fn string_interner() -> (Vec<usize>, usize, Option<String>) {
    use string_interner::Symbol;

    let mut names = string_interner::DefaultStringInterner::default();
    let symbols: Vec<_> = TEXT.split(' ').map(|word| names.get_or_intern(word)).collect();
    let copy = names.clone();
    names.shrink_to_fit();
    let name = copy.resolve(symbols[3]).map(str::to_owned);
    (symbols.iter().map(|symbol| symbol.to_usize()).collect(), names.len(), name)
}
