//! One file per command: its arguments and what it does.

pub(crate) mod announce;
pub(crate) mod bench;
pub(crate) mod event;
pub(crate) mod fixture;
pub(crate) mod import;
pub(crate) mod result;
pub(crate) mod serve;
pub(crate) mod standings;
pub(crate) mod status;
pub(crate) mod tail;
pub(crate) mod team;
pub(crate) mod token;
pub(crate) mod venue;
pub(crate) mod watch;

use serde::Serialize;
use timely_client::Answer;

use crate::args::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;

/// Runs a command to its end.
pub(crate) async fn run(command: Command, context: &Context, out: &mut Output) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => serve::run(args, out).await,
        Command::Demo(args) => crate::demo::run(args, out).await,
        Command::Watch(args) => watch::run(args, context, out).await,
        Command::Tail(args) => tail::run(args, context, out).await,
        Command::Status(args) => status::run(args, context, out).await,
        Command::Event(args) => event::run(args, context, out).await,
        Command::Team(args) => team::run(args, context, out).await,
        Command::Venue(args) => venue::run(args, context, out).await,
        Command::Fixture(args) => fixture::run(args, context, out).await,
        Command::Result(args) => result::run(args, context, out).await,
        Command::Standings(args) => standings::run(args, context, out).await,
        Command::Announce(args) => announce::run(args, context, out).await,
        Command::Import(args) => import::run(args, context, out).await,
        Command::Token(args) => token::run(args, context, out).await,
        Command::Bench(args) => bench::run(args, context, out).await,
    }
}

/// Says what a write led to; one that changed nothing says so first.
fn reply<T: Serialize>(answer: &Answer<T>, mut lines: Vec<String>, out: &mut Output) -> Result<(), CliError> {
    if let Some(first) = lines.first_mut() {
        if answer.replayed {
            *first = format!("unchanged, this key was used for it before: {first}");
        } else if answer.unchanged {
            *first = format!("unchanged: {first}");
        }
    }
    out.reply(&answer.value, &lines)
}

/// The text of something that may be missing: `-`.
fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}
