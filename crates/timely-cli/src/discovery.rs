//! Which server is meant, and who we are to it.
//!
//! An address that was given wins; else the servers of this user that run on this computer. A write
//! never goes to one of several by chance: with a demo beside a real server it must be named.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use timely_core::running::{RunningServer, ServerKind};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Env;
use crate::error::{CliError, Exit};

/// Longest time in which a server of this computer takes a connection.
const KNOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// What a command wants of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Read,
    Write,
}

/// A server that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub address: String,
    pub token: Option<String>,
    /// Set when the choice was not the only possible one.
    pub remark: Option<String>,
}

/// Chooses the server.
///
/// # Errors
/// None runs, or the need does not allow to choose among several.
pub(crate) async fn choose(given: Option<&str>, env: &Env, need: Need) -> Result<Chosen, CliError> {
    let token = token_of_file(env)?;
    let running = running(env);
    let named = given.map(str::to_owned).or_else(|| text(env, "TIMELY_SERVER"));
    if let Some(address) = named {
        let of_running = || running.iter().find(|server| same_address(&server.address, &address));
        let token = token.or_else(|| of_running().map(|server| server.token.clone()));
        return Ok(Chosen { address, token, remark: None });
    }
    let alive = if running.len() > 1 { answering(running).await } else { running };
    let (server, remark) = pick(alive, need)?;
    Ok(Chosen { address: server.address, token: token.or(Some(server.token)), remark })
}

/// Every server of this user that runs here, by address.
pub(crate) fn running(env: &Env) -> Vec<RunningServer> {
    let Some(directory) = timely_core::running::directory(|name| env(name)) else { return Vec::new() };
    // No directory: nothing ever ran.
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut servers: Vec<RunningServer> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        // A file that is taken away meanwhile, or is none of ours, is no server.
        .filter_map(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok())
        .filter(|server: &RunningServer| is_alive(server.pid))
        .collect();
    servers.sort_by(|one, other| one.address.cmp(&other.address));
    servers
}

/// A process that was killed leaves its file behind.
fn is_alive(pid: u32) -> bool {
    let processes = Path::new("/proc");
    !processes.join("self").exists() || processes.join(pid.to_string()).exists()
}

/// Those that take a connection: another process may have got the number of a dead one.
async fn answering(servers: Vec<RunningServer>) -> Vec<RunningServer> {
    let mut alive = Vec::new();
    for server in servers {
        let host = server.address.trim_start_matches("http://").to_owned();
        if matches!(timeout(KNOCK_TIMEOUT, TcpStream::connect(host)).await, Ok(Ok(_))) {
            alive.push(server);
        }
    }
    alive
}

fn pick(mut servers: Vec<RunningServer>, need: Need) -> Result<(RunningServer, Option<String>), CliError> {
    let named = |servers: &[RunningServer]| -> Vec<String> {
        servers.iter().map(|server| format!("{} ({})", server.address, server.kind)).collect()
    };
    match servers.len() {
        0 => Err(CliError::new(Exit::Unreachable, "unreachable", "no Timely server of this user is running here")
            .hint("Start one: timely serve, or timely demo. One elsewhere: --server http://HOST:PORT")),
        1 => Ok((servers.remove(0), None)),
        _ => {
            let real: Vec<usize> =
                (0..servers.len()).filter(|index| servers[*index].kind == ServerKind::Serve).collect();
            match (need, &real[..]) {
                // A read of the wrong one does no harm, and says which it was.
                (Need::Read, [only]) => {
                    let server = servers.remove(*only);
                    let remark = format!("Server: {} (a demo is running too)", server.address);
                    Ok((server, Some(remark)))
                }
                _ => Err(CliError::usage("several servers are running here; say which with --server")
                    .candidates(named(&servers))
                    .hint("Nothing was sent")),
            }
        }
    }
}

fn token_of_file(env: &Env) -> Result<Option<String>, CliError> {
    let Some(path) = env("TIMELY_TOKEN_FILE").filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        CliError::usage(format!("cannot read the token in {}: {error}", path.display()))
            .hint("TIMELY_TOKEN_FILE names a file with one line: the token")
    })?;
    let token = text.trim();
    if token.is_empty() {
        return Err(CliError::usage(format!("{} is empty; it should hold a token", path.display())));
    }
    Ok(Some(token.to_owned()))
}

/// The text of a variable that is set to something.
pub(crate) fn text(env: &Env, name: &str) -> Option<String> {
    env(name).and_then(|value: OsString| value.into_string().ok()).filter(|value| !value.is_empty())
}

