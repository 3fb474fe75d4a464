//! `timely event`: the sports events of the server.

use jiff::civil::Date;
use timely_core::body::{EditEvent, NewEvent};
use timely_core::event::{Count, Event, EventStatus, Visibility};

use crate::commands::reply;
use crate::context::Context;
use crate::discovery::Need;
use crate::error::CliError;
use crate::output::{Output, Table};

/// Create, show and change events
#[derive(clap::Args, Debug)]
#[command(
    arg_required_else_help = true,
    before_help = "Examples:
  timely event create \"Harbour Cup\" --date 2026-07-18 --tz Europe/Berlin
  timely event list
  timely event show \"Harbour Cup\""
)]
pub(crate) struct EventArgs {
    #[command(subcommand)]
    command: EventCommand,
}

#[derive(Debug, clap::Subcommand)]
enum EventCommand {
    /// List the events that you may see
    #[command(before_help = "Examples:\n  timely event list\n  timely event list --json")]
    List,
    /// Show one event
    #[command(before_help = "Examples:\n  timely event show\n  timely event show \"Harbour Cup\"")]
    Show(EventRef),
    Create(CreateArgs),
    Edit(EditArgs),
    /// Call an event off; it stays visible as cancelled
    #[command(before_help = "Examples:\n  timely event cancel \"Harbour Cup\"\n  timely event cancel 1 --yes")]
    Cancel(EventRef),
    Delete(DeleteArgs),
}

#[derive(Debug, clap::Args)]
struct EventRef {
    /// Id or name [default: the one of --event, or the only one]
    event: Option<String>,
}

/// Create an event
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  timely event create \"Harbour Cup\" --date 2026-07-18 --tz Europe/Berlin
  timely event create League --date 2026-08-01 --ends 2027-05-30 --private --rules 3-1-0")]
struct CreateArgs {
    /// Name, as every screen shows it
    name: String,

    /// First day
    #[arg(long, value_name = "DATE")]
    date: Date,

    #[command(flatten)]
    options: EventOptions,
}

/// Change an event; what is not named stays
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  timely event edit --name \"Harbour Cup 2026\"
  timely event edit 1 --visibility private")]
struct EditArgs {
    /// Id or name [default: the one of --event, or the only one]
    event: Option<String>,

    /// New name
    #[arg(long)]
    name: Option<String>,

    /// First day
    #[arg(long, value_name = "DATE")]
    date: Option<Date>,

    #[command(flatten)]
    options: EventOptions,
}

#[derive(Debug, clap::Args)]
struct EventOptions {
    /// Last day [default: the first]
    #[arg(long, value_name = "DATE")]
    ends: Option<Date>,

    /// Time zone in which times are typed and shown, for example Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,

    /// Who may know of it: public, private or draft
    #[arg(long, value_name = "WHO", conflicts_with = "private")]
    visibility: Option<Visibility>,

    /// Short for --visibility private
    #[arg(long)]
    private: bool,

    /// Rules of the tables, for example 3-1-0 or fifa-world-cup-2022
    #[arg(long, value_name = "ID")]
    rules: Option<String>,

    /// Which results feed the tables: live, entered or official
    #[arg(long, value_name = "WHICH")]
    count: Option<Count>,
}

impl EventOptions {
    fn visibility(&self) -> Option<Visibility> {
        if self.private { Some(Visibility::Private) } else { self.visibility }
    }
}

/// Delete an event with everything in it; the log stays
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  timely event delete \"Harbour Cup\"
  timely event delete 1 --confirm \"Harbour Cup\"")]
struct DeleteArgs {
    /// Id or name [default: the one of --event, or the only one]
    event: Option<String>,

    /// The event's name, instead of typing it when asked
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
}

