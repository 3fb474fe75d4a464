//! `timely fixture`: who plays whom, when and where, and how the match goes.

use timely_client::{Answer, Expected};
use timely_core::body::{EditFixture, NewFixture, RoundName};
use timely_core::event::Event;
use timely_core::fixture::{FixtureStatus, MatchCommand, Phase, ScheduleItem};
use timely_core::id::{TeamId, VenueId};
use timely_core::slot::{Slot, strip_group_word};
use timely_core::team::Team;
use timely_core::text::folded;

use crate::commands::{or_dash, reply};
use crate::context::{Context, Scene};
use crate::discovery::Need;
use crate::error::CliError;
use crate::output::{Output, Table};
use crate::when::{self, InvalidTime};
use crate::{named, score};

/// Plan fixtures, move them and run their matches
#[derive(clap::Args, Debug)]
#[command(
    arg_required_else_help = true,
    before_help = "Examples:
  timely fixture list --group A
  timely fixture add EAG HAW --at 15:30 --venue \"Harbour School\" --area \"Pitch 2\"
  timely fixture reschedule 12 +20m
  timely fixture start EAG-HAW"
)]
pub(crate) struct FixtureArgs {
    #[command(subcommand)]
    command: FixtureCommand,
}

#[derive(Debug, clap::Subcommand)]
enum FixtureCommand {
    List(ListArgs),
    /// Show one fixture
    #[command(before_help = "Examples:\n  timely fixture show 12\n  timely fixture show \"eagles hawks\"")]
    Show(FixtureRef),
    Add(AddArgs),
    Reschedule(RescheduleArgs),
    /// Start the match, or go on after a pause
    #[command(before_help = "Examples:\n  timely fixture start 12\n  timely fixture start EAG-HAW")]
    Start(FixtureRef),
    /// Stop the match for a while: half time, rain
    #[command(before_help = "Examples:\n  timely fixture pause 12\n  timely fixture pause @pitch2")]
    Pause(FixtureRef),
    /// End the match; its live score becomes the result
    #[command(before_help = "Examples:\n  timely fixture finish 12\n  timely fixture finish EAG-HAW")]
    Finish(FixtureRef),
    /// Take the fixture off its time; it is played later
    #[command(before_help = "Examples:\n  timely fixture postpone 12\n  timely fixture postpone EAG-HAW")]
    Postpone(FixtureRef),
    /// Call the fixture off
    #[command(before_help = "Examples:\n  timely fixture cancel 12\n  timely fixture cancel EAG-HAW --yes")]
    Cancel(FixtureRef),
    /// Put a cancelled, postponed or abandoned fixture back on the schedule
    #[command(before_help = "Examples:\n  timely fixture restore 12\n  timely fixture restore EAG-HAW")]
    Restore(FixtureRef),
    /// Stop the match for good
    #[command(before_help = "Examples:\n  timely fixture abandon 12\n  timely fixture abandon EAG-HAW --yes")]
    Abandon(FixtureRef),
    /// Delete the fixture
    #[command(before_help = "Examples:\n  timely fixture delete 12\n  timely fixture delete EAG-HAW --yes")]
    Delete(FixtureRef),
}

#[derive(Debug, clap::Args)]
struct FixtureRef {
    /// Number (12), teams (EAG-HAW, "eagles hawks") or place (@pitch2)
    fixture: String,
}

/// List the fixtures
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  timely fixture list
  timely fixture list --team EAG --status scheduled
  timely fixture list --group A --json")]
struct ListArgs {
    /// Only this group
    #[arg(long)]
    group: Option<String>,

    /// Only fixtures of this team
    #[arg(long)]
    team: Option<String>,

    /// Only fixtures that stand so: scheduled, live, paused, finished, …
    #[arg(long)]
    status: Option<FixtureStatus>,
}

