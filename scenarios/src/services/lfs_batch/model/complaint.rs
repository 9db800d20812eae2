//! What the model says of wrong requests, in its own words.

/// An error reply: status and message.
pub(super) type Complaint = (u16, String);

pub(super) fn complain<T>(status: u16, message: impl Into<String>) -> Result<T, Complaint> {
    Err((status, message.into()))
}

pub(super) fn no_oid<T>() -> Result<T, Complaint> {
    complain(422, "oid is not 64 lower-case hexadecimal digits")
}

pub(super) fn absent<T>() -> Result<T, Complaint> {
    complain(404, "object does not exist")
}

pub(super) fn other_size<T>() -> Result<T, Complaint> {
    complain(422, "size is not the object's")
}

pub(super) fn is_oid(text: &str) -> bool {
    text.len() == 64 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}
