//! Writes compact JSON to anything that takes text, with the escapes that JSON demands and no
//! others. It owns nothing and allocates nothing. It writes the commas; the caller opens and closes
//! arrays and objects.

use std::fmt::{self, Display, Write};

/// A writer of one JSON text.
#[derive(Debug)]
pub(crate) struct JsonWriter<W> {
    out: W,
    /// Whether the next item of the innermost sequence needs a comma before it.
    comma: bool,
}

impl<W: Write> JsonWriter<W> {
    /// A writer at the beginning of a text.
    pub(crate) fn new(out: W) -> Self {
        JsonWriter { out, comma: false }
    }

    /// The output, with all that was written.
    pub(crate) fn into_inner(self) -> W {
        self.out
    }

    /// Writes a whole object, with members by `members`.
    ///
    /// # Errors
    /// The output takes no more.
    pub(crate) fn object(&mut self, members: impl FnOnce(&mut Self) -> fmt::Result) -> fmt::Result {
        self.nest('{', members, '}')
    }

    /// Writes a whole array, with items by `items`.
    ///
    /// # Errors
    /// The output takes no more.
    pub(crate) fn array(&mut self, items: impl FnOnce(&mut Self) -> fmt::Result) -> fmt::Result {
        self.nest('[', items, ']')
    }

    /// Writes a member's key; its value is to follow. Keys are the protocol's words, so there is
    /// nothing in them to escape.
    ///
    /// # Errors
    /// The output takes no more.
    pub(crate) fn key(&mut self, key: &'static str) -> fmt::Result {
        self.separate()?;
        self.comma = false;
        write!(self.out, "\"{key}\":")
    }

    /// Writes a string.
    ///
    /// # Errors
    /// The output takes no more.
    pub(crate) fn string(&mut self, text: impl Display) -> fmt::Result {
        self.separate()?;
        self.out.write_char('"')?;
        write!(Escaping(&mut self.out), "{text}")?;
        self.out.write_char('"')
    }

    /// Writes a number or a boolean.
    ///
    /// # Errors
    /// The output takes no more.
    pub(crate) fn literal(&mut self, value: impl Display) -> fmt::Result {
        self.separate()?;
        write!(self.out, "{value}")
    }

    fn separate(&mut self) -> fmt::Result {
        if std::mem::replace(&mut self.comma, true) { self.out.write_char(',') } else { Ok(()) }
    }

    fn nest(
        &mut self,
        open: char,
        inside: impl FnOnce(&mut Self) -> fmt::Result,
        close: char,
    ) -> fmt::Result {
        self.separate()?;
        self.out.write_char(open)?;
        self.comma = false;
        inside(self)?;
        self.comma = true;
        self.out.write_char(close)
    }
}

/// Passes text on, escaping what is not allowed in a JSON string.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            if byte >= b' ' && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.0.write_str(&text[plain..at])?;
            plain = at + 1;
            match byte {
                b'"' => self.0.write_str("\\\""),
                b'\\' => self.0.write_str("\\\\"),
                b'\n' => self.0.write_str("\\n"),
                b'\r' => self.0.write_str("\\r"),
                b'\t' => self.0.write_str("\\t"),
                0x08 => self.0.write_str("\\b"),
                0x0c => self.0.write_str("\\f"),
                control => write!(self.0, "\\u{control:04x}"),
            }?;
        }
        self.0.write_str(&text[plain..])
    }
}

#[cfg(test)]
mod tests {
    use super::JsonWriter;

    #[test]
    fn commas_stand_between_and_only_between() {
        let mut out = String::new();
        let mut json = JsonWriter::new(&mut out);
        let written = json.object(|json| {
            json.key("empty")?;
            json.array(|_| Ok(()))?;
            json.key("list")?;
            json.array(|json| {
                json.literal(1)?;
                json.object(|_| Ok(()))?;
                json.literal(true)
            })?;
            json.key("text")?;
            json.string("x")
        });
        assert_eq!(written, Ok(()));
        assert_eq!(out, r#"{"empty":[],"list":[1,{},true],"text":"x"}"#);
    }

    #[test]
    fn every_character_is_written_as_serde_json_writes_it() {
        let text: String = (0_u8..128).map(char::from).chain("é😀\u{2028}".chars()).collect();
        let mut out = String::new();
        assert_eq!(JsonWriter::new(&mut out).string(&text), Ok(()));
        assert_eq!(out, serde_json::to_string(&text).expect("a string"));
    }
}
