//! How programs of one person find each other's servers: one file per running server.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

crate::word::words! {
    /// What kind of server is running.
    ServerKind, "kind of server":
    Serve = "serve",
    Demo = "demo",
}

/// Contents of `<pid>.json` in [`directory`], written with mode 0600.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningServer {
    /// `http://127.0.0.1:8000`
    pub address: String,
    /// Owner token; the reason why only this user may read the file.
    pub token: String,
    pub pid: u32,
    pub kind: ServerKind,
}

/// Where the files are: `$XDG_RUNTIME_DIR/timely`, else `$XDG_STATE_HOME/timely/run`, else
/// `~/.local/state/timely/run`. `None` when none of the variables is set.
pub fn directory(env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let var = |name| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(runtime) = var("XDG_RUNTIME_DIR") {
        Some(runtime.join("timely"))
    } else if let Some(state) = var("XDG_STATE_HOME") {
        Some(state.join("timely").join("run"))
    } else {
        var("HOME").map(|home| home.join(".local/state/timely/run"))
    }
}
