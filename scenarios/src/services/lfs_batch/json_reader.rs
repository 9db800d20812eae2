//! Reads JSON without a tree and without memory of its own: the only place that knows `hifijson`,
//! whose lexer is built without its `alloc` here and so cannot allocate.
//!
//! Strings without escapes are borrowed from the input; the others are decoded into the caller's
//! arena and stay there. Nesting is bounded, so the stack doesn't grow with hostile input, and no
//! text needs more memory than its own length.

use hifijson::escape::Lex as _;
use hifijson::num::LexWrite as _;
use hifijson::str::LexWrite as _;
use hifijson::token::Lex as _;
use hifijson::{Read as _, SliceLexer, Write as _};
use mallory::{Heap, Refused};

use crate::memory::bytes::try_with_capacity;

/// How deep arrays and objects may be nested. A request of the protocol has four levels.
pub(super) const MAX_DEPTH: usize = 32;

/// Why a text could not be read. Offsets count bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    /// The token that begins there is malformed or not allowed there; or the text ends there.
    Malformed(usize),
    /// The array or object that begins there is nested too deep.
    TooDeep(usize),
    /// Out of memory.
    Refused,
}

impl From<Refused> for ReadError {
    fn from(_: Refused) -> Self {
        ReadError::Refused
    }
}

/// What a value is, once its first token has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The number's own digits.
    Number(&'a str),
    /// A string.
    String(&'a str),
    /// `[`: to be read with [`JsonReader::items`].
    Array,
    /// `{`: to be read with [`JsonReader::members`].
    Object,
}

/// A pull reader of one JSON text.
pub(super) struct JsonReader<'a> {
    lexer: SliceLexer<'a>,
    length: usize,
    depth: usize,
    arena: &'a Heap,
}

impl<'a> JsonReader<'a> {
    /// A reader that decodes strings with escapes into this arena.
    pub(super) fn new(text: &'a str, arena: &'a Heap) -> Self {
        JsonReader { lexer: SliceLexer::new(text.as_bytes()), length: text.len(), depth: 0, arena }
    }

    /// Reads a scalar, or the bracket that an array or an object begins with.
    ///
    /// # Errors
    /// No value begins here, or there is no memory for its text.
    pub(super) fn value(&mut self) -> Result<Value<'a>, ReadError> {
        match self.lexer.ws_peek() {
            Some(b'[') => self.descend().map(|()| Value::Array),
            Some(b'{') => self.descend().map(|()| Value::Object),
            Some(b'"') => self.string().map(Value::String),
            Some(byte) if is_scalar(byte) => self.scalar(),
            _ => Err(self.malformed()),
        }
    }

    /// Reads the rest of an array, whose items `each` has to read or to [`skip`](Self::skip).
    ///
    /// # Errors
    /// The array is malformed, or `each` returns an error.
    pub(super) fn items(
        &mut self,
        each: impl FnMut(&mut Self) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.sequence(b']', each)
    }

    /// Reads the rest of an object; `each` gets a key and has to read or to skip its value.
    ///
    /// # Errors
    /// The object is malformed, or `each` returns an error.
    pub(super) fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, &str) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.sequence(b'}', |reader| {
            if reader.lexer.ws_peek() != Some(b'"') {
                return Err(reader.malformed());
            }
            let key = reader.string()?;
            reader.take(b':')?;
            each(reader, key)
        })
    }

    /// Reads a whole value for its form only.
    ///
    /// # Errors
    /// It is malformed, nested too deep, or there is no memory.
    pub(super) fn skip(&mut self) -> Result<(), ReadError> {
        let value = self.value()?;
        self.skip_rest(value)
    }

    /// Reads what is left of a value whose beginning was read.
    ///
    /// # Errors
    /// As for [`skip`](Self::skip).
    pub(super) fn skip_rest(&mut self, value: Value<'a>) -> Result<(), ReadError> {
        match value {
            // As deep as `MAX_DEPTH` calls.
            Value::Array => self.items(Self::skip),
            Value::Object => self.members(|reader, _| reader.skip()),
            _ => Ok(()),
        }
    }

    /// Makes sure that nothing but white space is left.
    ///
    /// # Errors
    /// Something is.
    pub(super) fn end(&mut self) -> Result<(), ReadError> {
        match self.lexer.ws_peek() {
            None => Ok(()),
            Some(_) => Err(self.malformed()),
        }
    }

    fn offset(&self) -> usize {
        self.length - self.lexer.as_slice().len()
    }

    fn malformed(&self) -> ReadError {
        ReadError::Malformed(self.offset())
    }

    fn take(&mut self, expected: u8) -> Result<(), ReadError> {
        if self.lexer.ws_peek() != Some(expected) {
            return Err(self.malformed());
        }
        self.lexer.take_next();
        Ok(())
    }

    fn descend(&mut self) -> Result<(), ReadError> {
        if self.depth == MAX_DEPTH {
            return Err(ReadError::TooDeep(self.offset()));
        }
        self.depth += 1;
        self.lexer.take_next();
        Ok(())
    }

    fn sequence(
        &mut self,
        end: u8,
        mut each: impl FnMut(&mut Self) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        if self.lexer.ws_peek() != Some(end) {
            each(self)?;
            while self.lexer.ws_peek() == Some(b',') {
                self.lexer.take_next();
                each(self)?;
            }
        }
        self.take(end)?;
        self.depth -= 1;
        Ok(())
    }

    fn scalar(&mut self) -> Result<Value<'a>, ReadError> {
        let malformed = self.malformed();
        let mut word: &'a [u8] = &[];
        self.lexer.write_until(&mut word, |byte| !is_scalar(byte));
        match word {
            b"null" => return Ok(Value::Null),
            b"true" => return Ok(Value::Bool(true)),
            b"false" => return Ok(Value::Bool(false)),
            _ => {}
        }
        let mut lexer = SliceLexer::new(word);
        match lexer.num_string().validated() {
            Ok((digits, _)) if lexer.as_slice().is_empty() => Ok(Value::Number(digits)),
            _ => Err(malformed),
        }
    }

    fn string(&mut self) -> Result<&'a str, ReadError> {
        let malformed = self.malformed();
        let mut raw: &'a [u8] = &[];
        self.lexer.take_next();
        self.lexer.str_bytes(&mut raw).map_err(|_| malformed)?;
        if !raw.contains(&b'\\') {
            return std::str::from_utf8(raw).map_err(|_| malformed);
        }
        // No escape is shorter than its character, so there is room for everything.
        let mut decoded = try_with_capacity(raw.len(), self.arena)?;
        let mut lexer = SliceLexer::new(raw);
        loop {
            let mut plain: &[u8] = &[];
            lexer.write_until(&mut plain, |byte| byte == b'\\');
            decoded.extend_from_slice(plain);
            if lexer.take_next().is_none() {
                return std::str::from_utf8(decoded.leak()).map_err(|_| malformed);
            }
            let letter = lexer.take_next().ok_or(malformed)?;
            let character = lexer.escape(letter).map_err(|_| malformed)?;
            decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// The bytes that words and numbers are made of: a run of them is one token, right or wrong.
fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}
