//! `timely import`: a whole tournament from a file that people write by hand.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use timely_core::tournament::{Tournament, TournamentError};

use crate::commands::reply;
use crate::context::Context;
use crate::discovery::Need;
use crate::error::CliError;
use crate::output::Output;

/// Largest file that is read, in bytes: what the server takes at most.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Create an event from a file: teams, venues, fixtures, results
///
/// All or nothing. The event is named as in the file unless --event says otherwise.
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  timely import data/harbour-cup.toml --dry-run
  timely import data/harbour-cup.toml
  timely import cup.toml --event \"Harbour Cup 2027\" --tz Europe/London")]
pub(crate) struct ImportArgs {
    /// The file; `-` reads stdin
    file: PathBuf,

    /// How it is written
    #[arg(long = "as", value_name = "FORMAT", value_enum, default_value_t)]
    format: FileFormat,

    /// Rules of the tables instead of the file's, for example 3-1-0
    #[arg(long, value_name = "ID")]
    rules: Option<String>,

    /// Time zone of the event instead of the file's
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,

    /// Check the file and say what would be created
    #[arg(short = 'n', long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum FileFormat {
    /// Timely's own, described in data/README.md
    #[default]
    Timely,
}

pub(crate) async fn run(args: ImportArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let name = args.file.display().to_string();
    let text =
        read(&args.file, context).await.map_err(|error| CliError::usage(format!("cannot read {name}: {error}")))?;
    let FileFormat::Timely = args.format;
    let mut tournament = parse(&name, &text)?;
    if let Some(event) = &context.globals.event {
        tournament.event.name.clone_from(event);
    }
    if let Some(rules) = args.rules {
        tournament.event.rules = Some(rules);
    }
    if let Some(zone) = args.tz {
        tournament.event.timezone = Some(zone);
    }
    tournament.check().map_err(|findings| wrong(&name, &findings))?;
    if args.dry_run {
        let results = tournament.fixtures.iter().filter(|fixture| fixture.score.is_some()).count();
        let (teams, venues, fixtures) = (tournament.teams.len(), tournament.venues.len(), tournament.fixtures.len());
        let would = serde_json::json!({
            "event_id": null, "name": tournament.event.name, "teams": teams, "venues": venues, "fixtures": fixtures,
            "results": results,
        });
        return out.reply(
            &would,
            &[format!(
                "Would create {} with {teams} teams, {venues} venues, {fixtures} fixtures, {results} results. Dry run, nothing written.",
                tournament.event.name
            )],
        );
    }
    let client = context.client(Need::Write, out).await?;
    let answer = client.import(&tournament).await?;
    let done = &answer.value;
    let line = format!(
        "{} ({}): {} teams, {} venues, {} fixtures, {} results",
        done.name, done.event_id, done.teams, done.venues, done.fixtures, done.results
    );
    reply(&answer, vec![line], out)
}

async fn read(path: &Path, context: &Context) -> io::Result<String> {
    // One byte more than is allowed tells a file that is too large.
    let limit = FILE_BYTES_MAX + 1;
    let text = if path.as_os_str() == "-" {
        context.stdin_text(limit).await?
    } else {
        let mut text = String::new();
        File::open(path)?.take(limit).read_to_string(&mut text)?;
        text
    };
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {} MiB", FILE_BYTES_MAX / 1024 / 1024)));
    }
    Ok(text)
}

fn parse(name: &str, text: &str) -> Result<Tournament, CliError> {
    toml::from_str(text).map_err(|error| {
        let (line, column) = error.span().map_or((1, 1), |span| place(text, &span));
        CliError::failure(format!("{name}:{line}:{column}: {}", error.message()))
            .hint("Nothing was sent. The format is described in data/README.md")
    })
}

/// Everything that is wrong with the meaning of the file, at once.
fn wrong(name: &str, findings: &[TournamentError]) -> CliError {
    let things = if findings.len() == 1 { "thing is" } else { "things are" };
    let list: Vec<String> = findings.iter().map(|finding| format!("\n  {finding}")).collect();
    CliError::failure(format!("{name}: {} {things} wrong{}", findings.len(), list.concat()))
        .hint("Nothing was sent. The format is described in data/README.md")
}

/// Line and column from 1, in characters.
fn place(text: &str, span: &Range<usize>) -> (usize, usize) {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "[event]\nname = \"Cup\"\nstarts_on = \"2026-07-18\"\n\n[[team]]\ncode = \"EAG\"\nname = \"Eagles\"\n";

    #[test]
    fn a_mistake_is_shown_where_it_stands() {
        assert_eq!(parse("cup.toml", GOOD).unwrap().teams.len(), 1);
        for (why, from, to, says) in [
            ("no such field", "code =", "kode =", "cup.toml:6:1"),
            ("not TOML", "[[team]]", "[[team", "cup.toml:5:"),
            ("wrong type", "\"Cup\"", "7", "cup.toml:2:8"),
            ("no such day", "2026-07-18", "2026-02-30", "cup.toml:3:13"),
        ] {
            let error = parse("cup.toml", &GOOD.replace(from, to)).unwrap_err();
            assert!(error.message.starts_with(says), "{why}: {}", error.message);
            assert_eq!(error.exit as u8, 1, "{why}");
        }
    }

    #[test]
    fn everything_that_is_meant_wrongly_is_said_at_once() {
        let text = GOOD.replace("2026-07-18\"", "2026-07-18\"\ntimezone = \"Berlin\"\nrules = \"none\"");
        let findings = parse("cup.toml", &text).unwrap().check().unwrap_err();
        let error = wrong("cup.toml", &findings).to_string();
        assert!(error.starts_with("error: cup.toml: 2 things are wrong\n"), "{error}");
        assert!(error.contains("`Berlin` is not a time zone") && error.contains("`none` is not known"), "{error}");
    }
}
