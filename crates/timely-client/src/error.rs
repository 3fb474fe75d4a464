//! What can become of a request besides its answer.

use timely_core::problem::{Problem, ProblemCode};

/// Why there is no answer, and what that says about the server's state.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The server answered with a problem: nothing was changed.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),

    /// The server was not reached, or a read got no answer: nothing was changed.
    #[error("no answer from {address}: {cause}")]
    Unreachable { address: String, cause: String },

    /// The connection was lost after a write was sent: it may have happened. The same write with the
    /// same key is safe to repeat.
    #[error("the connection to {address} was lost after sending: {cause}")]
    OutcomeUnknown { address: String, cause: String, key: String },

    /// The other side does not speak this protocol.
    #[error("{address} does not answer like a Timely server: {detail}")]
    Protocol { address: String, detail: String },

    /// The stream was ended for good by the server: 4000 to 4099, see `timely_core::live::close`.
    #[error("the server ended the stream: {reason}")]
    Closed { code: u16, reason: &'static str },

    /// What was given as address, token or key cannot be one.
    #[error("{0}")]
    Unusable(String),
}

impl Error {
    /// The code of the problem, if the server refused.
    pub fn code(&self) -> Option<ProblemCode> {
        match self {
            Self::Refused(problem) => problem.code(),
            _ => None,
        }
    }

    /// Whether the server says that the thing does not exist, or not for this caller.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(ProblemCode::NotFound)
    }
}
