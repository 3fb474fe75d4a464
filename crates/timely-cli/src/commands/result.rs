//! `timely result`: enter what was played, correct it, confirm it.
//!
//! Entering never replaces: a result that stands is corrected by a command of its own, which names
//! the version it has seen.

use timely_client::{Answer, Client, Expected};
use timely_core::body::PutResult;
use timely_core::fixture::ScheduleItem;
use timely_core::problem::ProblemCode;
use timely_core::result::{FixtureResult, Outcome, ResultState, Score};
use timely_core::slot::strip_group_word;
use timely_core::text::folded;

use crate::commands::{or_dash, reply};
use crate::context::{Context, Scene};
use crate::discovery::Need;
use crate::error::CliError;
use crate::named::{self, Sides, score_line};
use crate::output::{Output, Table};
use crate::score;

/// Enter, correct and confirm results
#[derive(clap::Args, Debug)]
#[command(
    arg_required_else_help = true,
    before_help = "Examples:
  timely result add EAG 2-1 HAW
  timely result add 12 2-1
  timely result live EAG 1-0 HAW --minute 23
  timely result correct 12 2-2 --reason \"goal at the buzzer counted\""
)]
pub(crate) struct ResultArgs {
    #[command(subcommand)]
    command: ResultCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ResultCommand {
    Add(AddArgs),
    Live(LiveArgs),
    Correct(CorrectArgs),
    /// Record that somebody else checked the result
    #[command(before_help = "Examples:\n  timely result verify 12\n  timely result verify EAG-HAW")]
    Verify(JudgeArgs),
    /// Make the result official
    #[command(
        visible_alias = "finalize",
        before_help = "Examples:\n  timely result finalise 12\n  timely result finalise EAG-HAW"
    )]
    Finalise(JudgeArgs),
    /// Make an official result provisional again, so that it can be corrected
    #[command(before_help = "Examples:\n  timely result reopen 12\n  timely result reopen EAG-HAW")]
    Reopen(JudgeArgs),
    Void(VoidArgs),
    List(ListArgs),
    /// Show one result
    #[command(before_help = "Examples:\n  timely result show 12\n  timely result show EAG-HAW --json")]
    Show(FixtureRef),
}

#[derive(Debug, clap::Args)]
struct FixtureRef {
    /// Number (12), teams (EAG-HAW, "eagles hawks") or place (@pitch2)
    fixture: String,
}

#[derive(Debug, clap::Args)]
struct Played {
    /// EAG 2-1 HAW, or 12 2-1: the score in the order typed, home first for a number alone
    #[arg(required = true, value_name = "TEAM SCORE TEAM | FIXTURE SCORE")]
    words: Vec<String>,

    /// Score after extra time, in the same order; the first score is then that of regular time
    #[arg(long, value_name = "SCORE")]
    aet: Option<Score>,

    /// Shoot-out, in the same order
    #[arg(long, value_name = "SCORE")]
    pens: Option<Score>,
}

/// Enter the result of a fixture; never replaces one
///
/// A running live score becomes the result. The same result again changes nothing.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  timely result add EAG 2-1 HAW
  timely result add HAW 1-2 EAG            the same
  timely result add 12 2-1
  timely result add ARG 2-2 FRA --aet 3-3 --pens 4-2")]
struct AddArgs {
    #[command(flatten)]
    played: Played,
}

/// Enter the score of a running match
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  timely result live EAG 1-0 HAW --minute 23
  timely result live 12 1-0")]
struct LiveArgs {
    #[command(flatten)]
    played: Played,

    /// Minute of the match
    #[arg(long)]
    minute: Option<u16>,
}

/// Correct a result that stands
///
/// Sends the version it has read: who was slower is told, and nothing is lost.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  timely result correct 12 2-2
  timely result correct EAG 2-2 HAW --reason \"goal at the buzzer counted\"")]
struct CorrectArgs {
    #[command(flatten)]
    played: Played,

    /// Why; kept with the history
    #[arg(long)]
    reason: Option<String>,

    /// Replace whatever stands there now
    #[arg(long)]
    insist: bool,
}

#[derive(Debug, clap::Args)]
struct JudgeArgs {
    /// Number (12), teams (EAG-HAW, "eagles hawks") or place (@pitch2)
    fixture: String,

    /// Whatever stands there now
    #[arg(long)]
    insist: bool,
}

/// Remove a result: it does not count any more, its history stays
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  timely result void 12 --reason \"wrong fixture\"
  timely result void EAG-HAW --yes")]