pub(crate) async fn run(args: EventArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    match args.command {
        EventCommand::List => {
            let events = context.client(Need::Read, out).await?.events().await?;
            out.list(events, table)
        }
        EventCommand::Show(args) => {
            let client = context.client(Need::Read, out).await?;
            let event = context.event_or(&client, args.event.as_deref(), out).await?;
            if out.is_json() { out.json(&event) } else { out.table(&table(std::slice::from_ref(&event))) }
        }
        EventCommand::Create(args) => create(args, context, out).await,
        EventCommand::Edit(args) => edit(args, context, out).await,
        EventCommand::Cancel(args) => {
            let client = context.client(Need::Write, out).await?;
            let event = context.event_or(&client, args.event.as_deref(), out).await?;
            if event.status == EventStatus::Cancelled {
                return out.reply(&event, &[format!("unchanged: {}", line(&event))]);
            }
            context.confirm(&format!("Cancel {} for everybody?", event.name), out).await?;
            let answer = client.cancel_event(event.id).await?;
            reply(&answer, vec![line(&answer.value)], out)
        }
        EventCommand::Delete(args) => {
            let client = context.client(Need::Write, out).await?;
            let event = context.event_or(&client, args.event.as_deref(), out).await?;
            let why = format!("This deletes {} with its teams, fixtures and results.", event.name);
            context.confirm_by_word(&why, &event.name, args.confirm.as_deref(), out).await?;
            client.delete_event(event.id).await?;
            out.done(&[format!("deleted: {} ({})", event.name, event.id)])
        }
    }
}

async fn create(args: CreateArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let client = context.client(Need::Write, out).await?;
    let visibility = args.options.visibility().unwrap_or_default();
    let new = NewEvent {
        name: args.name,
        starts_on: args.date,
        ends_on: args.options.ends,
        timezone: args.options.tz,
        visibility,
        rules: args.options.rules,
        count: args.options.count.unwrap_or_default(),
    };
    // A script that runs twice makes one event. With a key the server sees to that.
    if context.globals.key.is_none()
        && let Some(event) = client.events().await?.into_iter().find(|event| is_like(event, &new))
    {
        return out.reply(&event, &[format!("unchanged: {}", line(&event))]);
    }
    let answer = client.create_event(&new).await?;
    let event = &answer.value;
    let next = format!("Next: timely team add Eagles --code EAG --group A --event {}", event.id);
    reply(&answer, vec![line(event), next], out)
}

/// Whether the event already is what is to be created, as far as that says.
fn is_like(event: &Event, new: &NewEvent) -> bool {
    event.name == new.name
        && event.starts_on == new.starts_on
        && event.ends_on == new.ends_on.unwrap_or(new.starts_on)
        && event.visibility == new.visibility
        && event.count == new.count
        && event.timezone == new.timezone.as_deref().unwrap_or("UTC")
        && new.rules.as_ref().is_none_or(|rules| *rules == event.rules)
}

async fn edit(args: EditArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let visibility = args.options.visibility();
    let edit = EditEvent {
        name: args.name,
        starts_on: args.date,
        ends_on: args.options.ends,
        timezone: args.options.tz,
        visibility,
        rules: args.options.rules,
        count: args.options.count,
    };
    if edit == EditEvent::default() {
        return Err(CliError::usage("nothing to change").hint("Name it, for example --name or --visibility"));
    }
    let client = context.client(Need::Write, out).await?;
    let event = context.event_or(&client, args.event.as_deref(), out).await?;
    let mut answer = client.edit_event(event.id, &edit).await?;
    answer.unchanged |= answer.value == event;
    reply(&answer, vec![line(&answer.value)], out)
}

/// `2026-07-18`, `2026-07-18 to 2026-07-20`.
pub(crate) fn days(event: &Event) -> String {
    if event.starts_on == event.ends_on {
        event.starts_on.to_string()
    } else {
        format!("{} to {}", event.starts_on, event.ends_on)
    }
}

fn line(event: &Event) -> String {
    let days = days(event);
    format!("{}  {}  {days}  {}  {}  {}", event.id, event.name, event.timezone, event.visibility, event.status)
}

fn table(events: &[Event]) -> Table {
    let mut table = Table::new(&[">id", "name", "from", "to", "zone", "visibility", "status", "rules", "counts"]);
    for event in events {
        table.row([
            event.id.to_string(),
            event.name.clone(),
            event.starts_on.to_string(),
            event.ends_on.to_string(),
            event.timezone.clone(),
            event.visibility.to_string(),
            event.status.to_string(),
            event.rules.clone(),
            event.count.to_string(),
        ]);
    }
    table
}
