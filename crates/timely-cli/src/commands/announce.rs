//! `timely announce`: say something to everybody, or to some teams.

use timely_client::Expected;
use timely_core::announcement::{Announcement, AnnouncementType, Priority, confirmation};
use timely_core::body::NewAnnouncement;
use timely_core::id::AnnouncementId;

use crate::commands::reply;
use crate::context::{Context, frame, zone};
use crate::discovery::Need;
use crate::error::CliError;
use crate::output::{Output, Table};
use crate::{named, when};

/// Announce something on every screen
///
/// EMERGENCY and URGENT take over the screens and need the word typed, or --confirm.
#[derive(clap::Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    before_help = "Examples:
  timely announce \"Gate 4 is closed\" --priority high
  timely announce \"Your bus leaves at 18:00\" --team EAG --team HAW --expires 18:00
  timely announce \"Rain: we go on at 15:00\" --type weather --priority urgent --expires 30m
  timely announce list"
)]
pub(crate) struct AnnounceArgs {
    #[command(subcommand)]
    command: Option<AnnounceCommand>,

    #[command(flatten)]
    post: PostArgs,
}

#[derive(Debug, clap::Args)]
struct PostArgs {
    /// What to say
    text: Option<String>,

    /// Heading above the text
    #[arg(long)]
    title: Option<String>,

    /// general, schedule, result, weather or emergency
    #[arg(long = "type", value_name = "TYPE", default_value_t)]
    kind: AnnouncementType,

    /// low, normal, high or urgent
    #[arg(long, default_value_t)]
    priority: Priority,

    /// Only for this team and the staff; repeatable
    #[arg(long = "team", value_name = "TEAM")]
    teams: Vec<String>,

    /// When it leaves the screens: 30m, 18:00
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,

    /// For participants, not for the public
    #[arg(long)]
    private: bool,

    /// The word EMERGENCY or URGENT, instead of typing it when asked
    #[arg(long, value_name = "WORD")]
    confirm: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum AnnounceCommand {
    /// List the announcements that are shown
    #[command(before_help = "Examples:\n  timely announce list\n  timely announce list --json")]
    List,
    /// Take an announcement off every screen
    #[command(before_help = "Examples:\n  timely announce withdraw 3\n  timely announce withdraw 3 --yes")]
    Withdraw {
        /// Its number, as `timely announce list` shows it
        id: AnnouncementId,
    },
}

pub(crate) async fn run(args: AnnounceArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    match args.command {
        None => post(args.post, context, out).await,
        Some(AnnounceCommand::List) => {
            let client = context.client(Need::Read, out).await?;
            let event = context.event(&client, out).await?;
            let zone = zone(&event)?;
            let announcements = client.announcements(event.id).await?;
            out.list(announcements, |announcements| {
                let mut table = Table::new(&[">id", "posted", "type", "priority", "for", "title", "message", "until"]);
                for announcement in announcements {
                    let until = announcement.expires_at.map(|at| when::spelled(at, &zone));
                    table.row([
                        announcement.id.to_string(),
                        when::spelled(announcement.created_at, &zone),
                        announcement.kind.to_string(),
                        announcement.priority.to_string(),
                        audience(announcement),
                        announcement.title.clone(),
                        announcement.message.clone(),
                        until.unwrap_or_else(|| "-".to_owned()),
                    ]);
                }
                table
            })
        }
        Some(AnnounceCommand::Withdraw { id }) => {
            let client = context.client(Need::Write, out).await?;
            let announcement = client.announcement(id).await?;
            context.confirm(&format!("Withdraw \"{}\"?", announcement.title), out).await?;
            // Whoever edits it meanwhile must not keep an alarm on the screens.
            let answer = client.withdraw_announcement(id, Expected::Any).await?;
            reply(&answer, vec![format!("withdrawn: {}  {}", answer.value.id, answer.value.title)], out)
        }
    }
}

async fn post(args: PostArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let Some(text) = args.text else {
        return Err(
            CliError::usage("there is nothing to say").hint("Write it like: timely announce \"Gate 4 is closed\"")
        );
    };
    if args.priority == Priority::Urgent && args.expires.is_none() {
        return Err(CliError::usage(
            "an urgent announcement must end by itself; add --expires, for example --expires 30m",
        ));
    }
    let client = context.client(Need::Write, out).await?;
    let event = context.event(&client, out).await?;
    let mut team_ids = Vec::new();
    if !args.teams.is_empty() {
        let teams = client.teams(event.id).await?;
        for team in &args.teams {
            let id = named::team(&teams, team, &event)?.id;
            if !team_ids.contains(&id) {
                team_ids.push(id);
            }
        }
    }
    let expires_at = match &args.expires {
        None => None,
        Some(text) => {
            let frame = frame(&client, &event).await?;
            let at = when::time_ahead(text, &frame).map_err(|error| CliError::usage(error.to_string()))?;
            if at <= frame.now {
                let at = when::spelled(at, &frame.zone);
                return Err(CliError::usage(format!("`{text}` is {at}, which is past")));
            }
            Some(at)
        }
    };
    let confirm = match confirmation(args.kind, args.priority) {
        None => None,
        Some(word) => {
            let why = format!("{word}: this takes over every screen of {}.", event.name);
            context.confirm_by_word(&why, word, args.confirm.as_deref(), out).await?;
            Some(word.to_owned())
        }
    };
    let (title, message) = match args.title {
        Some(title) => (title, text),
        None => (text, String::new()),
    };
    let new = NewAnnouncement {
        title,
        message,
        kind: args.kind,
        priority: args.priority,
        is_public: !args.private,
        team_ids,
        expires_at,
        confirm,
    };
    let answer = client.create_announcement(event.id, &new).await?;
    let posted = &answer.value;
    let zone = zone(&event)?;
    let until = posted.expires_at.map(|at| format!("  until {}", when::spelled(at, &zone))).unwrap_or_default();
    let lines = vec![
        format!(
            "posted {}: {}  {} {}  for {}{until}",
            posted.id,
            posted.title,
            posted.kind,
            posted.priority,
            audience(posted)
        ),
        format!("End it: timely announce withdraw {}", posted.id),
    ];
    reply(&answer, lines, out)
}

fn audience(announcement: &Announcement) -> String {
    match (&announcement.team_ids[..], announcement.is_public) {
        ([], true) => "everybody".to_owned(),
        ([], false) => "participants".to_owned(),
        (teams, _) => format!("{} team(s)", teams.len()),
    }
}