/// Add a fixture
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  timely fixture add EAG HAW --at 15:30
  timely fixture add EAG HAW --at \"sat 15:30\" --venue \"Harbour School\" --area \"Pitch 2\"
  timely fixture add \"winner of #49\" \"2nd of A\" --at \"2026-07-19 15:30\" --knockout --round Semi-final")]
struct AddArgs {
    /// Home team, or what decides it: "winner of #49", "2nd of A", TBD
    home: String,

    /// Away team, or what decides it
    away: String,

    /// Start, in the event's zone: 15:30, "tomorrow 15:30", "2026-07-19 15:30"
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: String,

    /// Venue
    #[arg(long)]
    venue: Option<String>,

    /// Pitch, court or table
    #[arg(long)]
    area: Option<String>,

    /// Group whose table it feeds [default: the one both teams play in]
    #[arg(long)]
    group: Option<String>,

    /// Round by name or number
    #[arg(long)]
    round: Option<String>,

    /// It needs a winner and feeds no table
    #[arg(long)]
    knockout: bool,
}

/// Move a fixture to another time or place
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  timely fixture reschedule 12 16:00       on its own day
  timely fixture reschedule EAG-HAW +20m
  timely fixture reschedule 12 \"tomorrow 10:00\" --area \"Pitch 3\"")]
struct RescheduleArgs {
    /// Number (12), teams (EAG-HAW, "eagles hawks") or place (@pitch2)
    fixture: String,

    /// New start: 16:00 on its day, +20m, -5m, "tomorrow 10:00", "2026-07-19 15:30"
    #[arg(allow_hyphen_values = true)]
    time: Option<String>,

    /// Other venue
    #[arg(long)]
    venue: Option<String>,

    /// Other pitch, court or table
    #[arg(long)]
    area: Option<String>,
}

pub(crate) async fn run(args: FixtureArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    use FixtureCommand as F;
    match args.command {
        F::List(args) => list(args, context, out).await,
        F::Show(args) => {
            let scene = context.scene(Need::Read, out).await?;
            let fixture = scene.known().fixture(&args.fixture)?.fixture;
            if out.is_json() { out.json(fixture) } else { out.table(&table(&scene, std::slice::from_ref(fixture))) }
        }
        F::Add(args) => add(args, context, out).await,
        F::Reschedule(args) => reschedule(args, context, out).await,
        F::Start(args) => command(&args, MatchCommand::Start, context, out).await,
        F::Pause(args) => command(&args, MatchCommand::Pause, context, out).await,
        F::Finish(args) => command(&args, MatchCommand::Finish, context, out).await,
        F::Postpone(args) => command(&args, MatchCommand::Postpone, context, out).await,
        F::Cancel(args) => command(&args, MatchCommand::Cancel, context, out).await,
        F::Restore(args) => command(&args, MatchCommand::Restore, context, out).await,
        F::Abandon(args) => command(&args, MatchCommand::Abandon, context, out).await,
        F::Delete(args) => {
            let scene = context.scene(Need::Write, out).await?;
            let fixture = scene.known().fixture(&args.fixture)?.fixture;
            context.confirm(&format!("Delete {}?", named::short(fixture)), out).await?;
            scene.client.delete_fixture(fixture.fixture_id, Expected::Version(fixture.version)).await?;
            out.done(&[format!("deleted: {}", named::short(fixture))])
        }
    }
}

async fn list(args: ListArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let scene = context.scene(Need::Read, out).await?;
    let mut fixtures = scene.fixtures.clone();
    if let Some(group) = &args.group {
        let wanted = folded(strip_group_word(group));
        fixtures.retain(|fixture| fixture.group.as_deref().is_some_and(|group| folded(group) == wanted));
    }
    if let Some(team) = &args.team {
        let team = named::team(&scene.teams, team, &scene.event)?.id;
        fixtures.retain(|fixture| fixture.home_team.id == Some(team) || fixture.away_team.id == Some(team));
    }
    if let Some(status) = args.status {
        fixtures.retain(|fixture| fixture.status == status);
    }
    out.list(fixtures, |fixtures| table(&scene, fixtures))
}

