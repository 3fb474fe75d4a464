//! The command line `timely`: parse, find the server, ask it, say what came of it.
//!
//! A command is a file in [`commands`] with its arguments and a `run`. None of them prints by itself
//! ([`output`]), reads the process's environment ([`Io`]) or knows a rule of the sport: the server
//! decides. [`run`] takes everything from outside, so that tests call it like a shell does.

mod args;
mod bench;
mod commands;
mod context;
pub mod demo;
mod discovery;
pub mod error;
mod interrupt;
mod named;
pub mod output;
mod score;
#[cfg(test)]
mod stories;
mod when;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, IsTerminal as _, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::FromArgMatches as _;
use clap::error::ErrorKind;

use crate::args::{Cli, ColorChoice, Globals};
use crate::context::Context;
use crate::error::{CliError, Exit, Meant};
use crate::output::{Format, Output};

pub use crate::args::command;

/// Looks up an environment variable.
pub type Env = Arc<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// Everything a command touches besides the network and files it is named.
pub struct Io {
    pub env: Env,
    pub stdin: Box<dyn BufRead + Send>,
    pub stdin_is_terminal: bool,
    pub stdout: Box<dyn Write + Send>,
    pub stdout_is_terminal: bool,
    pub stderr: Box<dyn Write + Send>,
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").finish_non_exhaustive()
    }
}

impl Io {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self {
            env: Arc::new(|name| std::env::var_os(name)),
            stdin: Box::new(io::BufReader::new(io::stdin())),
            stdin_is_terminal: io::stdin().is_terminal(),
            stdout: Box::new(io::stdout()),
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr: Box::new(io::stderr()),
        }
    }
}

/// The whole program.
pub fn main() -> ExitCode {
    let exit = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(run(std::env::args_os(), Io::of_process()));
            // A question that nobody answered must not hold the end back.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            let error = CliError::failure(format!("cannot start: {error}"));
            Output::new(Box::new(io::stdout()), Box::new(io::stderr())).error(&error);
            error.exit
        }
    };
    ExitCode::from(exit as u8)
}

/// Runs one command line; the first argument is the program's name.
pub async fn run(args: impl IntoIterator<Item = OsString>, io: Io) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    let Io { env, stdin, stdin_is_terminal, stdout, stdout_is_terminal, stderr } = io;
    let mut out = Output::new(stdout, stderr);
    let ended = match parse(&args) {
        Ok(Cli { globals, command }) => {
            out.configure(
                if globals.json {
                    Format::Json
                } else if stdout_is_terminal {
                    Format::Terminal
                } else {
                    Format::Tabs
                },
                globals.quiet,
                is_coloured(&globals, &env, stdout_is_terminal),
            );
            let may_ask = stdin_is_terminal && !globals.no_input;
            let ends_itself = command.ends_itself();
            let context = Context::new(globals, env, stdin, may_ask);
            let ended = Box::pin(commands::run(command, &context, &mut out));
            if ends_itself {
                ended.await
            } else {
                tokio::select! {
                    ended = ended => ended,
                    Ok(()) = tokio::signal::ctrl_c() => Err(CliError::interrupted()),
                }
            }
        }
        Err(error) => {
            // Whether it was asked for cannot be parsed any more, but it can be seen.
            if args.iter().any(|arg| arg == "--json") {
                out.configure(Format::Json, false, false);
            }
            not_parsed(&error, &mut out)
        }
    };
    match ended {
        Ok(()) => Exit::Done,
        Err(mut error) => {
            say_again(&mut error, &args);
            out.error(&error);
            error.exit
        }
    }
}

fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let mut matches = command().try_get_matches_from(args)?;
    Cli::from_arg_matches_mut(&mut matches)
}

/// Help and version are answers, everything else is wrong use.
fn not_parsed(error: &clap::Error, out: &mut Output) -> Result<(), CliError> {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            out.help(&text)
        }
        _ => Err(CliError::usage(text.trim().strip_prefix("error: ").unwrap_or(text.trim()))),
    }
}

/// Shows the command as it was probably meant, when exactly one argument was the trouble.
fn say_again(error: &mut CliError, args: &[OsString]) {
    let Some(Meant { typed, meant }) = error.meant.take().map(|meant| *meant) else { return };
    let words: Vec<_> = args.iter().skip(1).map(|arg| arg.to_string_lossy()).collect();
    if words.iter().filter(|word| **word == typed).count() != 1 {
        return;
    }
    let line: Vec<String> =
        words.iter().map(|word| if *word == typed { quoted(&meant) } else { quoted(word) }).collect();
    let line = format!("Did you mean:  timely {}", line.join(" "));
    error.hint = Some(match error.hint.take() {
        Some(hint) => format!("{hint}\n  {line}"),
        None => line,
    });
}

