//! The caller's mistake: a bad script, flag, token, file or variable, or a subject that fails without
//! any fault. Every message says where it is and what to do about it.

use std::fmt;

/// A mistake of the caller's. Printed as
///
/// ```text
/// WHAT
///   --> PLACE
/// help: WHAT TO DO
/// ```
///
/// where the last two lines are left out if there is nothing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    what: String,
    place: Option<String>,
    help: Option<String>,
}

impl Error {
    /// A mistake, in one sentence that names what is wrong.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Error { what: what.into(), place: None, help: None }
    }

    /// Adds where it is: `file`, `file:line` or `file:line:column`.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(place) = &self.place {
            write!(f, "\n  --> {place}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
