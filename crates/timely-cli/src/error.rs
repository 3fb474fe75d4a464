//! Why a command ended, as people and scripts learn it: exit code, words, next step.

use std::fmt;

use serde::Serialize;
use timely_core::problem::{Problem, ProblemCode};

/// Exit codes. Scripts branch on them: they never change their meaning. 7 is kept for writes that
/// wait for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// The server refused, or something failed.
    Refused = 1,
    /// Wrong use, or a question that nobody is there to answer.
    Usage = 2,
    /// Not found, or several fit.
    NotFound = 3,
    /// Not signed in, or not allowed.
    NotAllowed = 4,
    /// Something else stands there: another version, a key used before.
    Conflict = 5,
    /// The server was not reached; nothing was changed.
    Unreachable = 6,
    /// The connection was lost after sending. To try again with the same key is safe.
    OutcomeUnknown = 8,
    /// The time ran out before what was waited for came.
    TimedOut = 9,
    /// Ctrl-C.
    Interrupted = 130,
    /// Whoever read the output has gone.
    ClosedPipe = 141,
}

/// The end of a command that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliError {
    pub exit: Exit,
    /// A word for scripts.
    pub code: &'static str,
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// What may have been meant, as it would be typed.
    pub candidates: Vec<String>,
    /// An argument that was not found, and the one thing it may have stood for: the command is shown
    /// again with it.
    pub meant: Option<Box<Meant>>,
}

/// An argument, and what it may have stood for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    pub typed: String,
    pub meant: String,
}

/// The form of an error with `--json`.
#[derive(Serialize)]
struct Shape<'a> {
    code: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
    candidates: &'a [String],
}

impl CliError {
    pub fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self { exit, code, message: message.into(), hint: None, candidates: Vec::new(), meant: None }
    }

    /// The command cannot be meant like this.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, "not_found", message)
    }

    pub fn ambiguous(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, "ambiguous", message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Exit::Conflict, "conflict", message)
    }

    /// Something broke that is nobody's input.
    pub fn failure(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, "failure", message)
    }

    /// Nobody reads on: the end, without a word.
    pub fn closed_pipe() -> Self {
        Self::new(Exit::ClosedPipe, "closed_pipe", "")
    }

    pub fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "interrupted", "")
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn candidates(mut self, candidates: impl IntoIterator<Item = String>) -> Self {
        self.candidates = candidates.into_iter().collect();
        self
    }

    /// Whether it ends without a word.
    pub const fn is_silent(&self) -> bool {
        matches!(self.exit, Exit::Interrupted | Exit::ClosedPipe)
    }

    /// One JSON object.
    pub fn json(&self) -> String {
        let Self { code, message, hint, candidates, .. } = self;
        let shape = Shape { code, message, hint: hint.as_deref(), candidates };
        // Texts always serialise.
        serde_json::to_string(&shape).unwrap_or_default()
    }
}

/// As people read it; one line per thought.
impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if !self.candidates.is_empty() {
            write!(f, "\n  Perhaps: {}", self.candidates.join(", "))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  {hint}")?;
        }
        Ok(())
    }
}

impl From<timely_client::Error> for CliError {
    fn from(error: timely_client::Error) -> Self {
        use timely_client::Error as E;
        let message = error.to_string();
        match error {
            E::Refused(problem) => refused(&problem),
            E::Unreachable { .. } => Self::new(Exit::Unreachable, "unreachable", message)
                .hint("Nothing was changed. Is it running? `timely status` shows the servers of this user"),
            E::OutcomeUnknown { key, .. } => Self::new(Exit::OutcomeUnknown, "outcome_unknown", message).hint(format!(
                "It may have been done. The same command with --key {key} is safe: it is done at most once"
            )),
            E::Protocol { .. } => {
                Self::new(Exit::Refused, "protocol", message).hint("Is that address the one of a Timely server?")
            }
            E::Closed { code, .. } => {
                let exit = if code == timely_core::live::close::GONE { Exit::NotFound } else { Exit::NotAllowed };
                Self::new(exit, "closed", message)
            }
            E::Unusable(_) => Self::usage(message),
        }
    }
}

