//! `timely team`: the teams of an event.

use timely_core::body::{EditTeam, NewTeam};
use timely_core::slot::strip_group_word;
use timely_core::team::Team;
use timely_core::text::folded;

use crate::commands::{or_dash, reply};
use crate::context::Context;
use crate::discovery::Need;
use crate::error::CliError;
use crate::named;
use crate::output::{Output, Table};

/// Add, show and change teams
#[derive(clap::Args, Debug)]
#[command(
    arg_required_else_help = true,
    before_help = "Examples:
  timely team add Eagles --code EAG --group A
  timely team list --group A
  timely team edit EAG --name \"Harbour Eagles\""
)]
pub(crate) struct TeamArgs {
    #[command(subcommand)]
    command: TeamCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TeamCommand {
    /// List the teams
    #[command(before_help = "Examples:\n  timely team list\n  timely team list --group A --json")]
    List {
        /// Only this group
        #[arg(long)]
        group: Option<String>,
    },
    /// Show one team
    #[command(before_help = "Examples:\n  timely team show EAG\n  timely team show eagles")]
    Show {
        /// Code, name, or the beginning of either
        team: String,
    },
    Add(AddArgs),
    Edit(EditArgs),
    /// Remove a team that no fixture names
    #[command(before_help = "Examples:\n  timely team remove EAG\n  timely team remove Eagles --yes")]
    Remove {
        /// Code, name, or the beginning of either
        team: String,
    },
}

/// Add a team
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  timely team add Eagles --code EAG --group A
  timely team add \"Costa Rica\" --code CRC")]
struct AddArgs {
    /// Name, as every screen shows it
    name: String,

    /// Short form for narrow screens and typing, for example EAG
    #[arg(long)]
    code: Option<String>,

    /// Group it plays in, for example A
    #[arg(long)]
    group: Option<String>,
}

/// Change a team; what is not named stays
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  timely team edit EAG --name \"Harbour Eagles\"
  timely team edit EAG --group B
  timely team edit EAG --no-group")]
struct EditArgs {
    /// Code, name, or the beginning of either
    team: String,

    /// New name
    #[arg(long)]
    name: Option<String>,

    /// New code
    #[arg(long)]
    code: Option<String>,

    /// Take the code away
    #[arg(long, conflicts_with = "code")]
    no_code: bool,

    /// Other group
    #[arg(long)]
    group: Option<String>,

    /// Take the team out of its group
    #[arg(long, conflicts_with = "group")]
    no_group: bool,
}

pub(crate) async fn run(args: TeamArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let need = match args.command {
        TeamCommand::List { .. } | TeamCommand::Show { .. } => Need::Read,
        TeamCommand::Add(_) | TeamCommand::Edit(_) | TeamCommand::Remove { .. } => Need::Write,
    };
    let client = context.client(need, out).await?;
    let event = context.event(&client, out).await?;
    let mut teams = client.teams(event.id).await?;
    match args.command {
        TeamCommand::List { group } => {
            if let Some(group) = group {
                let wanted = folded(strip_group_word(&group));
                teams.retain(|team| team.group.as_deref().is_some_and(|group| folded(group) == wanted));
            }
            out.list(teams, table)
        }
        TeamCommand::Show { team } => {
            let team = named::team(&teams, &team, &event)?;
            if out.is_json() { out.json(team) } else { out.table(&table(std::slice::from_ref(team))) }
        }
        TeamCommand::Add(AddArgs { name, code, group }) => {
            let new = NewTeam { name, code, group: group.map(|group| strip_group_word(&group).to_owned()) };
            let is_like = |team: &&Team| team.name == new.name && team.code == new.code && team.group == new.group;
            // A script that runs twice adds one team. With a key the server sees to that.
            if context.globals.key.is_none()
                && let Some(team) = teams.iter().find(is_like)
            {
                return out.reply(team, &[format!("unchanged: {}", line(team))]);
            }
            let answer = client.create_team(event.id, &new).await?;
            reply(&answer, vec![line(&answer.value)], out)
        }
        TeamCommand::Edit(args) => {
            let team = named::team(&teams, &args.team, &event)?;
            let edit = EditTeam {
                name: args.name,
                code: if args.no_code { Some(None) } else { args.code.map(Some) },
                group: if args.no_group {
                    Some(None)
                } else {
                    args.group.map(|group| Some(strip_group_word(&group).to_owned()))
                },
            };
            if edit == EditTeam::default() {
                return Err(CliError::usage("nothing to change").hint("Name it: --name, --code or --group"));
            }
            let mut answer = client.edit_team(team.id, &edit).await?;
            answer.unchanged |= answer.value == *team;
            reply(&answer, vec![line(&answer.value)], out)
        }
        TeamCommand::Remove { team } => {
            let team = named::team(&teams, &team, &event)?;
            context.confirm(&format!("Remove {} from {}?", team.name, event.name), out).await?;
            client.delete_team(team.id).await?;
            out.done(&[format!("removed: {}", line(team))])
        }
    }
}

fn line(team: &Team) -> String {
    let code = team.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    let group = team.group.as_ref().map(|group| format!("  Group {group}")).unwrap_or_default();
    format!("{}{code}{group}", team.name)
}

fn table(teams: &[Team]) -> Table {
    let mut table = Table::new(&[">id", "code", "name", "group"]);
    for team in teams {
        let (code, group) = (or_dash(team.code.as_deref()), or_dash(team.group.as_deref()));
        table.row([team.id.to_string(), code, team.name.clone(), group]);
    }
    table
}