/// Whether two addresses are one: a token goes only where its server is.
fn same_address(one: &str, other: &str) -> bool {
    let plain = |address: &str| {
        let address = address.trim_end_matches('/').to_ascii_lowercase();
        let address = address.strip_prefix("http://").unwrap_or(&address).to_owned();
        address.strip_prefix("localhost:").map_or(address.clone(), |port| format!("127.0.0.1:{port}"))
    };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn server(address: &str, kind: ServerKind) -> RunningServer {
        RunningServer { address: address.into(), token: format!("token of {address}"), pid: std::process::id(), kind }
    }

    fn env(directory: &Path, server: Option<&str>) -> Env {
        let (directory, server) = (directory.as_os_str().to_owned(), server.map(OsString::from));
        Arc::new(move |name| match name {
            "XDG_RUNTIME_DIR" => Some(directory.clone()),
            "TIMELY_SERVER" => server.clone(),
            _ => None,
        })
    }

    #[test]
    fn a_write_is_never_sent_to_one_of_several_by_chance() {
        use ServerKind::{Demo, Serve};
        for (why, kinds, need, chosen) in [
            ("one", &[Demo][..], Need::Write, Ok("http://127.0.0.1:8000")),
            ("read beside a demo", &[Demo, Serve], Need::Read, Ok("http://127.0.0.1:8001")),
            ("write beside a demo", &[Demo, Serve], Need::Write, Err(2)),
            ("two real ones", &[Serve, Serve], Need::Read, Err(2)),
            ("two demos", &[Demo, Demo], Need::Write, Err(2)),
            ("none", &[], Need::Read, Err(6)),
        ] {
            let servers: Vec<_> =
                (8000..).zip(kinds).map(|(port, kind)| server(&format!("http://127.0.0.1:{port}"), *kind)).collect();
            let picked = pick(servers.clone(), need);
            match chosen {
                Ok(address) => assert_eq!(picked.unwrap().0.address, address, "{why}"),
                Err(exit) => {
                    let error = picked.unwrap_err();
                    assert_eq!(error.exit as u8, exit, "{why}");
                    for server in servers {
                        assert!(error.to_string().contains(&server.address), "{why}: names them all: {error}");
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn files_of_dead_servers_are_ignored_and_a_token_stays_with_its_server() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("timely");
        std::fs::create_dir(&directory).unwrap();
        let write = |name: &str, text: String| std::fs::write(directory.join(name), text).unwrap();
        let alive = server("http://127.0.0.1:8000", ServerKind::Serve);
        // No process has the highest number.
        let dead = RunningServer { pid: u32::MAX, ..server("http://127.0.0.1:8001", ServerKind::Serve) };
        write("1.json", serde_json::to_string(&alive).unwrap());
        write("2.json", serde_json::to_string(&dead).unwrap());
        write("3.json", "{".into());
        write("4.txt", "notes".into());

        let chosen = choose(None, &env(home.path(), None), Need::Write).await.unwrap();
        assert_eq!(
            (chosen.address.as_str(), chosen.token.as_deref()),
            ("http://127.0.0.1:8000", Some("token of http://127.0.0.1:8000"))
        );
        for (address, has_token) in [
            ("http://127.0.0.1:8000", true),
            ("localhost:8000/", true),
            ("http://127.0.0.1:8001", false),
            ("http://cup.example:8000", false),
            ("https://127.0.0.1:8000", false),
        ] {
            let chosen = choose(None, &env(home.path(), Some(address)), Need::Write).await.unwrap();
            assert_eq!((chosen.address.as_str(), chosen.token.is_some()), (address, has_token));
        }
        let chosen =
            choose(Some("http://other:1"), &env(home.path(), Some("http://127.0.0.1:8000")), Need::Read).await.unwrap();
        assert_eq!(chosen.address, "http://other:1", "the flag wins");
    }

    #[tokio::test]
    async fn a_token_file_is_one_line() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        let env: Env = {
            let path = path.clone();
            Arc::new(move |name| (name == "TIMELY_TOKEN_FILE").then(|| path.clone().into_os_string()))
        };
        assert_eq!(choose(Some("a:1"), &env, Need::Read).await.unwrap_err().exit, Exit::Usage, "missing");
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(choose(Some("a:1"), &env, Need::Read).await.unwrap_err().exit, Exit::Usage, "empty");
        std::fs::write(&path, "tml_1\n").unwrap();
        assert_eq!(choose(Some("a:1"), &env, Need::Read).await.unwrap().token.as_deref(), Some("tml_1"));
    }
}
