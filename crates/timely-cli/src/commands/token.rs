//! `timely token`: credentials for other people and machines.

use timely_core::access::Role;
use timely_core::body::{NewToken, TokenInfo};
use timely_core::id::TokenId;

use crate::commands::{or_dash, reply};
use crate::context::{Context, real_now, zone};
use crate::discovery::Need;
use crate::error::CliError;
use crate::named;
use crate::output::{Output, Table};
use crate::when::{self, Frame};

/// Make, list and revoke tokens
#[derive(clap::Args, Debug)]
#[command(
    arg_required_else_help = true,
    before_help = "Examples:
  timely token create --role scorer --area \"Pitch 2\" --until 18:00
  timely token list
  timely token revoke 7"
)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TokenCommand {
    Create(CreateArgs),
    /// List the tokens, without their secrets
    #[command(before_help = "Examples:\n  timely token list\n  timely token list --event \"Harbour Cup\" --json")]
    List,
    /// Revoke a token; its streams end at once
    #[command(before_help = "Examples:\n  timely token revoke 7\n  timely token revoke 7 --json")]
    Revoke {
        /// Its number, as `timely token list` shows it
        id: TokenId,
    },
}

/// Make a token; its secret is shown once
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  timely token create --role organiser
  timely token create --role scorer --area \"Pitch 2\" --until 18:00
  timely token create --role viewer --team EAG --json")]
struct CreateArgs {
    /// organiser, scorer or viewer of the event; or owner or relay of the server
    #[arg(long)]
    role: Role,

    /// Scorers: only fixtures of this pitch, court or table
    #[arg(long)]
    area: Option<String>,

    /// Viewers: member of this team
    #[arg(long)]
    team: Option<String>,

    /// When it ends: 18:00, 8h, "2026-07-19 18:00"
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// What it is for, for example a name
    #[arg(long)]
    label: Option<String>,
}

pub(crate) async fn run(args: TokenArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    match args.command {
        TokenCommand::Create(args) => create(args, context, out).await,
        TokenCommand::List => {
            let client = context.client(Need::Read, out).await?;
            let event = match context.globals.event {
                Some(_) => Some(context.event(&client, out).await?.id),
                None => None,
            };
            let tokens = client.tokens(event).await?;
            out.list(tokens, table)
        }
        TokenCommand::Revoke { id } => {
            let client = context.client(Need::Write, out).await?;
            client.revoke_token(id).await?;
            out.done(&[format!("revoked: token {id}; its streams end now")])
        }
    }
}

async fn create(args: CreateArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let client = context.client(Need::Write, out).await?;
    // Tokens of owners and relays are of the server; all others are of an event.
    let is_of_server = matches!(args.role, Role::Owner | Role::Relay);
    let event = if is_of_server { None } else { Some(context.event(&client, out).await?) };
    let team_id = match (&args.team, &event) {
        (None, _) => None,
        (Some(team), Some(event)) => Some(named::team(&client.teams(event.id).await?, team, event)?.id),
        (Some(_), None) => return Err(CliError::usage("a token of the server is not of a team")),
    };
    let zone = event.as_ref().map_or(Ok(jiff::tz::TimeZone::UTC), zone)?;
    let expires_at = match &args.until {
        None => None,
        Some(text) => {
            // Credentials end in real time, also beside a simulated clock.
            let now = real_now();
            let today = now.to_zoned(zone.clone()).date();
            let frame = Frame::of_event(zone.clone(), now, today, today);
            Some(when::time_ahead(text, &frame).map_err(|error| CliError::usage(error.to_string()))?)
        }
    };
    let new = NewToken {
        role: args.role,
        event_id: event.as_ref().map(|event| event.id),
        area: args.area,
        team_id,
        expires_at,
        label: args.label,
    };
    let answer = client.create_token(&new).await?;
    let made = &answer.value;
    if !out.is_json() && !out.is_terminal() {
        // For scripts: `TOKEN=$(timely token create … | cut -f2)`.
        let mut table = Table::new(&["id", "token"]);
        table.row([made.id.to_string(), or_dash(made.token.as_deref())]);
        return out.table(&table);
    }
    let until = made.expires_at.map(|at| format!(" until {}", when::spelled(at, &zone))).unwrap_or_default();
    let of = event.map(|event| format!(" of {}", event.name)).unwrap_or_default();
    let mut lines = vec![format!("token {} for a {}{of}{until}", made.id, made.role)];
    match &made.token {
        Some(token) => {
            lines.push(token.clone());
            lines.push("It is shown this once. Use it: TIMELY_TOKEN_FILE=FILE with this one line in it".to_owned());
        }
        None => lines.push("Its secret was shown when it was made, and only then.".to_owned()),
    }
    reply(&answer, lines, out)
}

fn table(tokens: &[TokenInfo]) -> Table {
    let mut table = Table::new(&[">id", "role", "event", "area", "team", "label", "made", "until", "state"]);
    let number = |id: Option<i64>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    for token in tokens {
        table.row([
            token.id.to_string(),
            token.role.to_string(),
            number(token.event_id.map(|id| id.0)),
            or_dash(token.area.as_deref()),
            number(token.team_id.map(|id| id.0)),
            or_dash(token.label.as_deref()),
            token.created_at.to_string(),
            token.expires_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
            (if token.revoked_at.is_some() { "revoked" } else { "valid" }).to_owned(),
        ]);
    }
    table
}
