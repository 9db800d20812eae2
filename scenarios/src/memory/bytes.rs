//! Growing a vector and writing text the fallible way: every other path of a vector aborts when
//! memory runs out.

use std::fmt;
use std::ops::Deref;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use mallory::Refused;

/// Turns a collection's reservation error into [`Refused`]. No capacity overflows before memory
/// runs out, so the two causes need no distinction.
pub fn refused<E>(_error: E) -> Refused {
    Refused
}

/// Appends a value.
///
/// # Errors
/// [`Refused`] if there is no memory; the vector is then unaltered.
pub fn try_push<T, A: Allocator>(vec: &mut Vec<T, A>, value: T) -> Result<(), Refused> {
    vec.try_reserve(1).map_err(refused)?;
    vec.push_within_capacity(value).map_err(refused)
}

/// Appends copies of all values.
///
/// # Errors
/// [`Refused`] if there is no memory; the vector is then unaltered.
pub fn try_extend<T: Copy, A: Allocator>(vec: &mut Vec<T, A>, values: &[T]) -> Result<(), Refused> {
    vec.try_reserve(values.len()).map_err(refused)?;
    vec.extend_from_slice(values);
    Ok(())
}

/// A vector with exactly the room asked for, which is freed when it is dropped.
///
/// # Errors
/// [`Refused`] if there is no memory.
pub fn try_with_capacity<T, A: Allocator>(count: usize, alloc: A) -> Result<Vec<T, A>, Refused> {
    let mut vec = Vec::new_in(alloc);
    vec.try_reserve_exact(count).map_err(refused)?;
    Ok(vec)
}

/// A copy of the values, with no room to spare. It is freed when it is dropped.
///
/// # Errors
/// [`Refused`] if there is no memory.
pub fn try_copy<T: Copy, A: Allocator>(values: &[T], alloc: A) -> Result<Vec<T, A>, Refused> {
    let mut vec = try_with_capacity(values.len(), alloc)?;
    vec.extend_from_slice(values);
    Ok(vec)
}

/// A builder of text: `write!` to it, and an error means that memory ran out.
pub struct Text<A: Allocator> {
    bytes: Vec<u8, A>,
}

impl<A: Allocator> Text<A> {
    /// An empty text; takes no memory yet.
    pub fn new_in(alloc: A) -> Self {
        Text { bytes: Vec::new_in(alloc) }
    }

    /// Appends bytes, which need not be UTF-8.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; the text is then unaltered.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        try_extend(&mut self.bytes, bytes)
    }

    /// Appends what `format_args!` describes.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory; part of it may then have been written.
    pub fn format(&mut self, text: fmt::Arguments<'_>) -> Result<(), Refused> {
        fmt::write(self, text).map_err(refused)
    }

    /// Removes all text; the room stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The bytes that it has room for.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The bytes, with whatever room is left behind them; all is freed when they are dropped.
    pub fn into_bytes(self) -> Vec<u8, A> {
        self.bytes
    }
}

impl<A: Allocator> From<Vec<u8, A>> for Text<A> {
    fn from(bytes: Vec<u8, A>) -> Self {
        Text { bytes }
    }
}

impl<A: Allocator> fmt::Debug for Text<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Bytes(&*self.bytes).fmt(f)
    }
}

impl<A: Allocator> fmt::Write for Text<A> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes()).map_err(|Refused| fmt::Error)
    }
}

impl<A: Allocator> Deref for Text<A> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Appends text to a vector of bytes: `write!` to it, and an error means that memory ran out.
pub struct Appending<'v, A: Allocator>(pub &'v mut Vec<u8, A>);

impl<A: Allocator> fmt::Write for Appending<'_, A> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        try_extend(self.0, text.as_bytes()).map_err(|Refused| fmt::Error)
    }
}

/// Bytes that print as text, owned or borrowed: `"src/a.rs"`, with escapes for what is not ASCII.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes<B>(pub B);

impl<B: AsRef<[u8]>> fmt::Debug for Bytes<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.as_ref().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mallory::{Heap, Plan};

    #[test]
    fn a_refused_extension_leaves_the_vector_as_it_was() {
        let heap = Heap::new();
        let mut vec = try_copy(b"abc", &heap).unwrap();
        heap.arm(Plan::from(1));
        assert_eq!(try_extend(&mut vec, b"defg"), Err(Refused));
        assert_eq!(try_push(&mut vec, b'd'), Err(Refused));
        assert_eq!(vec.as_slice(), b"abc");
        heap.disarm();
        try_push(&mut vec, b'd').unwrap();
        assert_eq!(vec.as_slice(), b"abcd");
    }

    #[test]
    fn text_is_written_or_refused() {
        let heap = Heap::new();
        let mut text = Text::new_in(&heap);
        text.format(format_args!("{}-{:02x}", 7, 11)).unwrap();
        assert_eq!(&*text, b"7-0b");
        heap.arm(Plan::from(1));
        assert_eq!(text.format(format_args!("{:100}", 7)), Err(Refused));
    }

    #[test]
    fn bytes_print_escaped() {
        assert_eq!(format!("{:?}", Bytes(b"a\"\xff")), r#""a\"\xff""#);
    }
}
