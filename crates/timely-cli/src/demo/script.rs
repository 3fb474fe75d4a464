//! What an organiser's desk would have typed, minute by minute.
//!
//! A pure function of the tournament: kick-offs, goals, breaks, full times, confirmations, some
//! announcements and one rescheduled fixture, each at its moment of event time. Who sends the steps,
//! and how fast, is the player's business.

use jiff::{SignedDuration, Timestamp};
use timely_core::announcement::{AnnouncementType, Priority};
use timely_core::fixture::{MatchCommand, Phase};
use timely_core::result::{ResultState, Score};
use timely_core::tournament::{Plan, PlannedFixture, PlannedGoal, PlannedOutcome};

/// One thing typed at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub at: Timestamp,
    pub action: Action,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Command { number: u32, command: MatchCommand },
    Score(Scored),
    Finalise { number: u32 },
    Reschedule { number: u32, to: Timestamp },
    Announce(Announced),
}

/// A score with everything known at that minute.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    pub number: u32,
    pub score: Score,
    pub state: ResultState,
    pub minute: Option<u16>,
    pub full_time: Option<Score>,
    pub shoot_out: Option<Score>,
    pub goals: Vec<PlannedGoal>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    pub title: &'static str,
    pub message: &'static str,
    pub kind: AnnouncementType,
    pub priority: Priority,
    /// How long it stays on the screens.
    pub lasts: SignedDuration,
}

impl Action {
    /// The fixture it is about.
    pub const fn fixture(&self) -> Option<u32> {
        match self {
            Self::Command { number, .. } | Self::Finalise { number } | Self::Reschedule { number, .. } => Some(*number),
            Self::Score(scored) => Some(scored.number),
            Self::Announce(_) => None,
        }
    }
}

/// The script of a whole tournament and the evening the demo opens with.
#[derive(Clone, Debug)]
pub struct Script {
    /// In order of time.
    pub steps: Vec<Step>,
    /// The evening's window: a minute before its first kick-off, and after its last step.
    pub evening: (Timestamp, Timestamp),
    /// The first kick-off of all, and the end of the last step.
    pub whole: (Timestamp, Timestamp),
    /// The fixture that is moved during the evening, and the start it has until then.
    pub moved: (u32, Timestamp),
}

const fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

/// How long after full time a result is confirmed.
const CONFIRMED_AFTER: SignedDuration = minutes(6);

/// Writes the script of `plan`; the evening is the last match day of group `group`.
///
/// `None` when the group has no fixture, or nothing is played after its last one.
pub fn write(plan: &Plan, group: &str) -> Option<Script> {
    let mut steps = Vec::new();
    for fixture in &plan.fixtures {
        if let Some(outcome) = &fixture.outcome {
            play(fixture, outcome, &mut steps);
        }
    }
    let of_group = || plan.fixtures.iter().filter(|fixture| fixture.group.as_deref() == Some(group));
    let kick_off = of_group().map(|fixture| fixture.start_at).max()?;
    let evening_fixtures: Vec<u32> =
        of_group().filter(|fixture| fixture.start_at == kick_off).map(|fixture| fixture.number).collect();
    let evening_end = steps
        .iter()
        .filter(|step| step.action.fixture().is_some_and(|number| evening_fixtures.contains(&number)))
        .map(|step| step.at)
        .max()?;
    let next =
        plan.fixtures.iter().filter(|fixture| fixture.start_at > evening_end).min_by_key(|fixture| fixture.start_at)?;
    steps.push(Step {
        at: kick_off + minutes(20),
        action: Action::Reschedule { number: next.number, to: next.start_at },
    });
    for (after, announced) in evening_announcements() {
        steps.push(Step { at: kick_off + minutes(after), action: Action::Announce(announced) });
    }
    // Sorting is stable: steps of one fixture at the same moment keep their order.
    steps.sort_by_key(|step| step.at);
    let whole =
        (plan.fixtures.iter().map(|fixture| fixture.start_at).min()? - minutes(1), steps.last()?.at + minutes(1));
    Some(Script {
        steps,
        evening: (kick_off - minutes(1), evening_end + minutes(1)),
        whole,
        moved: (next.number, next.start_at - minutes(15)),
    })
}

fn evening_announcements() -> Vec<(i64, Announced)> {
    let announced =
        |title, message, kind, priority, lasts| Announced { title, message, kind, priority, lasts: minutes(lasts) };
    vec![
        (
            2,
            announced(
                "Trams run every 6 minutes tonight",
                "Line 3 from the stadium until one o'clock.",
                AnnouncementType::General,
                Priority::Normal,
                60,
            ),
        ),
        (52, announced("Gate 4 is closed", "Please leave by gate 6.", AnnouncementType::General, Priority::High, 40)),
        (
            116,
            announced(
                "Group E is decided",
                "The round of 16 begins on Saturday.",
                AnnouncementType::Result,
                Priority::Normal,
                120,
            ),
        ),
    ]
}

