//! Import of a whole tournament in one transaction: everything in the file, or nothing.

use rusqlite::Connection;
use timely_core::body::{Imported, NewEvent};
use timely_core::event::Event;
use timely_core::fixture::{Fixture, Side};
use timely_core::id::{EventId, FixtureId, TeamId, VenueId};
use timely_core::result::{Outcome, ResultState};
use timely_core::team::Team;
use timely_core::topic::{StateLane, Topic};
use timely_core::tournament::{Plan, PlannedFixture, PlannedOutcome, PlannedSide, Tournament, TournamentError};
use timely_core::venue::Venue;

use serde_json::json;

use crate::error::Error;
use crate::store::change_log::Entry;
use crate::store::columns::{count, kept};
use crate::store::events::{described, is_named};
use crate::store::idempotency::{self, Status};
use crate::store::writer::Tx;
use crate::store::{
    Caller, Done, Effect, Store, events, fixtures, progression, results, rights, standings, teams, venues,
};

impl Store {
    /// Creates an event with everything in it, or nothing at all. Outcomes are entered and confirmed,
    /// with their history.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong in the file, [`Error::Rule`] when an event of
    /// that name exists.
    pub async fn import(&self, by: Caller, tournament: Tournament) -> Result<Done<Imported>, Error> {
        self.write(move |tx| import(tx, &by, &tournament)).await
    }
}

fn import(tx: &mut Tx<'_>, by: &Caller, tournament: &Tournament) -> Result<Done<Imported>, Error> {
    rights::owner(&by.actor, "import events")?;
    let plan = tournament.check().map_err(|errors| Error::Invalid(errors.iter().map(pointed).collect()))?;
    let event = described(NewEvent {
        name: plan.name.clone(),
        starts_on: plan.starts_on,
        ends_on: Some(plan.ends_on),
        timezone: Some(plan.timezone.clone()),
        visibility: plan.visibility,
        rules: Some(plan.rules.to_owned()),
        count: timely_core::event::Count::default(),
    })?;
    if let Some(first) = idempotency::first(tx, by)? {
        let event = events::get(tx, EventId(first.resource_id))?;
        let value = imported(tx, &event)?;
        return Ok(first.again(value));
    }
    if is_named(tx, &event.name)? {
        return Err(Error::Rule(format!(
            "there is an event named {} already; import under another name, or delete that event first",
            event.name
        )));
    }
    tx.begin(by, "import");
    let event = events::add(tx, event)?;
    let event_id = event.id;
    let mut venue_ids = Vec::with_capacity(plan.venues.len());
    for venue in &plan.venues {
        let venue = Venue { id: VenueId(0), event_id, name: venue.name.clone(), areas: venue.areas.clone() };
        venues::check(&venue)?;
        venue_ids.push(venues::add(tx, venue)?.id);
    }
    let mut team_ids = Vec::with_capacity(plan.teams.len());
    for team in &plan.teams {
        let (name, code, group) = (team.name.clone(), Some(team.code.clone()), team.group.clone());
        let team = Team { id: TeamId(0), event_id, name, code, group };
        teams::check(&team)?;
        team_ids.push(teams::add(tx, team)?.id);
    }
    let mut pending = Vec::new();
    for planned in &plan.fixtures {
        let mut fixture = unplayed(planned, event_id, &venue_ids, &team_ids);
        fixture.id = fixtures::add(tx, &fixture)?;
        if let Some(outcome) = &planned.outcome {
            pending.push((fixture.id, outcome));
        }
    }
    enter(tx, &event, &plan, pending)?;
    let pos = tx.append(
        Entry::changed(Some(event_id))
            .refreshing([StateLane::new(Topic::Event(event_id))])
            .refreshing(standings::all_lanes(tx, event_id)?)
            .undone_by(json!({ "delete_event": event_id })),
    )?;
    let value = imported(tx, &event)?;
    idempotency::remember(tx, by, "event", event_id.0, None, Status::Created)?;
    Ok(Done { value, pos, effect: Effect::Created })
}

