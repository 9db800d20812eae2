//! Responses: JSON text and the changes that become true with it.

use std::fmt::{self, Display};

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::json_writer::Writer;
use super::store::Change;
use crate::memory::bytes::{Text, refused};

/// A writer of a response's JSON, in an arena.
pub(super) type Json<'a> = Writer<Text<&'a Heap>>;

/// What is to be answered and done, in the arena of its request.
pub(super) struct Response<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The JSON.
    pub body: Text<&'a Heap>,
    /// What is to be committed before the answer goes out.
    pub changes: Vec<Change<'a>, &'a Heap>,
}

impl<'a> Response<'a> {
    /// A response whose body is one JSON object, and which changes nothing yet.
    ///
    /// # Errors
    /// Out of memory.
    pub(super) fn new(
        arena: &'a Heap,
        status: u16,
        members: impl FnOnce(&mut Json<'a>) -> fmt::Result,
    ) -> Result<Self, Refused> {
        let mut json = Writer::new(Text::new_in(arena));
        json.object(members).map_err(refused)?;
        Ok(Response { status, body: json.into_inner(), changes: Vec::new_in(arena) })
    }

    /// An error response: just a message.
    ///
    /// # Errors
    /// Out of memory.
    pub(super) fn message(
        arena: &'a Heap,
        status: u16,
        message: impl Display,
    ) -> Result<Self, Refused> {
        Response::new(arena, status, |json| {
            json.key("message")?;
            json.string(message)
        })
    }
}

/// A response that is out of its arena: status and JSON.
pub struct Reply {
    status: u16,
    body: Vec<u8, Heap>,
}

impl Reply {
    pub(super) fn new(status: u16, body: Vec<u8, Heap>) -> Self {
        Reply { status, body }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The JSON.
    #[must_use]
    pub fn body(&self) -> &str {
        std::str::from_utf8(&self.body).expect("written through fmt::Write")
    }
}

impl fmt::Debug for Reply {
    /// `200 {"transfer":"basic",…}`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body())
    }
}