/// When the match clock shows a minute. Regular halves start at minute 0 and 45, extra time at 90
/// and 105.
struct Halves {
    starts: [Timestamp; 4],
}

impl Halves {
    fn half_of(minute: u16) -> usize {
        match minute {
            0..=45 => 0,
            46..=90 => 1,
            91..=105 => 2,
            _ => 3,
        }
    }

    fn moment(&self, minute: u16, added: u16) -> Timestamp {
        let half = Self::half_of(minute);
        let played = i64::from(minute) - [0, 45, 90, 105][half];
        self.starts[half] + minutes(played + i64::from(added))
    }
}

fn play(fixture: &PlannedFixture, outcome: &PlannedOutcome, steps: &mut Vec<Step>) {
    let number = fixture.number;
    let has_extra_time = outcome.full_time.is_some() || outcome.shoot_out.is_some();
    // Stoppage: at least what the goals needed.
    let stoppage = |half: usize, least: i64| {
        let goals = outcome.goals.iter().filter(|goal| Halves::half_of(goal.minute) == half);
        minutes(goals.map(|goal| i64::from(goal.added.unwrap_or(0))).max().unwrap_or(0).max(least))
    };
    let first = fixture.start_at;
    let half_time = first + minutes(45) + stoppage(0, 2);
    let second = half_time + minutes(15);
    let regular_end = second + minutes(45) + stoppage(1, 4);
    let third = regular_end + minutes(5);
    let third_end = third + minutes(15) + stoppage(2, 1);
    let fourth = third_end + minutes(1);
    let extra_end = fourth + minutes(15) + stoppage(3, 1);
    let halves = Halves { starts: [first, second, third, fourth] };

    let mut step = |at, action| steps.push(Step { at, action });
    let command = |command| Action::Command { number, command };
    step(first, command(MatchCommand::Start));
    let mut goals = outcome.goals.clone();
    goals.sort_by_key(|goal| (Halves::half_of(goal.minute), goal.minute, goal.added));
    for count in 1..=goals.len() {
        let goal = &goals[count - 1];
        let so_far = goals[..count].to_vec();
        let scored = Scored {
            number,
            score: running(&so_far),
            state: ResultState::Live,
            minute: Some(goal.minute),
            full_time: (Halves::half_of(goal.minute) > 1).then_some(outcome.full_time).flatten(),
            shoot_out: None,
            goals: so_far,
        };
        step(halves.moment(goal.minute, goal.added.unwrap_or(0)), Action::Score(scored));
    }
    step(half_time, command(MatchCommand::Pause));
    step(second, command(MatchCommand::Start));
    let mut end = regular_end;
    if has_extra_time && fixture.phase == Phase::Knockout {
        step(regular_end, command(MatchCommand::Pause));
        step(third, command(MatchCommand::Start));
        end = extra_end;
        if outcome.shoot_out.is_some() {
            end += minutes(12);
        }
    }
    step(
        end,
        Action::Score(Scored {
            number,
            score: outcome.score,
            state: ResultState::Provisional,
            minute: None,
            full_time: outcome.full_time,
            shoot_out: outcome.shoot_out,
            goals,
        }),
    );
    step(end + CONFIRMED_AFTER, Action::Finalise { number });
}

fn running(goals: &[PlannedGoal]) -> Score {
    let home = goals.iter().filter(|goal| goal.home).count();
    let side = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    Score { home: side(home), away: side(goals.len() - home) }
}

/// The steps of `script` up to `from`, shortened: a fixture that is over by then has its final
/// score entered and confirmed, and nothing before; one that is being played keeps all its steps.
pub fn catch_up(script: &Script, from: Timestamp) -> Vec<Step> {
    let (past, future): (Vec<&Step>, Vec<&Step>) = script.steps.iter().partition(|step| step.at < from);
    let playing: std::collections::BTreeSet<u32> = future.iter().filter_map(|step| step.action.fixture()).collect();
    past.into_iter()
        .filter(|step| match &step.action {
            Action::Score(scored) => scored.state != ResultState::Live || playing.contains(&scored.number),
            Action::Command { number, .. } => playing.contains(number),
            Action::Finalise { .. } | Action::Reschedule { .. } => true,
            Action::Announce(announced) => step.at + announced.lasts > from,
        })
        .cloned()
        .collect()
}
