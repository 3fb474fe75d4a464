//! Sends the steps of a script to a server, as an organiser's desk would.

use std::collections::{BTreeMap, BTreeSet};

use timely_client::{Client, Error, Expected};
use timely_core::body::{EditFixture, NewAnnouncement, PutResult};
use timely_core::fixture::ScheduleItem;
use timely_core::id::{EventId, FixtureId, TeamId};
use timely_core::problem::ProblemCode;
use timely_core::result::Outcome;

use super::script::{Action, Scored, Step};

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Played {
    /// Acknowledged; the change stands at this position of the log.
    Written { pos: u64 },
    /// Somebody else has changed the fixture since: the replay keeps its hands off it from now on.
    HandsOff { number: u32, why: String },
    /// Its fixture belongs to somebody else now.
    Skipped,
}

/// Plays steps against one event of a server.
#[derive(Debug)]
pub struct Player {
    client: Client,
    event: EventId,
    fixtures: BTreeMap<u32, FixtureId>,
    /// Version of the result this player wrote last, by fixture number.
    results: BTreeMap<u32, i64>,
    /// Fixtures that somebody else has written to.
    hands_off: BTreeSet<u32>,
}

impl Player {
    /// A player for `event`, whose fixtures have the numbers of the script.
    ///
    /// # Errors
    /// When the fixtures cannot be read.
    pub async fn new(client: Client, event: EventId) -> Result<Self, Error> {
        let fixtures = client.fixtures(event).await?.into_iter().map(|item| (item.number, item.fixture_id)).collect();
        Ok(Self { client, event, fixtures, results: BTreeMap::new(), hands_off: BTreeSet::new() })
    }

    /// Version of each result as the server last answered it, by fixture number.
    pub const fn result_versions(&self) -> &BTreeMap<u32, i64> {
        &self.results
    }

    /// Sends one step.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses for another reason than that somebody else was
    /// there first.
    pub async fn play(&mut self, step: &Step) -> Result<Played, Error> {
        let number = step.action.fixture();
        if number.is_some_and(|number| self.hands_off.contains(&number)) {
            return Ok(Played::Skipped);
        }
        match self.send(step).await {
            Ok(pos) => Ok(Played::Written { pos }),
            Err(Error::Refused(problem)) => match (number, problem.code()) {
                (Some(number), Some(ProblemCode::Rule | ProblemCode::Version | ProblemCode::VersionRequired)) => {
                    self.hands_off.insert(number);
                    Ok(Played::HandsOff { number, why: problem.detail })
                }
                _ => Err(Error::Refused(problem)),
            },
            Err(error) => Err(error),
        }
    }

    async fn send(&mut self, step: &Step) -> Result<u64, Error> {
        let client = self.client.clone();
        let pos = match &step.action {
            Action::Command { number, command } => {
                let fixture = self.read(*number).await?;
                let expected = Expected::Version(fixture.version);
                client.command_fixture(fixture.fixture_id, *command, expected).await?.pos
            }
            Action::Reschedule { number, to } => {
                let fixture = self.read(*number).await?;
                let edit = EditFixture { start_at: Some(*to), ..EditFixture::default() };
                client.edit_fixture(fixture.fixture_id, &edit, Expected::Version(fixture.version)).await?.pos
            }
            Action::Score(scored) => {
                let fixture = self.read(scored.number).await?;
                let body = PutResult::from(&outcome(scored, &fixture));
                let expected =
                    self.results.get(&scored.number).map_or(Expected::Unsaid, |version| Expected::Version(*version));
                let answer = client.put_result(fixture.fixture_id, &body, expected).await?;
                self.results.insert(scored.number, answer.value.version);
                answer.pos
            }
            Action::Finalise { number } => {
                let id = self.id(*number)?;
                let expected = self.results.get(number).map_or(Expected::Unsaid, |version| Expected::Version(*version));
                let answer = client.finalise_result(id, expected).await?;
                self.results.insert(*number, answer.value.version);
                answer.pos
            }
            Action::Announce(announced) => {
                let new = NewAnnouncement {
                    title: announced.title.to_owned(),
                    message: announced.message.to_owned(),
                    kind: announced.kind,
                    priority: announced.priority,
                    is_public: true,
                    team_ids: Vec::new(),
                    expires_at: Some(step.at + announced.lasts),
                    confirm: None,
                };
                client.create_announcement(self.event, &new).await?.pos
            }
        };
        pos.ok_or_else(|| Error::Protocol {
            address: client.address().to_owned(),
            detail: "a write was answered without its position".to_owned(),
        })
    }

    async fn read(&self, number: u32) -> Result<ScheduleItem, Error> {
        self.client.fixture(self.id(number)?).await
    }

    fn id(&self, number: u32) -> Result<FixtureId, Error> {
        self.fixtures.get(&number).copied().ok_or_else(|| Error::Protocol {
            address: self.client.address().to_owned(),
            detail: format!("the event has no fixture #{number}"),
        })
    }
}

/// The score with the teams that play: a bracket knows them only when the match begins.
fn outcome(scored: &Scored, fixture: &ScheduleItem) -> Outcome {
    // A side nobody has reached takes no goals: the server refuses the score and says why.
    let side = |id: Option<TeamId>| id.unwrap_or(TeamId(0));
    let (home, away) = (side(fixture.home_team.id), side(fixture.away_team.id));
    Outcome {
        score: scored.score,
        full_time: scored.full_time,
        shoot_out: scored.shoot_out,
        state: scored.state,
        minute: scored.minute,
        goals: scored.goals.iter().map(|goal| goal.goal(home, away)).collect(),
    }
}
