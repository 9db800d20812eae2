//! The caller's mistakes: a bad script, flag, token, file or environment variable, or a subject
//! that fails without any fault. Each says what is wrong, where, and what to do about it.

use std::fmt;

use crate::printable;

/// A mistake of the caller's: what is wrong, where, and what to do about it. Command lines print it
/// after `error: `. The lines of an unknown place and of missing help are left out.
///
/// ```
/// use mallory::Error;
///
/// let error =
///     Error::new("expected 0 or 1, found `yes`").at("MALLORY_HISTOGRAM").help("set it to 0 or 1");
/// assert_eq!(
///     error.to_string(),
///     "expected 0 or 1, found `yes`\n  --> MALLORY_HISTOGRAM\nhelp: set it to 0 or 1"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    what: String,
    place: Option<String>,
    /// What was counted or compared, one line each.
    rows: Vec<String>,
    help: Option<String>,
}

impl Error {
    /// A mistake. `what` says in one sentence what is wrong.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Error { what: printable::sentence(&what.into()), place: None, rows: Vec::new(), help: None }
    }

    /// Sets where it is: `file`, `file:line`, `file:line:column`, or the name of a variable.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(printable::sentence(&place.into()));
        self
    }

    /// The same for a place on several lines: a token with a caret below it.
    #[must_use]
    pub(crate) fn at_lines(mut self, place: &str) -> Self {
        self.place = Some(printable::lines(place));
        self
    }

    /// Sets what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(printable::sentence(&help.into()));
        self
    }

    /// Lists what was counted or compared, between the place and the help.
    #[must_use]
    pub(crate) fn listing(mut self, rows: &[String]) -> Self {
        self.rows = rows.iter().map(|row| printable::line(row)).collect();
        self
    }

    /// Sets the place that the present one is inside of: a variable that holds a token, say.
    #[must_use]
    pub(crate) fn within(self, outer: impl Into<String>) -> Self {
        let outer = printable::sentence(&outer.into());
        let place = match &self.place {
            Some(inner) => format!("{outer}, {inner}"),
            None => outer,
        };
        self.at_lines(&place)
    }

    /// What was counted or compared.
    #[cfg(feature = "cli")]
    pub(crate) fn rows(&self) -> &[String] {
        &self.rows
    }

    /// What is wrong, where, and what to do about it, for other forms than text.
    #[cfg(feature = "cli")]
    pub(crate) fn parts(&self) -> (&str, Option<&str>, Option<&str>) {
        (&self.what, self.place.as_deref(), self.help.as_deref())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(place) = &self.place {
            write!(f, "\n  --> {place}")?;
        }
        for row in &self.rows {
            write!(f, "\n  {row}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