/// A mistake in the file; its place reads as a pointer as far as a place in a text can.
fn pointed(error: &TournamentError) -> (String, String) {
    (format!("/{}", error.place.replace(": ", "/").replace(' ', "/")), error.to_string())
}

fn unplayed(planned: &PlannedFixture, event_id: EventId, venues: &[VenueId], teams: &[TeamId]) -> Fixture {
    let side = |side: &PlannedSide| match side {
        PlannedSide::Team(index) => Side { team: teams.get(*index).copied(), slot: None },
        PlannedSide::Slot(slot) => Side { team: None, slot: Some(slot.clone()) },
    };
    Fixture {
        id: FixtureId(0),
        event_id,
        number: planned.number,
        phase: planned.phase,
        group: planned.group.clone(),
        round: planned.round.clone(),
        home: side(&planned.home),
        away: side(&planned.away),
        start_at: kept(planned.start_at),
        venue_id: planned.venue.and_then(|index| venues.get(index).copied()),
        area: planned.area.clone(),
        status: timely_core::fixture::FixtureStatus::Scheduled,
        version: 1,
    }
}

/// Enters the outcomes in the order in which the brackets learn their teams.
fn enter(
    tx: &mut Tx<'_>,
    event: &Event,
    plan: &Plan,
    mut pending: Vec<(FixtureId, &PlannedOutcome)>,
) -> Result<(), Error> {
    while !pending.is_empty() {
        let before = pending.len();
        let mut waiting = Vec::new();
        for (id, outcome) in pending {
            let fixture = fixtures::to_rules(event.id, &fixtures::item(tx, id)?);
            if let (Some(home), Some(away)) = (fixture.home.team, fixture.away.team) {
                confirm(tx, &fixture, outcome, home, away)?;
            } else {
                waiting.push((id, outcome));
            }
        }
        // Nothing is announced: nobody follows an event that is not there yet.
        progression::settle(tx, event)?;
        if waiting.len() == before {
            return Err(Error::Rule(format!(
                "{} has {} scores in fixtures whose teams are not decided by the results before them",
                plan.name,
                waiting.len()
            )));
        }
        pending = waiting;
    }
    Ok(())
}

fn confirm(tx: &Tx<'_>, fixture: &Fixture, planned: &PlannedOutcome, home: TeamId, away: TeamId) -> Result<(), Error> {
    let outcome = Outcome {
        score: planned.score,
        full_time: planned.full_time,
        shoot_out: planned.shoot_out,
        state: ResultState::Provisional,
        minute: None,
        goals: planned.goals.iter().map(|goal| goal.goal(home, away)).collect(),
    };
    outcome.check(fixture.home.team, fixture.away.team)?;
    let status = fixture.record(&outcome, None)?;
    let fixture = Fixture { status, ..fixture.clone() };
    fixtures::save(tx, &fixture)?;
    let at = tx.at()?;
    let entered = results::write(tx, &fixture, results::entered(None, outcome, at), ("import", None))?;
    results::write(tx, &fixture, results::finalised(&entered, at), ("import", None))?;
    Ok(())
}