struct VoidArgs {
    /// Number (12), teams (EAG-HAW, "eagles hawks") or place (@pitch2)
    fixture: String,

    /// Why; kept with the history
    #[arg(long)]
    reason: Option<String>,

    /// Whatever stands there now
    #[arg(long)]
    insist: bool,
}

/// List the results
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  timely result list
  timely result list --unverified
  timely result list --group A --json")]
struct ListArgs {
    /// Only this group
    #[arg(long)]
    group: Option<String>,

    /// Only those that nobody has checked yet
    #[arg(long)]
    unverified: bool,
}

pub(crate) async fn run(args: ResultArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    use ResultCommand as R;
    match args.command {
        R::Add(args) => add(args, context, out).await,
        R::Live(args) => live(args, context, out).await,
        R::Correct(args) => correct(args, context, out).await,
        R::Verify(args) => judge(&args, Judgement::Verify, context, out).await,
        R::Finalise(args) => judge(&args, Judgement::Finalise, context, out).await,
        R::Reopen(args) => judge(&args, Judgement::Reopen, context, out).await,
        R::Void(args) => void(args, context, out).await,
        R::List(args) => list(args, context, out).await,
        R::Show(args) => {
            let scene = context.scene(Need::Read, out).await?;
            let fixture = scene.known().fixture(&args.fixture)?.fixture;
            let result = standing(&scene.client, fixture).await?.ok_or_else(|| none_yet(fixture))?;
            if out.is_json() {
                return out.json(&result);
            }
            out.line(&score::line(fixture, &result, &scene.zone))?;
            let name = |goal: &timely_core::result::Goal| {
                let side =
                    if Some(goal.team_id) == fixture.home_team.id { &fixture.home_team } else { &fixture.away_team };
                side.code.clone().unwrap_or_else(|| side.name.clone())
            };
            for goal in &result.goals {
                let added = goal.added.map(|added| format!("+{added}")).unwrap_or_default();
                let how = match (goal.penalty, goal.own_goal) {
                    (true, _) => " (pen)",
                    (false, true) => " (og)",
                    (false, false) => "",
                };
                let player = goal.player.as_deref().unwrap_or_default();
                out.line(&format!("  {}{added}' {} {player}{how}", goal.minute, name(goal)))?;
            }
            Ok(())
        }
    }
}

/// A fixture with what was typed about it, home side first.
struct Typed<'a> {
    fixture: &'a ScheduleItem,
    body: PutResult,
}

/// Loads what names lead to. What can be no score is refused before anybody is asked.
async fn scene(played: &Played, context: &Context, out: &mut Output) -> Result<(Scene, (Sides, Score)), CliError> {
    let line = score_line(&played.words)?;
    Ok((context.scene(Need::Write, out).await?, line))
}

/// Finds the fixture and turns what was typed into its order.
fn typed<'a>(scene: &'a Scene, (sides, first): (Sides, Score), played: &Played) -> Result<Typed<'a>, CliError> {
    let meant = match &sides {
        Sides::Fixture(text) => scene.known().fixture(text)?,
        Sides::Teams(one, other) => scene.known().fixture_of(one, other)?,
    };
    let turned = |score: Score| if meant.is_swapped { score.swapped() } else { score };
    let outcome = Outcome {
        full_time: played.aet.is_some().then(|| turned(first)),
        shoot_out: played.pens.map(turned),
        ..Outcome::plain(turned(played.aet.unwrap_or(first)), ResultState::Provisional)
    };
    Ok(Typed { fixture: meant.fixture, body: PutResult::from(&outcome) })
}

