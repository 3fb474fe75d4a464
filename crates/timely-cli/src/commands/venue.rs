//! `timely venue`: the places of an event.

use timely_core::body::NewVenue;
use timely_core::venue::Venue;

use crate::commands::reply;
use crate::context::Context;
use crate::discovery::Need;
use crate::error::CliError;
use crate::named;
use crate::output::{Output, Table};

/// Add and show venues and their areas
#[derive(clap::Args, Debug)]
#[command(
    arg_required_else_help = true,
    before_help = "Examples:
  timely venue add \"Harbour School\" --area \"Pitch 1\" --area \"Pitch 2\"
  timely venue list"
)]
pub(crate) struct VenueArgs {
    #[command(subcommand)]
    command: VenueCommand,
}

#[derive(Debug, clap::Subcommand)]
enum VenueCommand {
    /// List the venues
    #[command(before_help = "Examples:\n  timely venue list\n  timely venue list --json")]
    List,
    /// Add a venue
    #[command(before_help = "Examples:
  timely venue add \"Harbour School\" --area \"Pitch 1\" --area \"Pitch 2\"
  timely venue add Arena")]
    Add {
        /// Name, as every screen shows it
        name: String,

        /// A pitch, court or table in it; repeatable
        #[arg(long = "area", value_name = "AREA")]
        areas: Vec<String>,
    },
    /// Remove a venue that no fixture names
    #[command(before_help = "Examples:\n  timely venue remove \"Harbour School\"\n  timely venue remove Arena --yes")]
    Remove {
        /// Name, or its beginning
        venue: String,
    },
}

pub(crate) async fn run(args: VenueArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let need = match args.command {
        VenueCommand::List => Need::Read,
        VenueCommand::Add { .. } | VenueCommand::Remove { .. } => Need::Write,
    };
    let client = context.client(need, out).await?;
    let event = context.event(&client, out).await?;
    let venues = client.venues(event.id).await?;
    match args.command {
        VenueCommand::List => out.list(venues, table),
        VenueCommand::Add { name, areas } => {
            let new = NewVenue { name, areas };
            let is_like = |venue: &&Venue| venue.name == new.name && venue.areas == new.areas;
            // A script that runs twice adds one venue. With a key the server sees to that.
            if context.globals.key.is_none()
                && let Some(venue) = venues.iter().find(is_like)
            {
                return out.reply(venue, &[format!("unchanged: {}", line(venue))]);
            }
            let answer = client.create_venue(event.id, &new).await?;
            reply(&answer, vec![line(&answer.value)], out)
        }
        VenueCommand::Remove { venue } => {
            let venue = named::venue(&venues, &venue, &event)?;
            context.confirm(&format!("Remove {} from {}?", venue.name, event.name), out).await?;
            client.delete_venue(event.id, venue.id).await?;
            out.done(&[format!("removed: {}", line(venue))])
        }
    }
}

fn line(venue: &Venue) -> String {
    if venue.areas.is_empty() { venue.name.clone() } else { format!("{}: {}", venue.name, venue.areas.join(", ")) }
}

fn table(venues: &[Venue]) -> Table {
    let mut table = Table::new(&[">id", "name", "areas"]);
    for venue in venues {
        table.row([venue.id.to_string(), venue.name.clone(), venue.areas.join(", ")]);
    }
    table
}