fn refused(problem: &Problem) -> CliError {
    use ProblemCode as C;
    let code = problem.code().unwrap_or_default();
    let exit = match code {
        C::NotFound => Exit::NotFound,
        C::Unauthenticated | C::Forbidden => Exit::NotAllowed,
        C::Version | C::VersionRequired | C::Clash | C::KeyReused => Exit::Conflict,
        C::Invalid
        | C::Internal
        | C::MethodNotAllowed
        | C::TooLarge
        | C::UnsupportedMediaType
        | C::RateLimited
        | C::Rule
        | C::Unavailable => Exit::Refused,
    };
    let mut message = problem.detail.clone();
    // One field is in the detail already.
    if problem.errors.len() > 1 {
        for field in &problem.errors {
            message = format!("{message}\n  {}: {}", field.pointer.trim_start_matches('/'), field.detail);
        }
    }
    let error = CliError::new(exit, code.as_str(), message);
    match code {
        C::Unauthenticated => {
            error.hint("Give a token: TIMELY_TOKEN_FILE=FILE, a file with one line; the owner's is DATA/owner.token")
        }
        C::Forbidden => error.hint("Ask the organiser for a token with another role: timely token create"),
        C::KeyReused => error.hint("Another request was sent under this key; take a new one"),
        C::RateLimited | C::Unavailable => error.hint("Nothing was changed; try again in a moment"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(code: &str) -> timely_client::Error {
        timely_client::Error::Refused(Box::new(Problem {
            kind: format!("/problems/{code}"),
            title: "t".into(),
            status: 400,
            detail: "d".into(),
            errors: Vec::new(),
            current: None,
            yours: None,
        }))
    }

    #[test]
    fn each_failure_has_its_exit_code() {
        let (address, cause) = ("a".to_owned(), "c".to_owned());
        for (error, exit) in [
            (problem("not_found"), 3),
            (problem("unauthenticated"), 4),
            (problem("forbidden"), 4),
            (problem("version"), 5),
            (problem("version_required"), 5),
            (problem("clash"), 5),
            (problem("key_reused"), 5),
            (problem("rule"), 1),
            (problem("invalid"), 1),
            (problem("too_large"), 1),
            (problem("rate_limited"), 1),
            (problem("unavailable"), 1),
            (problem("internal"), 1),
            (problem("of the future"), 1),
            (timely_client::Error::Unreachable { address: address.clone(), cause: cause.clone() }, 6),
            (timely_client::Error::OutcomeUnknown { address: address.clone(), cause, key: "k".into() }, 8),
            (timely_client::Error::Protocol { address, detail: "d".into() }, 1),
            (timely_client::Error::Closed { code: 4001, reason: "r" }, 4),
            (timely_client::Error::Closed { code: 4004, reason: "r" }, 3),
            (timely_client::Error::Unusable("u".into()), 2),
        ] {
            let words = format!("{error:?}");
            assert_eq!(CliError::from(error).exit as u8, exit, "{words}");
        }
    }

    #[test]
    fn an_unknown_outcome_names_the_key_that_makes_a_second_try_safe() {
        let error = timely_client::Error::OutcomeUnknown { address: "a".into(), cause: "c".into(), key: "k-7".into() };
        assert!(CliError::from(error).to_string().contains("--key k-7"));
    }

    #[test]
    fn an_error_is_one_json_object() {
        let error = CliError::not_found("no team \"EGL\"").hint("look").candidates(["EAG (Eagles)".to_owned()]);
        assert_eq!(
            error.json(),
            r#"{"code":"not_found","message":"no team \"EGL\"","hint":"look","candidates":["EAG (Eagles)"]}"#
        );
        assert_eq!(error.to_string(), "error: no team \"EGL\"\n  Perhaps: EAG (Eagles)\n  look");
    }
}