/// The result that stands, annulled ones included.
async fn standing(client: &Client, fixture: &ScheduleItem) -> Result<Option<FixtureResult>, CliError> {
    match client.result(fixture.fixture_id).await {
        Ok(result) => Ok(Some(result)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn unchanged(scene: &Scene, fixture: &ScheduleItem, result: &FixtureResult, out: &mut Output) -> Result<(), CliError> {
    out.reply(result, &[format!("unchanged: {}", score::line(fixture, result, &scene.zone))])
}

fn none_yet(fixture: &ScheduleItem) -> CliError {
    CliError::not_found(format!("{} has no result", named::short(fixture)))
        .hint(format!("Enter it: timely result add {} 2-1", fixture.number))
}

/// Whether a result says the same as the body, goals aside: the command line does not type them.
fn says_the_same(result: &FixtureResult, body: &PutResult) -> bool {
    let numbers =
        [result.home_score, result.away_score, result.ft_home, result.ft_away, result.pen_home, result.pen_away]
            .map(|number| number.map(i64::from));
    numbers == [Some(body.home_score), Some(body.away_score), body.ft_home, body.ft_away, body.pen_home, body.pen_away]
}

/// Takes over the goals entered so far, if they still fit the score.
fn keep_goals(body: &mut PutResult, fixture: &ScheduleItem, current: &FixtureResult) -> bool {
    if current.goals.is_empty() {
        return true;
    }
    let with_goals = PutResult { goals: current.goals.clone(), ..body.clone() };
    let fits =
        with_goals.outcome().and_then(|outcome| outcome.check(fixture.home_team.id, fixture.away_team.id)).is_ok();
    if fits {
        body.goals = with_goals.goals;
    }
    fits
}

async fn add(args: AddArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let (scene, line) = scene(&args.played, context, out).await?;
    let Typed { fixture, mut body } = typed(&scene, line, &args.played)?;
    let current = standing(&scene.client, fixture).await?;
    let expected = match &current {
        None => Expected::Unsaid,
        Some(result) => match result.state {
            ResultState::Provisional | ResultState::Official if says_the_same(result, &body) => {
                return unchanged(&scene, fixture, result, out);
            }
            ResultState::Provisional | ResultState::Official => {
                return Err(already(&scene, fixture, result, &body));
            }
            // The running score becomes the result, an annulled one is entered again.
            ResultState::Live | ResultState::Annulled => Expected::Version(result.version),
        },
    };
    if let Some(current) = current.as_ref().filter(|current| current.state == ResultState::Live)
        && !keep_goals(&mut body, fixture, current)
    {
        out.note("The goals listed so far do not fit this score and are left out.")?;
    }
    put(&scene, fixture, &body, expected, out).await
}

fn already(scene: &Scene, fixture: &ScheduleItem, result: &FixtureResult, body: &PutResult) -> CliError {
    CliError::conflict(format!(
        "#{} has a result already: {}",
        fixture.number,
        score::line(fixture, result, &scene.zone)
    ))
    .hint(format!(
        "Nothing was changed. To change it: timely result correct {} {}-{}",
        fixture.number, body.home_score, body.away_score
    ))
}

async fn live(args: LiveArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let (scene, line) = scene(&args.played, context, out).await?;
    let Typed { fixture, mut body } = typed(&scene, line, &args.played)?;
    body.state = ResultState::Live;
    body.minute = args.minute;
    let current = standing(&scene.client, fixture).await?;
    if let Some(current) = &current {
        keep_goals(&mut body, fixture, current);
    }
    let expected = current.map_or(Expected::Unsaid, |current| Expected::Version(current.version));
    put(&scene, fixture, &body, expected, out).await
}

async fn correct(args: CorrectArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let (scene, line) = scene(&args.played, context, out).await?;
    let Typed { fixture, mut body } = typed(&scene, line, &args.played)?;
    let current =
        standing(&scene.client, fixture).await?.filter(FixtureResult::counts).ok_or_else(|| none_yet(fixture))?;
    // Tried again under its key after it had been done: its version is another one by now.
    if context.globals.key.is_some() && says_the_same(&current, &body) {
        return unchanged(&scene, fixture, &current, out);
    }
    if current.state == ResultState::Live {
        // A running score stays one.
        body.state = ResultState::Live;
        body.minute = current.minute;
    }
    if !keep_goals(&mut body, fixture, &current) {
        out.note("The goals listed so far do not fit this score and are left out.")?;
    }
    body.reason = args.reason;
    put(&scene, fixture, &body, expected(args.insist, &current), out).await
}

const fn expected(insist: bool, current: &FixtureResult) -> Expected {
    if insist { Expected::Any } else { Expected::Version(current.version) }
}

/// Sends a result and says what it did to the table.
async fn put(
    scene: &Scene,
    fixture: &ScheduleItem,
    body: &PutResult,
    expected: Expected,
    out: &mut Output,
) -> Result<(), CliError> {
    // What can never be right is said before anything is sent, in the words the server would use.
    body.outcome()
        .and_then(|outcome| outcome.check(fixture.home_team.id, fixture.away_team.id))
        .map_err(|error| CliError::usage(error.to_string()))?;
    let before = boards(scene, fixture, out).await?;
    let answer =
        scene.client.put_result(fixture.fixture_id, body, expected).await.map_err(|error| late(error, fixture))?;
    let mut lines = vec![score::line(fixture, &answer.value, &scene.zone)];
    if let (Some(before), Some(after)) = (before, boards(scene, fixture, out).await?) {
        lines.extend(score::table_lines(fixture, &before, &after));
    }
    if answer.value.state == ResultState::Provisional && !answer.unchanged {
        lines.push(format!("Wrong? timely result correct {0}   Checked? timely result verify {0}", fixture.number));
    }
    reply(&answer, lines, out)
}

/// The tables, where somebody reads them and the fixture moves one.
async fn boards(
    scene: &Scene,
    fixture: &ScheduleItem,
    out: &Output,
) -> Result<Option<timely_core::body::Leaderboard>, CliError> {
    if out.is_json() || fixture.phase == timely_core::fixture::Phase::Knockout {
        return Ok(None);
    }
    Ok(Some(scene.client.leaderboard(scene.event.id, None).await?))
}

/// Somebody was faster: the next step depends on what is wanted.
fn late(error: timely_client::Error, fixture: &ScheduleItem) -> CliError {
    let code = error.code();
    let error = CliError::from(error);
    match code {
        Some(ProblemCode::Version) => error.hint(format!(
            "Yours was not applied. Look: timely result show {0}   Insist: timely result correct {0} … --insist",
            fixture.number
        )),
        Some(ProblemCode::VersionRequired) => error.hint(format!(
            "Nothing was changed. To change a result that stands: timely result correct {}",
            fixture.number
        )),
        _ => error,
    }
}

#[derive(Clone, Copy)]
enum Judgement {
    Verify,
    Finalise,
    Reopen,
}

async fn judge(args: &JudgeArgs, judgement: Judgement, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let scene = context.scene(Need::Write, out).await?;
    let fixture = scene.known().fixture(&args.fixture)?.fixture;
    let current = standing(&scene.client, fixture).await?.ok_or_else(|| none_yet(fixture))?;
    let is_so = match judgement {
        Judgement::Verify => current.verified_at.is_some(),
        Judgement::Finalise => current.state == ResultState::Official,
        Judgement::Reopen => current.state == ResultState::Provisional,
    };
    if is_so {
        return unchanged(&scene, fixture, &current, out);
    }
    let (id, expected) = (fixture.fixture_id, expected(args.insist, &current));
    let answer: Result<Answer<FixtureResult>, _> = match judgement {
        Judgement::Verify => scene.client.verify_result(id, expected).await,
        Judgement::Finalise => scene.client.finalise_result(id, expected).await,
        Judgement::Reopen => scene.client.reopen_result(id, expected).await,
    };
    let answer = answer.map_err(|error| late(error, fixture))?;
    reply(&answer, vec![score::line(fixture, &answer.value, &scene.zone)], out)
}

async fn void(args: VoidArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let scene = context.scene(Need::Write, out).await?;
    let fixture = scene.known().fixture(&args.fixture)?.fixture;
    let current = standing(&scene.client, fixture).await?.ok_or_else(|| none_yet(fixture))?;
    let line = score::line(fixture, &current, &scene.zone);
    if !current.counts() {
        return unchanged(&scene, fixture, &current, out);
    }
    context.confirm(&format!("Remove the result {line}?"), out).await?;
    let expected = expected(args.insist, &current);
    let answer = scene
        .client
        .annul_result(fixture.fixture_id, expected, args.reason.as_deref())
        .await
        .map_err(|error| late(error, fixture))?;
    reply(&answer, vec![score::line(fixture, &answer.value, &scene.zone)], out)
}

async fn list(args: ListArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let scene = context.scene(Need::Read, out).await?;
    let mut results = scene.client.results(scene.event.id).await?;
    if let Some(group) = &args.group {
        let wanted = folded(strip_group_word(group));
        results.retain(|result| result.group.as_deref().is_some_and(|group| folded(group) == wanted));
    }
    if args.unverified {
        results.retain(|result| result.state == ResultState::Provisional && result.verified_at.is_none());
    }
    out.list(results, |results| {
        let mut table = Table::new(&[">#", "home", "score", "away", "state", "group", ">version"]);
        for result in results {
            let fixture = scene.fixtures.iter().find(|fixture| fixture.fixture_id == result.fixture_id);
            let name = |of: fn(&ScheduleItem) -> &String| fixture.map_or_else(|| "-".to_owned(), |f| of(f).clone());
            table.row([
                result.number.to_string(),
                name(|fixture| &fixture.home_team.name),
                or_dash(score::score(result).as_deref()),
                name(|fixture| &fixture.away_team.name),
                score::state(result),
                or_dash(result.group.as_deref()),
                result.version.to_string(),
            ]);
        }
        table
    })
}
