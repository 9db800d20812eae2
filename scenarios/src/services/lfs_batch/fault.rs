//! The mistakes that a client can make, with the status and the message of their error replies.
//! None of them is an error of the server: its only error is out of memory.

use std::fmt;

use mallory::Refused;

use super::json_reader::{self, MAX_DEPTH};
use super::pointer::NotAPointer;

/// No request is longer than this.
pub(super) const MAX_BYTES: usize = 256 << 10;

/// No request names more objects than this.
pub(super) const MAX_OBJECTS: usize = 1000;

/// Why a call has no ordinary response.
#[derive(Clone, Copy, Debug)]
pub(super) enum Error {
    /// A mistake of the client, which is replied to.
    Fault(Fault),
    /// Out of memory.
    Refused,
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::Fault(fault)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Error::Fault(Fault::Object(problem))
    }
}

impl From<Refused> for Error {
    fn from(_: Refused) -> Self {
        Error::Refused
    }
}

impl From<json_reader::ReadError> for Error {
    fn from(error: json_reader::ReadError) -> Self {
        match error {
            json_reader::ReadError::Malformed(at) => Error::Fault(Fault::Malformed(at)),
            json_reader::ReadError::TooDeep(at) => Error::Fault(Fault::TooDeep(at)),
            json_reader::ReadError::Refused => Error::Refused,
        }
    }
}

/// Where in a request something is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// The request as a whole.
    Request,
    /// A member of the request.
    Member(&'static str),
    /// An item of `objects`.
    Object(usize),
    /// A member of an item of `objects`.
    ObjectMember(usize, &'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Request => f.write_str("request"),
            Place::Member(name) => f.write_str(name),
            Place::Object(nth) => write!(f, "objects[{nth}]"),
            Place::ObjectMember(nth, name) => write!(f, "objects[{nth}].{name}"),
        }
    }
}

/// Why a request is refused as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// It is longer than [`MAX_BYTES`].
    TooLong,
    /// The byte there is not UTF-8.
    NotUtf8(usize),
    /// It is not JSON from that byte on.
    Malformed(usize),
    /// It is nested too deep at that byte.
    TooDeep(usize),
    /// It names more objects than [`MAX_OBJECTS`].
    TooMany,
    /// Objects are to be named by another hash than SHA-256.
    HashAlgorithm,
    /// Something is missing, or is not what it should be.
    Invalid(Place, &'static str),
    /// The text is not a pointer file.
    Pointer(NotAPointer),
    /// The one object that the request is about.
    Object(Problem),
}

impl Fault {
    /// The HTTP status that says so.
    #[must_use]
    pub(super) fn status(self) -> u16 {
        match self {
            Fault::NotUtf8(_) | Fault::Malformed(_) | Fault::TooDeep(_) => 400,
            Fault::HashAlgorithm => 409,
            Fault::TooLong | Fault::TooMany => 413,
            Fault::Invalid(..) | Fault::Pointer(_) => 422,
            Fault::Object(problem) => problem.code(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::TooLong => write!(f, "request: longer than {MAX_BYTES} bytes"),
            Fault::NotUtf8(at) => write!(f, "not UTF-8 at byte {at}"),
            Fault::Malformed(at) => write!(f, "malformed JSON at byte {at}"),
            Fault::TooDeep(at) => {
                write!(f, "JSON nested deeper than {MAX_DEPTH} levels at byte {at}")
            }
            Fault::TooMany => write!(f, "objects: more than {MAX_OBJECTS}"),
            Fault::HashAlgorithm => f.write_str("hash_algo: only sha256 is served"),
            Fault::Invalid(place, problem) => write!(f, "{place}: {problem}"),
            Fault::Pointer(error) => error.fmt(f),
            Fault::Object(problem) => problem.fmt(f),
        }
    }
}

/// Why one object can't be served, alone or among others of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Problem {
    /// Its id is malformed.
    Oid,
    /// It is not there: never announced, not yet uploaded, or removed.
    Absent,
    /// The server knows it with another size.
    Size,
    /// The content that came has another id.
    Content,
}

impl Problem {
    /// Its code in a response, which is an HTTP status.
    #[must_use]
    pub(super) fn code(self) -> u16 {
        match self {
            Problem::Absent => 404,
            Problem::Oid | Problem::Size | Problem::Content => 422,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Problem::Oid => "oid is not 64 lower-case hexadecimal digits",
            Problem::Absent => "object does not exist",
            Problem::Size => "size is not the object's",
            Problem::Content => "content is not the object's",
        })
    }
}
