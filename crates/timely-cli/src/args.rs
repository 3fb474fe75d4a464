//! The grammar: what can be typed, and the help that explains it.
//!
//! Doc comments are the help. Every command has an example, and examples come first.

use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

use crate::commands::{
    announce, bench, event, fixture, import, result, serve, standings, status, tail, team, token, venue, watch,
};
use crate::demo;

/// What stands where in a help text.
const TEMPLATE: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// Run a sports event from a terminal and keep every screen live
#[derive(Debug, Parser)]
#[command(
    name = "timely",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = false,
    before_help = "Examples:
  timely demo                              a real tournament, live, at once
  timely serve                             your own server; the data stays in ./timely-data
  timely result add EAG 2-1 HAW            in a second terminal
  timely announce \"Gate 4 is closed\" --priority high"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub globals: Globals,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Watch(watch::WatchArgs),
    Tail(tail::TailArgs),
    Status(status::StatusArgs),
    Event(event::EventArgs),
    Team(team::TeamArgs),
    Venue(venue::VenueArgs),
    Fixture(fixture::FixtureArgs),
    Result(result::ResultArgs),
    Standings(standings::StandingsArgs),
    Announce(announce::AnnounceArgs),
    Import(import::ImportArgs),
    Token(token::TokenArgs),
    Bench(bench::BenchArgs),
}

impl Command {
    /// Whether the command takes Ctrl-C as a wish of its own: it has something to close.
    pub(crate) const fn ends_itself(&self) -> bool {
        matches!(self, Self::Serve(_) | Self::Demo(_) | Self::Watch(_) | Self::Bench(_))
    }
}

/// Options of every command.
#[derive(Clone, Debug, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    #[arg(
        short,
        long,
        global = true,
        value_name = "EVENT",
        help = "Id or name [env: TIMELY_EVENT; default: the only one]"
    )]
    pub event: Option<String>,

    #[arg(
        short,
        long,
        global = true,
        value_name = "URL",
        help = "Server [env: TIMELY_SERVER; default: the one running here]"
    )]
    pub server: Option<String>,

    /// Print the API's JSON; errors are one JSON object on stderr
    #[arg(long, global = true)]
    pub json: bool,

    /// Print data and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Time limit of a request [default: 10s]; of all of `tail`
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,

    /// Colour the output
    #[arg(
        long,
        global = true,
        value_name = "auto|always|never",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub color: ColorChoice,

    /// Never ask; what would need an answer fails and names its flag
    #[arg(long, global = true)]
    pub no_input: bool,

    /// Answer yes to every question of the kind "really?"
    #[arg(short, long, global = true)]
    pub yes: bool,

    /// Idempotency key: a write under it is done at most once
    #[arg(long, global = true, value_name = "KEY")]
    pub key: Option<String>,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    Always,
    Never,
}

/// The whole grammar.
pub fn command() -> clap::Command {
    templated(Cli::command())
}

fn templated(command: clap::Command) -> clap::Command {
    command.help_template(TEMPLATE).mut_subcommands(templated)
}

/// `10s`, `500ms`, `1m30s`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let is_bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let span: Result<SignedDuration, _> = if is_bare { format!("{text}s").parse() } else { text.parse() };
    span.ok()
        .and_then(|span| Duration::try_from(span).ok())
        .filter(|span| !span.is_zero())
        .ok_or_else(|| format!("`{text}` is not a duration; write it like 10s, 500ms or 1m30s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_holds_together() {
        command().debug_assert();
    }

    /// Every command with its path.
    fn all(command: &clap::Command, path: &str, into: &mut Vec<(String, clap::Command)>) {
        into.push((path.to_owned(), command.clone()));
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            all(sub, &format!("{path} {}", sub.get_name()), into);
        }
    }

    fn tree() -> Vec<(String, clap::Command)> {
        let mut built = command().term_width(100);
        built.build();
        let mut commands = Vec::new();
        all(&built, "timely", &mut commands);
        commands
    }

    #[test]
    fn every_command_has_an_example_and_every_short_flag_a_long_form() {
        for (path, command) in tree() {
            let examples = command.get_before_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.starts_with("Examples:\n  timely "), "{path} has no example");
            for arg in command.get_arguments() {
                assert!(arg.get_short().is_none() || arg.get_long().is_some(), "{path} {}", arg.get_id());
            }
        }
    }

    #[test]
    fn every_example_parses() {
        for (path, command) in tree() {
            let examples = command.get_before_help().map(ToString::to_string).unwrap_or_default();
            for line in examples.lines().skip(1) {
                // What stands behind two spaces explains the line.
                let typed = line.trim().split("  ").next().unwrap_or_default();
                let words = words(typed);
                if let Err(error) = super::command().try_get_matches_from(&words) {
                    panic!("{path}: `{typed}`: {error}");
                }
            }
        }
    }

    /// As a shell divides a line with double quotes.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ' ' if !quoted => words.push(std::mem::take(&mut word)),
                c => word.push(c),
            }
        }
        words.push(word);
        words.retain(|word| !word.is_empty());
        words
    }

    /// One screen.
    const HELP_LINES_MAX: usize = 42;

    #[test]
    fn help_of_every_command() {
        let helps = tree().into_iter().map(|(path, mut command)| {
            let help = command.render_help().to_string();
            let lines = help.lines().count();
            assert!(lines <= HELP_LINES_MAX, "{path} has {lines} lines of help");
            // They are the same everywhere: once is enough.
            let own = if path == "timely" { &help } else { help.split("\nGlobal options:").next().unwrap_or(&help) };
            format!("=== {path}\n{}\n", own.trim_end())
        });
        let text = helps.collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn durations_are_positive_spans() {
        for (text, millis) in [("10s", 10_000), ("500ms", 500), ("1m30s", 90_000), ("5", 5_000), (" 2s ", 2_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "0", "0s", "-5s", "x", "5 apples"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
