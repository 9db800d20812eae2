//! The caller's mistake: a bad script, flag, token, file, variable, or a subject that fails
//! without any fault. Every message says where, and how to mend it.

use std::fmt;

/// A mistake of the caller's, with its place and the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    what: String,
    mend: Option<String>,
}

impl Error {
    /// A mistake, said in one sentence that names its place.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Error { what: what.into(), mend: None }
    }

    /// Adds how to mend it.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.mend {
            Some(mend) => write!(f, "\n  mend: {mend}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