/// As a shell would take it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_=+:.,/@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn is_coloured(globals: &Globals, env: &Env, stdout_is_terminal: bool) -> bool {
    match globals.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let is_set = |name| env(name).is_some_and(|value| !value.is_empty());
            stdout_is_terminal && !is_set("NO_COLOR") && env("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Exit code, stdout and stderr of a command line; nobody sits at the terminal.
    async fn timely(line: &[&str], env: &[(&str, &str)]) -> (u8, String, String) {
        let env: BTreeMap<String, String> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let io = Io {
            env: Arc::new(move |name| env.get(name).map(OsString::from)),
            stdin: Box::new(io::empty()),
            stdin_is_terminal: false,
            stdout: Box::new(stdout.clone()),
            stdout_is_terminal: false,
            stderr: Box::new(stderr.clone()),
        };
        let args = std::iter::once("timely").chain(line.iter().copied()).map(OsString::from);
        let exit = run(args, io).await;
        (exit as u8, stdout.text(), stderr.text())
    }

    #[tokio::test]
    async fn help_is_an_answer_and_wrong_use_is_not() {
        for line in [&[][..], &["--help"], &["result"], &["result", "add", "--help"], &["-V"], &["help", "fixture"]] {
            let (exit, out, err) = timely(line, &[]).await;
            assert_eq!((exit, err.as_str()), (0, ""), "{line:?}");
            assert!(!out.is_empty(), "{line:?}");
        }
        for line in
            [&["nonsense"][..], &["result", "add", "--nonsense"], &["token", "create"], &["tail", "--count", "x"]]
        {
            let (exit, out, err) = timely(line, &[]).await;
            assert_eq!((exit, out.as_str()), (2, ""), "{line:?}");
            assert!(err.starts_with("error: "), "{line:?}: {err}");
            let with_json: Vec<&str> = line.iter().copied().chain(["--json"]).collect();
            let (exit, _, err) = timely(&with_json, &[]).await;
            let error: serde_json::Value = serde_json::from_str(&err).unwrap();
            assert_eq!((exit, error["code"].as_str()), (2, Some("usage")), "{line:?}");
        }
    }

    #[tokio::test]
    async fn without_a_server_nothing_is_written_and_the_next_step_is_named() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().to_str().unwrap();
        for line in [&["team", "list"][..], &["result", "add", "12", "2-1"], &["tail"], &["status"], &["standings"]] {
            let (exit, out, err) = timely(line, &[("HOME", home)]).await;
            assert_eq!((exit, out.as_str()), (6, ""), "{line:?}: {err}");
            assert!(err.contains("timely serve"), "{line:?}: {err}");
        }
    }

    #[tokio::test]
    async fn an_address_where_nobody_listens_is_exit_6_and_a_bad_one_2() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let (exit, _, err) = timely(&["event", "list", "--server", &address], &[]).await;
        assert_eq!(exit, 6, "{err}");
        let (exit, _, err) = timely(&["event", "list"], &[("TIMELY_SERVER", "ftp://x")]).await;
        assert_eq!(exit, 2, "{err}");
        let (exit, _, err) =
            timely(&["event", "list", "-s", &address], &[("TIMELY_TOKEN_FILE", "/nowhere/token")]).await;
        assert_eq!(exit, 2, "{err}");
        assert!(err.contains("/nowhere/token"), "{err}");
    }

    #[test]
    fn colour_is_a_wish_of_the_user_first() {
        for (why, args, env, terminal, coloured) in [
            ("a terminal", &["timely", "status"][..], &[][..], true, true),
            ("a pipe", &["timely", "status"], &[], false, false),
            ("NO_COLOR", &["timely", "status"], &[("NO_COLOR", "1")], true, false),
            ("empty NO_COLOR says nothing", &["timely", "status"], &[("NO_COLOR", "")], true, true),
            ("a dumb terminal", &["timely", "status"], &[("TERM", "dumb")], true, false),
            ("always wins", &["timely", "status", "--color", "always"], &[("NO_COLOR", "1")], false, true),
            ("never wins", &["timely", "status", "--color=never"], &[], true, false),
        ] {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            let env: BTreeMap<&str, &str> = env.iter().copied().collect();
            let env: Env = {
                let env: BTreeMap<String, String> = env.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
                Arc::new(move |name| env.get(name).map(OsString::from))
            };
            assert_eq!(is_coloured(&parse(&args).unwrap().globals, &env, terminal), coloured, "{why}");
        }
    }

    #[test]
    fn a_near_miss_is_said_again_as_a_command() {
        let args = ["timely", "result", "add", "EGL", "2-1", "Costa Rica"].map(OsString::from);
        let mut error = CliError::not_found("no team").hint("Nothing was sent");
        error.meant = Some(Box::new(Meant { typed: "EGL".into(), meant: "EAG".into() }));
        say_again(&mut error, &args);
        assert_eq!(error.hint.unwrap(), "Nothing was sent\n  Did you mean:  timely result add EAG 2-1 'Costa Rica'");
    }
}