async fn add(args: AddArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let scene = context.scene(Need::Write, out).await?;
    let home = side(&scene.teams, &args.home, &scene.event)?;
    let away = side(&scene.teams, &args.away, &scene.event)?;
    let start_at = when::time(&args.at, &scene.frame().await?).map_err(invalid_time)?;
    let new = NewFixture {
        home_team_id: home.0,
        away_team_id: away.0,
        home_slot: home.1,
        away_slot: away.1,
        start_at,
        venue_id: venue(&scene, args.venue.as_deref()).await?,
        area: args.area,
        group: args.group.map(|group| strip_group_word(&group).to_owned()),
        round: args.round.map(RoundName::Name),
        phase: if args.knockout { Phase::Knockout } else { Phase::RoundRobin },
    };
    // A script that runs twice adds one fixture. With a key the server sees to that.
    if context.globals.key.is_none()
        && let Some(fixture) = scene.fixtures.iter().find(|fixture| is_like(fixture, &new))
    {
        return unchanged(&scene, fixture, out);
    }
    let answer = scene.client.create_fixture(scene.event.id, &new).await?;
    reply(&answer, vec![score::fixture_line(&answer.value, &scene.zone)], out)
}

fn unchanged(scene: &Scene, fixture: &ScheduleItem, out: &mut Output) -> Result<(), CliError> {
    out.reply(fixture, &[format!("unchanged: {}", score::fixture_line(fixture, &scene.zone))])
}

/// Whether the fixture already is what is to be added, as far as that says.
fn is_like(fixture: &ScheduleItem, new: &NewFixture) -> bool {
    let same = |team: Option<TeamId>, slot: &Option<Slot>, of: Option<TeamId>, by: &Option<Slot>| {
        slot == by && (slot.is_some() || team == of)
    };
    let round = new.round.clone().map(String::from);
    // Two fixtures between unknown sides can be told apart by nothing.
    (new.home_team_id.is_some() || new.home_slot.is_some())
        && (new.away_team_id.is_some() || new.away_slot.is_some())
        && same(new.home_team_id, &new.home_slot, fixture.home_team.id, &fixture.home_slot)
        && same(new.away_team_id, &new.away_slot, fixture.away_team.id, &fixture.away_slot)
        && fixture.start_at == new.start_at
        && fixture.venue.id == new.venue_id
        && fixture.area == new.area
        && fixture.phase == new.phase
        && (new.group.is_none() || fixture.group == new.group)
        && fixture.round == round
}

/// A team, what decides it, or neither.
fn side(teams: &[Team], text: &str, event: &Event) -> Result<(Option<TeamId>, Option<Slot>), CliError> {
    if text.eq_ignore_ascii_case("TBD") {
        return Ok((None, None));
    }
    match text.parse::<Slot>() {
        Ok(slot) => Ok((None, Some(slot))),
        Err(_) => Ok((Some(named::team(teams, text, event)?.id), None)),
    }
}

async fn venue(scene: &Scene, text: Option<&str>) -> Result<Option<VenueId>, CliError> {
    let Some(text) = text else { return Ok(None) };
    let venues = scene.client.venues(scene.event.id).await?;
    Ok(Some(named::venue(&venues, text, &scene.event)?.id))
}

