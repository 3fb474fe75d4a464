//! Whether Ctrl-C ended a command that runs until it is told to stop. Ending well is up to the
//! command; here only how it was told matters, for its exit code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;

use crate::error::CliError;

/// Listens for Ctrl-C beside whoever else does.
pub(crate) struct Interrupt {
    seen: Arc<AtomicBool>,
    listening: JoinHandle<()>,
}

impl Interrupt {
    pub(crate) fn listen() -> Self {
        let seen = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&seen);
        let listening = tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                flag.store(true, Ordering::Relaxed);
            }
        });
        Self { seen, listening }
    }

    /// How the command ends.
    ///
    /// # Errors
    /// [`CliError::interrupted`] after Ctrl-C.
    pub(crate) fn ended(self) -> Result<(), CliError> {
        self.listening.abort();
        if self.seen.load(Ordering::Relaxed) { Err(CliError::interrupted()) } else { Ok(()) }
    }
}
