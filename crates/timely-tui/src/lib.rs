//! The dashboard: an event live in a terminal, as `timely watch` and as `timely-tui`.
//!
//! A screen is a function of the state: [`run()`] feeds messages to `App::update`, which alone
//! changes anything and touches nothing outside, and `view::draw`, which only reads, paints what it
//! finds. What a team, a result or a frame is comes from timely-core, how to reach a server from
//! timely-client; no rule of the sport is known here.

mod app;
mod keys;
mod link;
mod news;
mod requests;
mod run;
mod terminal;
#[cfg(test)]
mod testing;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Parser;
use timely_client::Client;
use timely_core::event::Event;
use timely_core::text::{display_safe, folded};

/// What to show, and with what.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// A client of the server, with the credential of the viewer.
    pub client: Client,
    /// The event to watch.
    pub event: Event,
    /// Whether colours may be used; words carry every meaning without them.
    pub colour: bool,
    /// What the terminal can draw beside letters.
    pub signs: Signs,
}

/// Signs and frames, by what the terminal can draw. They are ornaments: words say the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signs {
    #[default]
    Unicode,
    Ascii,
}

impl Signs {
    /// What the terminal of this process can draw, by its locale and `TERM`.
    pub fn of_environment() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        // POSIX: the first of these that is set and not empty decides.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .filter_map(&variable)
            .find(|value| !value.is_empty())
            .unwrap_or_default()
            .to_ascii_uppercase();
        let is_utf8 = cfg!(windows) || locale.contains("UTF-8") || locale.contains("UTF8");
        // The fonts of the Linux console lack most signs.
        let is_console = variable("TERM").is_some_and(|term| term == "linux");
        if is_utf8 && !is_console { Self::Unicode } else { Self::Ascii }
    }
}

/// Shows the dashboard until the viewer leaves it, or a signal ends the program. The terminal is
/// given back in every case.
///
/// # Errors
/// When there is no terminal, or it fails. A server that cannot be reached is no error: the screen
/// says so and tries again.
pub async fn run(options: WatchOptions) -> anyhow::Result<()> {
    run::run(options).await
}

/// Watch an event live
#[derive(Clone, Debug, Parser)]
#[command(name = "timely-tui", version)]
pub struct WatchArgs {
    /// Event to watch, by id or name; needed where the server has several
    #[arg(env = "TIMELY_EVENT")]
    event: Option<String>,
    /// Address of the server
    #[arg(long, env = "TIMELY_SERVER", default_value = "http://127.0.0.1:8000")]
    server: String,
    /// File with the token to use, one line
    #[arg(long, env = "TIMELY_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl WatchArgs {
    async fn options(self, colour: bool) -> anyhow::Result<WatchOptions> {
        let token = match &self.token_file {
            Some(path) => {
                Some(std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?)
            }
            None => None,
        };
        let client = Client::new(&self.server, token.as_deref().map(str::trim))?;
        let events = client.events().await.context("cannot read the events")?;
        let event = choose(events, self.event.as_deref())?;
        Ok(WatchOptions { client, event, colour, signs: Signs::of_environment() })
    }
}

/// The event that is meant: by id, by name, or the only one.
fn choose(events: Vec<Event>, wanted: Option<&str>) -> anyhow::Result<Event> {
    let listed: Vec<String> =
        events.iter().map(|event| format!("  {}  {}", event.id, display_safe(&event.name))).collect();
    let fits = |event: &Event| match wanted {
        None => true,
        Some(wanted) => event.id.to_string() == wanted || folded(&event.name) == folded(wanted),
    };
    let mut fitting = events.into_iter().filter(fits);
    let next_step = format!("name one of these by id or name:\n{}", listed.join("\n"));
    match (fitting.next(), fitting.next(), wanted) {
        (Some(event), None, _) => Ok(event),
        (Some(_), Some(_), _) => bail!("several events fit; {next_step}"),
        (None, ..) if listed.is_empty() => bail!("the server has no event that you may see"),
        (None, _, wanted) => {
            bail!("there is no event `{}`; {next_step}", display_safe(wanted.unwrap_or_default()))
        }
    }
}

/// What the binary `timely-tui` does.
pub fn main() -> ExitCode {
    let args = WatchArgs::parse();
    // As https://no-color.org has it: set and not empty.
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let done =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(anyhow::Error::from).and_then(
            |runtime| {
                runtime.block_on(async {
                    let options = args.options(colour).await?;
                    run(options).await
                })
            },
        );
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_follow_the_locale_and_the_kind_of_terminal() {
        for (why, environment, signs) in [
            ("a common desktop", &[("LANG", "de_DE.UTF-8"), ("TERM", "xterm-256color")][..], Signs::Unicode),
            ("as some systems write it", &[("LC_CTYPE", "C.utf8")], Signs::Unicode),
            ("the first that is set decides", &[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")], Signs::Ascii),
            ("empty is not set", &[("LC_ALL", ""), ("LANG", "en_GB.UTF-8")], Signs::Unicode),
            ("the console of Linux", &[("LANG", "en_GB.UTF-8"), ("TERM", "linux")], Signs::Ascii),
            ("nothing is known", &[], Signs::Ascii),
        ] {
            let variable =
                |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            let signs = if cfg!(windows) { Signs::Unicode } else { signs };
            assert_eq!(Signs::of(variable), signs, "{why}");
        }
    }
}