async fn reschedule(args: RescheduleArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    if args.time.is_none() && args.venue.is_none() && args.area.is_none() {
        return Err(CliError::usage("nothing to change")
            .hint("Name the new time, for example 16:00 or +20m; or --venue, --area"));
    }
    let scene = context.scene(Need::Write, out).await?;
    let fixture = scene.known().fixture(&args.fixture)?.fixture;
    let start_at = match &args.time {
        Some(text) => {
            let frame = scene.frame().await?.about(fixture.start_at);
            Some(when::time(text, &frame).map_err(invalid_time)?)
        }
        None => None,
    };
    let venue_id = venue(&scene, args.venue.as_deref()).await?;
    let edit = EditFixture {
        start_at,
        venue_id: venue_id.map(Some),
        area: match (args.area, venue_id) {
            (Some(area), _) => Some(Some(area)),
            // The pitch of one venue is none of another.
            (None, Some(venue)) if fixture.venue.id != Some(venue) && fixture.area.is_some() => Some(None),
            (None, _) => None,
        },
        ..EditFixture::default()
    };
    // Tried again under its key after it had been done: its version is another one by now.
    let is_so = edit.start_at.is_none_or(|at| at == fixture.start_at)
        && edit.venue_id.is_none_or(|venue| venue == fixture.venue.id)
        && edit.area.as_ref().is_none_or(|area| *area == fixture.area);
    if context.globals.key.is_some() && is_so {
        return unchanged(&scene, fixture, out);
    }
    let answer = scene.client.edit_fixture(fixture.fixture_id, &edit, Expected::Version(fixture.version)).await?;
    let mut lines = vec![score::fixture_line(&answer.value, &scene.zone)];
    if answer.value.start_at != fixture.start_at {
        lines.push(format!("was {}", when::spelled(fixture.start_at, &scene.zone)));
    }
    reply(&answer, lines, out)
}

async fn command(
    args: &FixtureRef,
    command: MatchCommand,
    context: &Context,
    out: &mut Output,
) -> Result<(), CliError> {
    let scene = context.scene(Need::Write, out).await?;
    let fixture = scene.known().fixture(&args.fixture)?.fixture;
    // A script that runs twice does it once.
    if fixture.status == outcome(command) {
        return unchanged(&scene, fixture, out);
    }
    let question = match command {
        MatchCommand::Cancel => Some("Cancel"),
        MatchCommand::Abandon => Some("Abandon"),
        MatchCommand::Start
        | MatchCommand::Pause
        | MatchCommand::Finish
        | MatchCommand::Postpone
        | MatchCommand::Restore => None,
    };
    if let Some(verb) = question {
        context.confirm(&format!("{verb} {}?", named::short(fixture)), out).await?;
    }
    let expected = Expected::Version(fixture.version);
    let answer: Answer<ScheduleItem> = scene.client.command_fixture(fixture.fixture_id, command, expected).await?;
    reply(&answer, vec![score::fixture_line(&answer.value, &scene.zone)], out)
}

/// Where a fixture stands after the command.
const fn outcome(command: MatchCommand) -> FixtureStatus {
    match command {
        MatchCommand::Start => FixtureStatus::Live,
        MatchCommand::Pause => FixtureStatus::Paused,
        MatchCommand::Finish => FixtureStatus::Finished,
        MatchCommand::Abandon => FixtureStatus::Abandoned,
        MatchCommand::Postpone => FixtureStatus::Postponed,
        MatchCommand::Cancel => FixtureStatus::Cancelled,
        MatchCommand::Restore => FixtureStatus::Scheduled,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
fn invalid_time(error: InvalidTime) -> CliError {
    CliError::usage(error.to_string())
}

fn table(scene: &Scene, fixtures: &[ScheduleItem]) -> Table {
    let mut table = Table::new(&[">#", "start", "home", "away", "place", "status", "group", "round"]);
    for fixture in fixtures {
        let name = |team: &timely_core::fixture::TeamLabel, slot: &Option<Slot>| match (team.id, slot) {
            (None, Some(slot)) => slot.to_string(),
            _ => team.name.clone(),
        };
        table.row([
            fixture.number.to_string(),
            when::spelled(fixture.start_at, &scene.zone),
            name(&fixture.home_team, &fixture.home_slot),
            name(&fixture.away_team, &fixture.away_slot),
            or_dash(score::place(fixture).as_deref()),
            fixture.status.to_string(),
            or_dash(fixture.group.as_deref()),
            or_dash(fixture.round.as_deref()),
        ]);
    }
    table
}
