//! Responses: JSON text, and the changes of the store that go with it.

use std::fmt::{self, Display};

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::store::StoreChange;
use crate::memory::bytes::{Text, refused};
use crate::services::json_writer::JsonWriter;

/// A writer of a response's JSON, in an arena.
pub(super) type Json<'a> = JsonWriter<Text<&'a Heap>>;

/// A response and its changes, in the arena of the request.
pub(super) struct Response<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The JSON.
    pub body: Text<&'a Heap>,
    /// What is committed before the response is sent.
    pub changes: Vec<StoreChange<'a>, &'a Heap>,
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
        let mut json = JsonWriter::new(Text::new_in(arena));
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

/// A response that was copied out of its arena: status and JSON.
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

    /// The JSON, which the reply lends.
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
