//! The computer: a server of one's own, room for open files, and what processes have used.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use serde::Deserialize;
use tempfile::TempDir;

/// Open files besides the subscribers' sockets.
const OTHER_FILES: u64 = 256;

/// A server that only this measurement uses. Dropped, it ends, and its files go.
pub(crate) struct OwnServer {
    child: Child,
    pub address: String,
    pub token: String,
    // Last, so that the files are deleted after the server let go of them.
    _directory: TempDir,
}

impl std::fmt::Debug for OwnServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the credential.
        f.debug_struct("OwnServer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The first line of a server with `--json`.
#[derive(Deserialize)]
struct Started {
    listening: String,
}

impl OwnServer {
    /// Starts this program as a server and waits until it answers.
    ///
    /// # Errors
    /// When there is no room for its files, or it does not start; its own words are in the error.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let directory =
            tempfile::Builder::new().prefix("timely-bench-").tempdir().context("cannot make a temporary directory")?;
        let data = directory.path().join("data");
        let log = directory.path().join("log");
        let mut child = Command::new(std::env::current_exe().context("cannot find this program")?)
            .args(["serve", "--load-test", "--json", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .env_remove("TIMELY_BASE_URL")
            .env_remove("TIMELY_ALLOW_ORIGIN")
            // Other commands of this user must not take it for the server of an event.
            .env("XDG_RUNTIME_DIR", directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).context("cannot write to the temporary directory")?)
            .spawn()
            .context("cannot start a server")?;
        let mut line = String::new();
        if let Some(stdout) = &mut child.stdout {
            BufReader::new(stdout).read_line(&mut line).context("cannot read what the server says")?;
        }
        // From here on, dropping it ends it.
        let mut server = Self { child, address: String::new(), token: String::new(), _directory: directory };
        let Ok(Started { listening }) = serde_json::from_str(&line) else {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("the server did not start: {}{}", line.trim(), said.trim());
        };
        server.address = listening;
        let token = std::fs::read_to_string(data.join("owner.token")).context("the server wrote no owner token")?;
        token.trim().clone_into(&mut server.token);
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // It ends by itself when Ctrl-C reached it too. Nothing it holds is to be kept: it is not
        // waited for longer than a kill takes.
        if let Ok(None) = self.child.try_wait()
            && let Some(pid) = Pid::from_raw(self.child.id().cast_signed())
        {
            // Gone meanwhile: what was wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Raises the limit of open files so far that `subscribers` fit; a server started later inherits it.
///
/// # Errors
/// How many this computer allows, when they do not fit.
pub(crate) fn make_room(subscribers: u64) -> Result<(), String> {
    let needed = subscribers + OTHER_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(maximum) = maximum.filter(|maximum| *maximum < needed) {
        return Err(format!(
            "{subscribers} subscribers do not fit: a process may have {maximum} files open here, \
             which is room for {}",
            maximum.saturating_sub(OTHER_FILES)
        ));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum })
        .map_err(|error| format!("cannot raise the limit of open files to {needed}: {error}"))
}

/// Which process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    This,
    Of(u32),
}

impl Process {
    fn read(self, file: &str) -> Option<String> {
        let path = match self {
            Self::This => format!("/proc/self/{file}"),
            Self::Of(pid) => format!("/proc/{pid}/{file}"),
        };
        std::fs::read_to_string(path).ok()
    }

    /// Processor time of all its threads until now, in seconds; `None` where that cannot be read.
    pub(crate) fn cpu_s(self) -> Option<f64> {
        let ticks = cpu_ticks(&self.read("stat")?)?;
        #[expect(clippy::cast_precision_loss, reason = "a measure, not a count")]
        Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn resident_bytes(self) -> Option<u64> {
        resident(&self.read("status")?)
    }
}

/// User and system time in `/proc/PID/stat`.
fn cpu_ticks(stat: &str) -> Option<u64> {
    // The name in brackets may contain anything, brackets and spaces too.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let mut time = || times.next()?.parse::<u64>().ok();
    Some(time()? + time()?)
}

/// `VmRSS` in `/proc/PID/status`, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_past_a_name_with_brackets() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 900 0 0 0 150 25 0 0 20 0 6 0 100";
        assert_eq!(cpu_ticks(stat), Some(175));
        assert_eq!(cpu_ticks("42 (x) S 1"), None);
        assert_eq!(cpu_ticks(""), None);
        assert_eq!(resident("Name:\tx\nVmRSS:\t    1024 kB\n"), Some(1024 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
    }

    #[test]
    fn more_than_a_process_may_open_is_refused_with_what_fits() {
        assert_eq!(make_room(1), Ok(()));
        if getrlimit(Resource::Nofile).maximum.is_some() {
            let refused = make_room(u64::MAX / 2).unwrap_err();
            assert!(refused.contains("do not fit") && refused.contains("room for"), "{refused}");
        }
    }
}