/// What the event has now.
fn imported(conn: &Connection, event: &Event) -> Result<Imported, Error> {
    let of = |sql| count(conn, sql, [event.id.0]);
    Ok(Imported {
        event_id: event.id,
        name: event.name.clone(),
        teams: of("SELECT count(*) FROM teams WHERE event_id = ?1")?,
        venues: of("SELECT count(*) FROM venues WHERE event_id = ?1")?,
        fixtures: of("SELECT count(*) FROM fixtures WHERE event_id = ?1")?,
        results: of("SELECT count(*) FROM results r JOIN fixtures f ON f.id = r.fixture_id
             WHERE f.event_id = ?1 AND r.state <> 'ANNULLED'")?,
    })
}

#[cfg(test)]
mod tests {
    use timely_core::result::ResultState;

    use super::*;
    use crate::store::Expected;
    use crate::store::testing::{ALL, Ground, keyed, owner, score};

    fn cup(name: &str) -> Tournament {
        let fixture = |number: u32, home: &str, away: &str, score: Option<&str>| json!({ "number": number, "start": "2026-06-01T10:00:00", "home": home, "away": away, "score": score });
        let knockout = |number: u32, home: &str, away: &str, score: Option<&str>| {
            let mut fixture = fixture(number, home, away, score);
            fixture["phase"] = json!("KO");
            fixture
        };
        let team = |code: &str, name: &str| json!({ "code": code, "name": name, "group": "A" });
        serde_json::from_value(json!({
            "event": { "name": name, "starts_on": "2026-06-01", "timezone": "Europe/Berlin" },
            "venue": [{ "name": "Park", "areas": ["Pitch 1"] }],
            "team": [team("RED", "Reds"), team("BLU", "Blues"), team("GRE", "Greens")],
            // The final stands first, so that its outcome waits for the group.
            "fixture": [
                knockout(1, "1st of A", "2nd of A", Some("3-2")),
                fixture(2, "RED", "BLU", Some("2-0")),
                fixture(3, "BLU", "GRE", Some("1-0")),
                fixture(4, "GRE", "RED", Some("0-1")),
                knockout(5, "winner of #1", "GRE", None),
            ],
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn a_tournament_comes_whole_with_history_and_brackets_in_one_change() {
        let ground = Ground::new();
        let done = ground.store.import(keyed("i", "POST"), cup("Harbour Cup")).await.unwrap();
        let event = done.value.event_id;
        let Imported { teams, venues, fixtures, results, .. } = done.value.clone();
        assert_eq!((teams, venues, fixtures, results), (3, 1, 5, 4));
        assert_eq!((done.pos, ground.log().await.len()), (1, 1), "one row");
        assert_eq!(ground.table(event).await, "Reds 6 2/0/0, Blues 3 1/0/1, Greens 0 0/0/2");
        let items = ground.store.fixtures(None, event, ALL).await.unwrap().items;
        assert_eq!((items[0].home_team.name.as_str(), items[0].away_team.name.as_str()), ("Reds", "Blues"));
        assert_eq!(items[4].home_team.name, "Reds", "who won the final");
        assert_eq!(items[0].start_at.to_string(), "2026-06-01T08:00:00Z", "local time of the event");
        let results = ground.store.results(None, event, ALL).await.unwrap().value.items;
        assert!(results.iter().all(|result| result.state == ResultState::Official && result.version == 2));
        assert!(results.iter().all(|result| result.finalized_at.is_some()));
        let versions = ground.store.read(|conn| count(conn, "SELECT count(*) FROM result_versions", [])).await;
        assert_eq!(versions.unwrap(), 8);

        let again = ground.store.import(keyed("i", "POST"), cup("Harbour Cup")).await.unwrap();
        assert!(matches!(again.effect, Effect::Replayed { status: 201, pos: 1, .. }));
        assert_eq!(again.value, done.value);
        let twice = ground.store.import(owner(), cup("HARBOUR cup")).await.unwrap_err();
        assert!(matches!(&twice, Error::Rule(said) if said.contains("another name")), "{twice:?}");
        // It goes on like any other event.
        let refused = ground.put(items[0].fixture_id, score("0-1")).await;
        assert!(matches!(refused, Err(Error::Rule(_))), "official");
        let done = ground.store.put_result(owner(), items[4].fixture_id, Expected::Unsaid, score("1-0")).await.unwrap();
        assert!(done.pos > 1);
        ground.assert_dense().await;
    }

    #[tokio::test]
    async fn a_file_with_a_mistake_leaves_nothing() {
        let ground = Ground::new();
        let mut wrong = cup("Harbour Cup");
        wrong.fixtures[1].home = "XXX".to_owned();
        assert!(matches!(ground.store.import(owner(), wrong).await, Err(Error::Invalid(_))));
        let mut level = cup("Harbour Cup");
        level.fixtures[0].score = Some("1-1".parse().unwrap());
        let refused = ground.store.import(owner(), level).await.unwrap_err();
        assert!(matches!(refused, Error::Rule(_) | Error::Invalid(_)), "{refused:?}");
        assert_eq!(ground.head(), 0);
        assert!(ground.store.events(owner().actor, ALL).await.unwrap().items.is_empty());
        ground.store.import(owner(), cup("Harbour Cup")).await.unwrap();
    }
}
