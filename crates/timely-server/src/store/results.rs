//! Results: entered, corrected, removed, confirmed.
//!
//! Each change is a new version; the earlier ones stay in `result_versions` with who, when and why.
//! A removed result keeps its place as ANNULLED without scores, so that entering it again goes on
//! counting. The status of the fixture follows its result: with a final one it is finished, without
//! one it is to be played again.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use serde_json::{Value, json};
use timely_core::access::{Action, Actor};
use timely_core::body::{Page, PutResult};
use timely_core::event::Event;
use timely_core::fixture::{Fixture, FixtureStatus, Phase, Side};
use timely_core::id::{EventId, FixtureId, ResultId, TeamId, UserId, VenueId};
use timely_core::live::Data;
use timely_core::result::{FixtureResult, Goal, Outcome, ResultRefusal, ResultState, Score};
use timely_core::slot::Slot;
use timely_core::topic::Topic;

use crate::error::Error;
use crate::store::change_log::Entry;
use crate::store::columns::{self, Json, Micros, Text, all, any, insert, json_value, one, run};
use crate::store::events::{self, one_more, page};
use crate::store::idempotency::{self, Status};
use crate::store::values::{Fields, NAME_CHARS_MAX, REASON_CHARS_MAX};
use crate::store::version::{self, Standing};
use crate::store::writer::Tx;
use crate::store::{AsOf, Caller, Done, Effect, Expected, Paging, Store, fixtures, progression, rights};

/// What is judged about an entered result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Somebody checked it; its state stays.
    Verify,
    /// It is official.
    Finalise,
    /// It is provisional again.
    Reopen,
}

/// A result as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    id: ResultId,
    /// `None` once it is annulled.
    pub(crate) outcome: Option<Outcome>,
    finalized_at: Option<Timestamp>,
    verified_at: Option<Timestamp>,
    verified_by: Option<UserId>,
    updated_at: Timestamp,
    version: i64,
}

impl Stored {
    fn state(&self) -> ResultState {
        self.outcome.as_ref().map_or(ResultState::Annulled, |outcome| outcome.state)
    }

    /// The result as it is shown.
    pub(crate) fn of(&self, fixture: &Fixture) -> FixtureResult {
        let outcome = self.outcome.as_ref();
        let score = outcome.map(|outcome| outcome.score);
        let full_time = outcome.and_then(|outcome| outcome.full_time);
        let shoot_out = outcome.and_then(|outcome| outcome.shoot_out);
        // Nobody has won a match that is being played.
        let ended = outcome.filter(|outcome| outcome.state != ResultState::Live);
        let winner_id = ended.and_then(|outcome| outcome.winner(fixture));
        FixtureResult {
            result_id: self.id,
            fixture_id: fixture.id,
            number: fixture.number,
            home_team_id: fixture.home.team,
            away_team_id: fixture.away.team,
            home_score: score.map(|score| score.home),
            away_score: score.map(|score| score.away),
            ft_home: full_time.map(|score| score.home),
            ft_away: full_time.map(|score| score.away),
            pen_home: shoot_out.map(|score| score.home),
            pen_away: shoot_out.map(|score| score.away),
            winner_id,
            is_draw: ended.is_some() && winner_id.is_none(),
            state: self.state(),
            minute: outcome.and_then(|outcome| outcome.minute),
            goals: outcome.map(|outcome| outcome.goals.clone()).unwrap_or_default(),
            group: fixture.group.clone(),
            finalized_at: self.finalized_at,
            verified_at: self.verified_at,
            created: self.version == 1,
            updated_at: self.updated_at,
            version: self.version,
        }
    }
}

/// Results with the fixtures they are of.
const RESULTS: &str = "
    SELECT r.id, r.home_score, r.away_score, r.ft_home, r.ft_away, r.pen_home, r.pen_away, r.state, r.minute,
           r.goals, r.finalized_at, r.verified_at, r.verified_by, r.updated_at, r.version,
           f.id, f.event_id, f.number, f.phase, f.group_name, f.round, f.home_team_id, f.home_slot, f.away_team_id,
           f.away_slot, f.start_at, f.venue_id, f.area, f.status, f.version
    FROM results r JOIN fixtures f ON f.id = r.fixture_id";

/// Two columns, home side first.
fn read_score(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Score>> {
    let sides: (Option<u16>, Option<u16>) = (row.get(at)?, row.get(at + 1)?);
    Ok(sides.0.zip(sides.1).map(|(home, away)| Score { home, away }))
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Fixture, Stored)> {
    let time = |at| row.get::<_, Option<Micros>>(at).map(|time| time.map(|Micros(time)| time));
    let side = |at| -> rusqlite::Result<Side> {
        Ok(Side {
            team: row.get::<_, Option<i64>>(at)?.map(TeamId),
            slot: row.get::<_, Option<Text<Slot>>>(at + 1)?.map(|Text(slot)| slot),
        })
    };
    let state: ResultState = row.get::<_, Text<_>>(7)?.0;
    let outcome = match read_score(row, 1)? {
        Some(score) => Some(Outcome {
            score,
            full_time: read_score(row, 3)?,
            shoot_out: read_score(row, 5)?,
            state,
            minute: row.get(8)?,
            goals: row.get::<_, Json<Vec<Goal>>>(9)?.0,
        }),
        None => None,
    };
    let stored = Stored {
        id: ResultId(row.get(0)?),
        outcome,
        finalized_at: time(10)?,
        verified_at: time(11)?,
        verified_by: row.get::<_, Option<i64>>(12)?.map(UserId),
        updated_at: row.get::<_, Micros>(13)?.0,
        version: row.get(14)?,
    };
    let fixture = Fixture {
        id: FixtureId(row.get(15)?),
        event_id: EventId(row.get(16)?),
        number: row.get(17)?,
        phase: row.get::<_, Text<Phase>>(18)?.0,
        group: row.get(19)?,
        round: row.get(20)?,
        home: side(21)?,
        away: side(23)?,
        start_at: row.get::<_, Micros>(25)?.0,
        venue_id: row.get::<_, Option<i64>>(26)?.map(VenueId),
        area: row.get(27)?,
        status: row.get::<_, Text<FixtureStatus>>(28)?.0,
        version: row.get(29)?,
    };
    Ok((fixture, stored))
}

/// The result of a fixture, removed or not.
pub(crate) fn find(conn: &Connection, fixture: FixtureId) -> Result<Option<Stored>, Error> {
    let found = one(conn, &format!("{RESULTS} WHERE r.fixture_id = ?1"), [fixture.0], read)?;
    Ok(found.map(|(_, stored)| stored))
}

/// The results of an event with their fixtures, removed ones included.
pub(crate) fn of_event(conn: &Connection, event: EventId) -> Result<Vec<(Fixture, Stored)>, Error> {
    all(conn, &format!("{RESULTS} WHERE f.event_id = ?1"), [event.0], read)
}

/// Whether the fixture has a result that was not removed.
pub(crate) fn standing(conn: &Connection, fixture: FixtureId) -> Result<bool, Error> {
    any(conn, "SELECT 1 FROM results WHERE fixture_id = ?1 AND state <> 'ANNULLED'", [fixture.0])
}

/// Writes the next version of a result and its history, with the command and the reason; answers it
/// as kept.
pub(crate) fn write(
    tx: &Tx<'_>,
    fixture: &Fixture,
    after: Stored,
    (command, reason): (&str, Option<&str>),
) -> Result<Stored, Error> {
    let outcome = after.outcome.as_ref();
    let score = outcome.map(|outcome| outcome.score);
    let full_time = outcome.and_then(|outcome| outcome.full_time);
    let shoot_out = outcome.and_then(|outcome| outcome.shoot_out);
    let goals = columns::json(&outcome.map(|outcome| outcome.goals.as_slice()).unwrap_or_default())?;
    let values = params![
        fixture.id.0,
        score.map(|score| score.home),
        score.map(|score| score.away),
        full_time.map(|score| score.home),
        full_time.map(|score| score.away),
        shoot_out.map(|score| score.home),
        shoot_out.map(|score| score.away),
        Text(after.state()),
        outcome.and_then(|outcome| outcome.minute),
        goals,
        after.finalized_at.map(Micros),
        after.verified_at.map(Micros),
        after.verified_by.map(|user| user.0),
        Micros(after.updated_at),
        after.version,
    ];
    let stored = if after.version == 1 {
        let id = insert(
            tx,
            "INSERT INTO results (fixture_id, home_score, away_score, ft_home, ft_away, pen_home, pen_away, state,
                                  minute, goals, finalized_at, verified_at, verified_by, updated_at, version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            values,
        )?;
        Stored { id: ResultId(id), ..after }
    } else {
        run(
            tx,
            "UPDATE results SET home_score = ?2, away_score = ?3, ft_home = ?4, ft_away = ?5, pen_home = ?6,
                    pen_away = ?7, state = ?8, minute = ?9, goals = ?10, finalized_at = ?11, verified_at = ?12,
                    verified_by = ?13, updated_at = ?14, version = ?15
             WHERE fixture_id = ?1",
            values,
        )?;
        after
    };
    let stamp = tx.stamped()?;
    run(
        tx,
        "INSERT INTO result_versions (result_id, version, result, command, reason, user_id, token_id, at, committed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            stored.id.0,
            stored.version,
            columns::json(&stored.of(fixture))?,
            command,
            reason,
            stamp.user.map(|user| user.0),
            stamp.token.map(|token| token.0),
            Micros(stamp.at),
            Micros(stamp.real),
        ],
    )?;
    Ok(stored)
}

/// Writes the next version of a result and announces it to the event and both teams, with the
/// tables of every team that stands in one with them.
fn publish(
    tx: &mut Tx<'_>,
    fixture: &Fixture,
    after: Stored,
    history: (&str, Option<&str>),
) -> Result<FixtureResult, Error> {
    let was = Some(after.version - 1).filter(|version| *version > 0);
    let shown = write(tx, fixture, after, history)?.of(fixture);
    let event = fixture.event_id;
    let topics = std::iter::once(Topic::EventResults(event)).chain(fixture.teams().map(Topic::TeamResults));
    let data = Data::Result { event_id: event, result: shown.clone(), timestamp: tx.at()? };
    let group = (fixture.phase == Phase::RoundRobin).then(|| fixture.group.clone()).flatten();
    let entry = Entry::message(event, data, topics)
        .group(group)
        .refreshing(fixtures::board_lanes(tx, fixture)?)
        .undone_by(json!({ "result_of": fixture.id, "version_was": was }));
    tx.append(entry)?;
    Ok(shown)
}

/// The first version of a result, or the next one of `before`.
pub(crate) fn entered(before: Option<&Stored>, outcome: Outcome, at: Timestamp) -> Stored {
    Stored {
        id: before.map_or(ResultId(0), |before| before.id),
        outcome: Some(outcome),
        finalized_at: None,
        // Who checked it has not seen this one.
        verified_at: None,
        verified_by: None,
        updated_at: at,
        version: before.map_or(1, |before| before.version + 1),
    }
}

/// The next version of a result, official.
pub(crate) fn finalised(before: &Stored, at: Timestamp) -> Stored {
    let mut after = Stored { version: before.version + 1, updated_at: at, finalized_at: Some(at), ..before.clone() };
    if let Some(outcome) = &mut after.outcome {
        outcome.state = ResultState::Official;
    }
    after
}

/// Lets the fixture take the status its result gives it.
fn follow(tx: &mut Tx<'_>, fixture: &Fixture, status: FixtureStatus) -> Result<Fixture, Error> {
    if status == fixture.status {
        return Ok(fixture.clone());
    }
    let after = Fixture { status, ..fixture.clone() };
    let shown = fixtures::save(tx, &after)?;
    let at = tx.at()?;
    tx.append(fixtures::update(fixture.event_id, &shown, &[], at))?;
    Ok(fixtures::to_rules(fixture.event_id, &shown))
}

/// Play has ended: a running score becomes the final one.
///
/// # Errors
/// [`Error::Rule`] when the score cannot be final, for example level in a knockout.
pub(crate) fn end_of_play(tx: &mut Tx<'_>, event: &Event, fixture: &Fixture) -> Result<(), Error> {
    let Some(before) = find(tx, fixture.id)? else { return Ok(()) };
    let Some(running) = before.outcome.clone().filter(|outcome| outcome.state == ResultState::Live) else {
        return Ok(());
    };
    let outcome = Outcome { state: ResultState::Provisional, minute: None, ..running };
    outcome.check(fixture.home.team, fixture.away.team).map_err(|invalid| Error::Rule(invalid.detail))?;
    fixture.record(&outcome, Some(&before.of(fixture)))?;
    events::takes_place(event)?;
    let at = tx.at()?;
    publish(tx, fixture, entered(Some(&before), outcome, at), ("finish_fixture", None))?;
    Ok(())
}

/// The match does not count: its result, if it has one, is annulled.
pub(crate) fn void(tx: &mut Tx<'_>, fixture: &Fixture, command: &'static str) -> Result<(), Error> {
    match find(tx, fixture.id)? {
        Some(before) if before.outcome.is_some() => annulled(tx, fixture, &before, (command, None)).map(drop),
        _ => Ok(()),
    }
}

fn annulled(
    tx: &mut Tx<'_>,
    fixture: &Fixture,
    before: &Stored,
    history: (&str, Option<&str>),
) -> Result<FixtureResult, Error> {
    let after = Stored {
        outcome: None,
        finalized_at: None,
        verified_at: None,
        verified_by: None,
        updated_at: tx.at()?,
        version: before.version + 1,
        ..before.clone()
    };
    publish(tx, fixture, after, history)
}

/// A result on its way to being changed.
struct Target {
    event: Event,
    fixture: Fixture,
}

fn target(tx: &Tx<'_>, by: &Caller, id: FixtureId, manage: bool) -> Result<Target, Error> {
    rights::signed_in(&by.actor)?;
    let (event, shown) = fixtures::with_event(tx, id)?;
    let action = if manage { Action::Manage } else { Action::Score { area: shown.area.as_deref() } };
    let event = rights::in_event(tx, &by.actor, event, action)?;
    let fixture = fixtures::to_rules(event.id, &shown);
    Ok(Target { event, fixture })
}

fn again(tx: &Tx<'_>, first: idempotency::First, fixture: &Fixture) -> Result<Done<FixtureResult>, Error> {
    Ok(first.again(find(tx, fixture.id)?.ok_or(Error::NotFound)?.of(fixture)))
}

fn unchanged(tx: &Tx<'_>, before: &Stored, fixture: &Fixture) -> Done<FixtureResult> {
    Done { value: before.of(fixture), pos: tx.head(), effect: Effect::Unchanged }
}

fn put(
    tx: &mut Tx<'_>,
    by: &Caller,
    id: FixtureId,
    expected: Expected,
    body: &PutResult,
) -> Result<Done<FixtureResult>, Error> {
    let Target { event, fixture } = target(tx, by, id, false)?;
    let outcome = body.outcome()?;
    outcome.check(fixture.home.team, fixture.away.team)?;
    let mut fields = Fields::default();
    fields.text("/reason", body.reason.as_deref().unwrap_or_default(), REASON_CHARS_MAX);
    for (index, goal) in outcome.goals.iter().enumerate() {
        fields.text(format!("/goals/{index}/player"), goal.player.as_deref().unwrap_or_default(), NAME_CHARS_MAX);
    }
    fields.done()?;
    if let Some(first) = idempotency::first(tx, by)? {
        return again(tx, first, &fixture);
    }
    let before = find(tx, id)?;
    match &before {
        Some(before) => {
            let as_wanted = before.outcome.as_ref() == Some(&outcome);
            let standing = if as_wanted { Standing::AsWanted } else { Standing::Otherwise };
            let current = || json_value(&before.of(&fixture));
            if version::check(expected, before.version, standing, current, || json_value(body))? == Standing::AsWanted {
                return Ok(unchanged(tx, before, &fixture));
            }
        }
        None => {
            if let Expected::Version(_) = expected {
                return Err(Error::Version { version: 0, current: Value::Null, yours: json_value(body)? });
            }
        }
    }
    let shown = before.as_ref().map(|before| before.of(&fixture));
    let status = fixture.record(&outcome, shown.as_ref())?;
    events::takes_place(&event)?;
    tx.begin(by, "put_result");
    let after = entered(before.as_ref(), outcome, tx.at()?);
    let value = publish(tx, &fixture, after, ("put_result", body.reason.as_deref()))?;
    let fixture = follow(tx, &fixture, status)?;
    progression::advance(tx, &event, progression::Touched::Changed(&fixture))?;
    idempotency::remember(tx, by, "result", id.0, Some(value.version), Status::Ok)?;
    let effect = if value.created { Effect::Created } else { Effect::Changed };
    Ok(Done { value, pos: tx.head(), effect })
}

fn annul(
    tx: &mut Tx<'_>,
    by: &Caller,
    id: FixtureId,
    expected: Expected,
    reason: Option<&str>,
) -> Result<Done<FixtureResult>, Error> {
    let Target { event, fixture } = target(tx, by, id, true)?;
    let mut fields = Fields::default();
    fields.text("/reason", reason.unwrap_or_default(), REASON_CHARS_MAX);
    fields.done()?;
    if let Some(first) = idempotency::first(tx, by)? {
        return again(tx, first, &fixture);
    }
    let before = find(tx, id)?.ok_or(ResultRefusal::Missing(fixture.number))?;
    let standing = if before.outcome.is_none() { Standing::AsWanted } else { Standing::Otherwise };
    let current = || json_value(&before.of(&fixture));
    let yours = || Ok(json!({ "state": ResultState::Annulled }));
    if version::check(expected, before.version, standing, current, yours)? == Standing::AsWanted {
        return Ok(unchanged(tx, &before, &fixture));
    }
    if before.state() == ResultState::Official {
        return Err(ResultRefusal::Official(fixture.number).into());
    }
    tx.begin(by, "annul_result");
    let value = annulled(tx, &fixture, &before, ("annul_result", reason))?;
    let status = match fixture.status {
        // Without its result the match has not been played.
        FixtureStatus::Live | FixtureStatus::Paused | FixtureStatus::Finished => FixtureStatus::Scheduled,
        status @ (FixtureStatus::Scheduled
        | FixtureStatus::Postponed
        | FixtureStatus::Cancelled
        | FixtureStatus::Abandoned) => status,
    };
    let fixture = follow(tx, &fixture, status)?;
    progression::advance(tx, &event, progression::Touched::Changed(&fixture))?;
    idempotency::remember(tx, by, "result", id.0, Some(value.version), Status::Ok)?;
    Ok(Done { value, pos: tx.head(), effect: Effect::Changed })
}

fn judge(
    tx: &mut Tx<'_>,
    by: &Caller,
    id: FixtureId,
    expected: Expected,
    verdict: Judgement,
) -> Result<Done<FixtureResult>, Error> {
    let Target { event, fixture } = target(tx, by, id, verdict != Judgement::Verify)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return again(tx, first, &fixture);
    }
    let before = find(tx, id)?.ok_or(ResultRefusal::Missing(fixture.number))?;
    let stands = match verdict {
        Judgement::Verify => before.verified_at.is_some(),
        Judgement::Finalise => before.state() == ResultState::Official,
        Judgement::Reopen => before.state() == ResultState::Provisional,
    };
    let standing = if stands { Standing::AsWanted } else { Standing::Otherwise };
    let (command, cause, wanted) = match verdict {
        Judgement::Verify => ("verified", "verify_result", json!({ "verified": true })),
        Judgement::Finalise => ("made official", "finalise_result", json!({ "state": ResultState::Official })),
        Judgement::Reopen => ("reopened", "reopen_result", json!({ "state": ResultState::Provisional })),
    };
    let current = || json_value(&before.of(&fixture));
    if version::check(expected, before.version, standing, current, || Ok(wanted))? == Standing::AsWanted {
        return Ok(unchanged(tx, &before, &fixture));
    }
    let may = match verdict {
        Judgement::Verify => matches!(before.state(), ResultState::Provisional | ResultState::Official),
        Judgement::Finalise => before.state() == ResultState::Provisional,
        Judgement::Reopen => before.state() == ResultState::Official,
    };
    if !may {
        return Err(ResultRefusal::State { number: fixture.number, state: before.state(), command }.into());
    }
    tx.begin(by, cause);
    let at = tx.at()?;
    let mut after = Stored { version: before.version + 1, updated_at: at, ..before.clone() };
    match verdict {
        Judgement::Verify => {
            after.verified_at = Some(at);
            after.verified_by = tx.stamped()?.user;
        }
        Judgement::Finalise => after = finalised(&before, at),
        Judgement::Reopen => {
            after.finalized_at = None;
            if let Some(outcome) = &mut after.outcome {
                outcome.state = ResultState::Provisional;
            }
        }
    }
    let value = publish(tx, &fixture, after, (cause, None))?;
    progression::advance(tx, &event, progression::Touched::Changed(&fixture))?;
    idempotency::remember(tx, by, "result", id.0, Some(value.version), Status::Ok)?;
    Ok(Done { value, pos: tx.head(), effect: Effect::Changed })
}

fn list(conn: &Connection, actor: &Actor, event: EventId, paging: Paging) -> Result<Page<FixtureResult>, Error> {
    rights::in_event(conn, actor, event, Action::Read)?;
    let results = all(
        conn,
        &format!("{RESULTS} WHERE f.event_id = ?1 AND f.number > ?2 ORDER BY f.number LIMIT ?3"),
        params![event.0, paging.after, one_more(paging.limit)],
        |row| read(row).map(|(fixture, stored)| stored.of(&fixture)),
    )?;
    Ok(page(results, paging.limit, |result| i64::from(result.number)))
}

impl Store {
    /// Enters or corrects a result.
    pub async fn put_result(
        &self,
        by: Caller,
        fixture: FixtureId,
        expected: Expected,
        body: PutResult,
    ) -> Result<Done<FixtureResult>, Error> {
        self.write(move |tx| put(tx, &by, fixture, expected, &body)).await
    }

    /// Removes a result that is not official: it stays as ANNULLED, and the match is to be played.
    pub async fn annul_result(
        &self,
        by: Caller,
        fixture: FixtureId,
        expected: Expected,
        reason: Option<String>,
    ) -> Result<Done<FixtureResult>, Error> {
        self.write(move |tx| annul(tx, &by, fixture, expected, reason.as_deref())).await
    }

    /// Confirms a result, or takes the confirmation back.
    pub async fn judge_result(
        &self,
        by: Caller,
        fixture: FixtureId,
        expected: Expected,
        verdict: Judgement,
    ) -> Result<Done<FixtureResult>, Error> {
        self.write(move |tx| judge(tx, &by, fixture, expected, verdict)).await
    }

    /// The result of a fixture; one that was removed is ANNULLED.
    pub async fn result(&self, actor: Actor, fixture: FixtureId) -> Result<FixtureResult, Error> {
        self.read(move |conn| {
            let (event, shown) = fixtures::with_event(conn, fixture)?;
            rights::in_event(conn, &actor, event, Action::Read)?;
            let stored = find(conn, fixture)?.ok_or(Error::NotFound)?;
            Ok(stored.of(&fixtures::to_rules(event, &shown)))
        })
        .await
    }

    /// The results of an event by number of the fixture, removed ones included.
    pub async fn results(
        &self,
        actor: Actor,
        event: EventId,
        page: Paging,
    ) -> Result<AsOf<Page<FixtureResult>>, Error> {
        self.read_as_of(move |conn| list(conn, &actor, event, page)).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{ProptestConfig, Strategy, prop_oneof, proptest};
    use timely_core::access::Role;
    use timely_core::event::Count;
    use timely_core::fixture::MatchCommand;
    use timely_core::standings::{self, Entrant, Match, rules};
    use timely_core::topic::StateLane;

    use super::*;
    use crate::store::testing::{ALL, Ground, bearer, by, live, new_fixture, owner, score, time};

    #[tokio::test]
    async fn a_result_reaches_the_event_both_teams_and_every_table_of_the_group() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], Some("A")).await;
        let [greens] = ground.teams(event, ["Greens"], Some("A")).await;
        ground.teams(event, ["Golds"], Some("B")).await;
        let fixture = ground.fixture(event, reds, blues).await.fixture_id;
        let before = ground.head();
        let done = ground.store.put_result(owner(), fixture, Expected::Unsaid, score("2-1")).await.unwrap();
        assert_eq!((done.effect, done.value.created, done.value.version), (Effect::Created, true, 1));
        assert_eq!((done.value.winner_id, done.value.is_draw), (Some(reds), false));
        assert_eq!(
            ground.news(before).await,
            [
                format!("result_update event_{event}_results team_{reds}_results team_{blues}_results"),
                format!("fixture_update event_{event}_schedule team_{reds}_schedule team_{blues}_schedule"),
            ]
        );
        let rows = ground.store.rows_after(before, 10).await.unwrap();
        assert_eq!(done.pos, rows[1].pos);
        assert_eq!(rows[0].group.as_deref(), Some("A"));
        let topics = [reds, blues, greens].map(Topic::TeamResults);
        let lanes: Vec<StateLane> = std::iter::once(Topic::EventResults(event))
            .chain(topics)
            .map(|topic| StateLane::board(topic, Some("A")))
            .collect();
        assert_eq!(rows[0].refreshes, lanes);
        // The message is the answer.
        let sent: Value = serde_json::from_str(&rows[0].data).unwrap();
        assert_eq!(sent["result"], json_value(&done.value).unwrap());
        assert_eq!(ground.store.result(None, fixture).await.unwrap(), done.value);
        assert_eq!(ground.store.fixture(None, fixture).await.unwrap().status, FixtureStatus::Finished);
    }

    #[tokio::test]
    async fn versions_decide_who_may_replace_a_result() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let fixture = ground.fixture(event, reds, blues).await.fixture_id;
        let put = |expected, body: PutResult| ground.store.put_result(owner(), fixture, expected, body);
        assert!(matches!(
            put(Expected::Version(1), score("1-0")).await,
            Err(Error::Version { version: 0, current: Value::Null, .. })
        ));
        put(Expected::Unsaid, score("1-0")).await.unwrap();
        let head = ground.head();
        let same = put(Expected::Unsaid, score("1-0")).await.unwrap();
        assert_eq!((same.effect, same.pos, ground.head()), (Effect::Unchanged, head, head));
        let unsaid = put(Expected::Unsaid, score("2-0")).await.unwrap_err();
        assert!(matches!(&unsaid, Error::VersionRequired { version: 1, current } if current["home_score"] == 1));
        let lost = put(Expected::Version(7), score("2-0")).await.unwrap_err();
        assert!(matches!(&lost, Error::Version { version: 1, current, yours }
            if current["home_score"] == 1 && yours["home_score"] == 2));
        assert_eq!(ground.head(), head, "a refused write leaves no row");
        assert_eq!(put(Expected::Version(1), score("2-0")).await.unwrap().value.version, 2);
        let third = put(Expected::Any, score("3-0")).await.unwrap();
        assert_eq!((third.effect, third.value.version, third.value.created), (Effect::Changed, 3, false));
        let kept: Vec<(i64, String)> = ground
            .store
            .read(|conn| {
                all(conn, "SELECT version, result ->> 'home_score' FROM result_versions ORDER BY version", [], |row| {
                    Ok((row.get(0)?, row.get::<_, i64>(1)?.to_string()))
                })
            })
            .await
            .unwrap();
        assert_eq!(kept, [(1, "1".to_owned()), (2, "2".to_owned()), (3, "3".to_owned())]);
    }

    #[tokio::test]
    async fn every_turn_of_win_draw_and_loss_is_counted_anew() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let fixture = ground.fixture(event, reds, blues).await.fixture_id;
        for (text, table) in [
            ("1-0", "Reds 3 1/0/0, Blues 0 0/0/1"),
            ("1-1", "Blues 1 0/1/0, Reds 1 0/1/0"),
            ("0-1", "Blues 3 1/0/0, Reds 0 0/0/1"),
            ("7-0", "Reds 3 1/0/0, Blues 0 0/0/1"),
            ("7-1", "Reds 3 1/0/0, Blues 0 0/0/1"),
            ("0-7", "Blues 3 1/0/0, Reds 0 0/0/1"),
            ("2-2", "Blues 1 0/1/0, Reds 1 0/1/0"),
        ] {
            let shown = ground.put(fixture, score(text)).await.unwrap().value;
            assert_eq!(ground.table(event).await, table, "{text}");
            assert_eq!(shown.is_draw, shown.winner_id.is_none(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_removed_result_leaves_the_table_and_entering_it_again_goes_on_counting() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let fixture = ground.fixture(event, reds, blues).await.fixture_id;
        let annul = |expected| ground.store.annul_result(owner(), fixture, expected, Some("wrong match".to_owned()));
        assert!(matches!(annul(Expected::Any).await, Err(Error::Rule(_))), "nothing to remove");
        ground.put(fixture, score("1-0")).await.unwrap();
        assert!(matches!(annul(Expected::Unsaid).await, Err(Error::VersionRequired { version: 1, .. })));
        let before = ground.head();
        let gone = annul(Expected::Version(1)).await.unwrap();
        assert_eq!((gone.value.state, gone.value.home_score, gone.value.version), (ResultState::Annulled, None, 2));
        assert_eq!((gone.value.winner_id, gone.value.is_draw), (None, false));
        assert_eq!(ground.table(event).await, "Blues 0 0/0/0, Reds 0 0/0/0");
        assert_eq!(ground.store.fixture(None, fixture).await.unwrap().status, FixtureStatus::Scheduled);
        assert!(ground.news(before).await[0].starts_with("result_update"));
        assert_eq!(annul(Expected::Unsaid).await.unwrap().effect, Effect::Unchanged);
        assert!(matches!(
            ground.store.put_result(owner(), fixture, Expected::Unsaid, score("2-0")).await,
            Err(Error::VersionRequired { version: 2, .. })
        ));
        let again = ground.store.put_result(owner(), fixture, Expected::Version(2), score("2-0")).await.unwrap();
        assert_eq!((again.effect, again.value.created, again.value.version), (Effect::Changed, false, 3));
        assert_eq!(ground.table(event).await, "Reds 3 1/0/0, Blues 0 0/0/1");
    }

    #[tokio::test]
    async fn an_official_result_is_reopened_before_it_changes() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let fixture = ground.fixture(event, reds, blues).await.fixture_id;
        let judge = |expected, verdict| ground.store.judge_result(owner(), fixture, expected, verdict);
        assert!(matches!(judge(Expected::Any, Judgement::Finalise).await, Err(Error::Rule(_))), "no result");
        ground.put(fixture, live("1-0")).await.unwrap();
        for verdict in [Judgement::Verify, Judgement::Finalise, Judgement::Reopen] {
            assert!(matches!(judge(Expected::Any, verdict).await, Err(Error::Rule(_))), "{verdict:?} while played");
        }
        ground.put(fixture, score("1-0")).await.unwrap();
        let verified = judge(Expected::Version(2), Judgement::Verify).await.unwrap().value;
        assert_eq!((verified.state, verified.verified_at), (ResultState::Provisional, Some(time(0))));
        assert_eq!(judge(Expected::Unsaid, Judgement::Verify).await.unwrap().effect, Effect::Unchanged);
        let official = judge(Expected::Version(3), Judgement::Finalise).await.unwrap().value;
        assert_eq!((official.state, official.finalized_at), (ResultState::Official, Some(time(0))));
        assert_eq!(official.verified_at, verified.verified_at);
        for (why, refused) in [
            ("corrected", ground.put(fixture, score("2-0")).await.map(drop)),
            ("removed", ground.store.annul_result(owner(), fixture, Expected::Any, None).await.map(drop)),
        ] {
            assert!(matches!(refused, Err(Error::Rule(_))), "{why}: {refused:?}");
        }
        let reopened = judge(Expected::Version(4), Judgement::Reopen).await.unwrap().value;
        assert_eq!((reopened.state, reopened.finalized_at), (ResultState::Provisional, None));
        let corrected = ground.put(fixture, score("2-0")).await.unwrap().value;
        assert_eq!((corrected.version, corrected.verified_at), (6, None), "nobody has checked this one");
    }

    type IsRight = Box<dyn Fn(&Error) -> bool>;

    #[tokio::test]
    async fn what_cannot_be_a_result_is_refused_and_nothing_is_written() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let fixture = ground.fixture(event, reds, blues).await.fixture_id;
        let cancelled = ground.fixture(event, reds, blues).await.fixture_id;
        ground.store.command_fixture(owner(), cancelled, Expected::Any, MatchCommand::Cancel).await.unwrap();
        let new = timely_core::body::NewFixture { phase: Phase::Knockout, ..new_fixture(reds, blues) };
        let knockout = ground.store.create_fixture(owner(), event, new).await.unwrap().value.fixture_id;
        let open = ground.knockout(event, "winner of #3", "loser of #3").await.fixture_id;
        let head = ground.head();
        let invalid = |pointer: &'static str| move |error: &Error| matches!(error, Error::Invalid(fields) if fields[0].0 == pointer);
        let rule =
            |words: &'static str| move |error: &Error| matches!(error, Error::Rule(said) if said.contains(words));
        let cases: Vec<(&str, FixtureId, PutResult, IsRight)> = vec![
            ("negative", fixture, PutResult { home_score: -1, ..score("0-0") }, Box::new(invalid("/home_score"))),
            (
                "absurd",
                fixture,
                PutResult { away_score: 99_999_999_999, ..score("0-0") },
                Box::new(invalid("/away_score")),
            ),
            (
                "official by itself",
                fixture,
                PutResult { state: ResultState::Official, ..score("0-0") },
                Box::new(invalid("/state")),
            ),
            (
                "a novel as reason",
                fixture,
                PutResult { reason: Some("x".repeat(REASON_CHARS_MAX + 1)), ..score("0-0") },
                Box::new(invalid("/reason")),
            ),
            ("cancelled", cancelled, score("1-0"), Box::new(rule("CANCELLED"))),
            ("level knockout", knockout, score("1-1"), Box::new(rule("shoot-out"))),
            ("teams unknown", open, score("1-0"), Box::new(rule("both teams"))),
            ("no such fixture", FixtureId(999), score("1-0"), Box::new(|error| matches!(error, Error::NotFound))),
        ];
        for (why, fixture, body, is_right) in cases {
            let refused = ground.put(fixture, body).await.unwrap_err();
            assert!(is_right(&refused), "{why}: {refused:?}");
        }
        ground.store.cancel_event(owner(), event).await.unwrap();
        let refused = ground.put(fixture, score("1-0")).await.unwrap_err();
        assert!(matches!(&refused, Error::Rule(said) if said.contains("cancelled")), "{refused:?}");
        assert_eq!(ground.head(), head + 1, "only the cancellation");
        assert!(ground.store.results(None, event, ALL).await.unwrap().value.items.is_empty());
    }

    #[tokio::test]
    async fn scorers_enter_scores_of_their_area_and_remove_none() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let new = timely_core::body::NewFixture { area: Some("Pitch 1".to_owned()), ..new_fixture(reds, blues) };
        let fixture = ground.store.create_fixture(owner(), event, new).await.unwrap().value.fixture_id;
        let mut scorer = bearer(Role::Scorer, Some(event));
        let put = |who| ground.store.put_result(by(who), fixture, Expected::Any, score("1-0"));
        scorer.area = Some("Pitch 2".to_owned());
        assert!(matches!(put(Some(scorer.clone())).await, Err(Error::Forbidden(_))));
        assert!(matches!(put(Some(bearer(Role::Viewer, Some(event)))).await, Err(Error::Forbidden(_))));
        assert!(matches!(put(None).await, Err(Error::Unauthenticated)));
        let unknown = ground.store.put_result(by(None), FixtureId(999), Expected::Any, score("1-0")).await;
        assert!(matches!(unknown, Err(Error::Unauthenticated)), "said before the id is looked at");
        scorer.area = Some("Pitch 1".to_owned());
        put(Some(scorer.clone())).await.unwrap();
        let by_scorer = || by(Some(scorer.clone()));
        let annul = ground.store.annul_result(by_scorer(), fixture, Expected::Any, None).await;
        assert!(matches!(annul, Err(Error::Forbidden(_))));
        let finalise = ground.store.judge_result(by_scorer(), fixture, Expected::Any, Judgement::Finalise).await;
        assert!(matches!(finalise, Err(Error::Forbidden(_))));
        ground.store.judge_result(by_scorer(), fixture, Expected::Any, Judgement::Verify).await.unwrap();
    }

    #[tokio::test]
    async fn the_running_score_becomes_final_with_the_match_and_void_without_it() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let command = |fixture, command| ground.store.command_fixture(owner(), fixture, Expected::Any, command);
        let play = async |score: &str| {
            let fixture = ground.fixture(event, reds, blues).await.fixture_id;
            let shown = ground.put(fixture, live(score)).await.unwrap().value;
            assert_eq!((shown.winner_id, shown.is_draw), (None, false), "nobody has won yet");
            assert_eq!(ground.store.fixture(None, fixture).await.unwrap().status, FixtureStatus::Live);
            fixture
        };
        let finished = play("1-0").await;
        assert_eq!(ground.table(event).await, "Reds 3 1/0/0, Blues 0 0/0/1", "the table as it stands");
        command(finished, MatchCommand::Finish).await.unwrap();
        let result = ground.store.result(None, finished).await.unwrap();
        assert_eq!((result.state, result.winner_id), (ResultState::Provisional, Some(reds)));

        let cancelled = play("0-4").await;
        command(cancelled, MatchCommand::Cancel).await.unwrap();
        assert_eq!(ground.store.result(None, cancelled).await.unwrap().state, ResultState::Annulled);

        let abandoned = play("0-4").await;
        command(abandoned, MatchCommand::Abandon).await.unwrap();
        assert_eq!(ground.store.result(None, abandoned).await.unwrap().away_score, Some(4), "it is remembered");
        assert_eq!(ground.table(event).await, "Reds 3 1/0/0, Blues 0 0/0/1", "and does not count");
        command(abandoned, MatchCommand::Restore).await.unwrap();
        assert_eq!(ground.store.result(None, abandoned).await.unwrap().state, ResultState::Annulled);
        assert_eq!(ground.table(event).await, "Reds 3 1/0/0, Blues 0 0/0/1");
        ground.assert_dense().await;
    }

    #[tokio::test]
    async fn knockouts_never_feed_a_table() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let new = timely_core::body::NewFixture { phase: Phase::Knockout, ..new_fixture(reds, blues) };
        let fixture = ground.store.create_fixture(owner(), event, new).await.unwrap().value.fixture_id;
        let before = ground.head();
        ground.put(fixture, score("3-0")).await.unwrap();
        assert_eq!(ground.table(event).await, "Blues 0 0/0/0, Reds 0 0/0/0");
        let row = &ground.store.rows_after(before, 1).await.unwrap()[0];
        assert!(row.refreshes.is_empty() && row.group.is_none());
    }

    /// What happens to a fixture in the property test.
    #[derive(Clone, Debug)]
    enum Step {
        Put { fixture: usize, home: u16, away: u16, live: bool },
        Annul { fixture: usize },
        Finalise { fixture: usize },
        Reopen { fixture: usize },
        Cancel { fixture: usize },
        Restore { fixture: usize },
        Delete { fixture: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        let fixture = 0..6_usize;
        prop_oneof![
            6 => (fixture.clone(), 0..4_u16, 0..4_u16, proptest::bool::ANY)
                .prop_map(|(fixture, home, away, live)| Step::Put { fixture, home, away, live }),
            3 => fixture.clone().prop_map(|fixture| Step::Annul { fixture }),
            1 => fixture.clone().prop_map(|fixture| Step::Finalise { fixture }),
            1 => fixture.clone().prop_map(|fixture| Step::Reopen { fixture }),
            1 => fixture.clone().prop_map(|fixture| Step::Cancel { fixture }),
            1 => fixture.clone().prop_map(|fixture| Step::Restore { fixture }),
            1 => fixture.prop_map(|fixture| Step::Delete { fixture }),
        ]
    }

    /// Carries out the steps; refusals are part of life. The tables must equal those computed from
    /// what the answers said.
    async fn tables_equal_recomputation(steps: Vec<Step>) {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let names = ["Reds", "Blues", "Greens", "Golds"];
        let teams = ground.teams(event, names, Some("A")).await;
        let mut fixtures = Vec::new();
        for (home, away) in [(0, 1), (2, 3), (0, 2), (1, 3), (0, 3), (1, 2)] {
            fixtures.push((ground.fixture(event, teams[home], teams[away]).await.fixture_id, home, away));
        }
        let mut counting: BTreeMap<usize, (Score, ResultState)> = BTreeMap::new();
        for step in steps {
            let (Step::Put { fixture: at, .. }
            | Step::Annul { fixture: at }
            | Step::Finalise { fixture: at }
            | Step::Reopen { fixture: at }
            | Step::Cancel { fixture: at }
            | Step::Restore { fixture: at }
            | Step::Delete { fixture: at }) = step;
            let id = fixtures[at].0;
            let judge = |verdict| ground.store.judge_result(owner(), id, Expected::Any, verdict);
            let command = |command| ground.store.command_fixture(owner(), id, Expected::Any, command);
            let shown = match step {
                Step::Put { home, away, live: is_live, .. } => {
                    let text = Score { home, away }.to_string();
                    ground.put(id, if is_live { live(&text) } else { score(&text) }).await.map(|done| Some(done.value))
                }
                Step::Annul { .. } => {
                    ground.store.annul_result(owner(), id, Expected::Any, None).await.map(|done| Some(done.value))
                }
                Step::Finalise { .. } => judge(Judgement::Finalise).await.map(|done| Some(done.value)),
                Step::Reopen { .. } => judge(Judgement::Reopen).await.map(|done| Some(done.value)),
                Step::Cancel { .. } => command(MatchCommand::Cancel).await.map(|_| None),
                Step::Restore { .. } => command(MatchCommand::Restore).await.map(|_| None),
                Step::Delete { .. } => ground.store.delete_fixture(owner(), id, Expected::Any).await.map(|_| None),
            };
            match shown {
                Ok(Some(FixtureResult { home_score: Some(home), away_score: Some(away), state, .. })) => {
                    counting.insert(at, (Score { home, away }, state));
                }
                // Removed, cancelled, to be played again, or gone.
                Ok(_) => {
                    counting.remove(&at);
                }
                Err(Error::Rule(_) | Error::NotFound) => {}
                Err(error) => panic!("{step:?}: {error}"),
            }
        }
        let entrants: Vec<Entrant> = teams
            .iter()
            .zip(names)
            .map(|(team, name)| Entrant { team: *team, name: name.into(), conduct: 0 })
            .collect();
        let matches: Vec<Match> = counting
            .iter()
            .map(|(at, (score, state))| {
                let (_, home, away) = fixtures[*at];
                Match { home: teams[home], away: teams[away], score: *score, state: *state }
            })
            .collect();
        let rules = rules::find("3-1-0").unwrap();
        for count in Count::ALL {
            let boards = ground.store.leaderboard(None, event, Some(*count)).await.unwrap().boards;
            let expected = standings::table(rules, &entrants, &matches, &[], *count);
            assert_eq!(boards.len(), 1);
            assert_eq!(boards[0].leaderboard, expected, "{count}");
        }
        // What is kept for readers was not left behind.
        let lane = StateLane::board(Topic::EventResults(event), Some("A"));
        let (_, states) = ground.store.states(vec![lane], time(0)).await.unwrap();
        let board: Value = serde_json::from_str(states[0].1.as_ref().unwrap()).unwrap();
        let expected = standings::table(rules, &entrants, &matches, &[], Count::Live);
        assert_eq!(board["leaderboard"], json_value(&expected).unwrap());
        ground.assert_dense().await;
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn entering_correcting_and_removing_in_any_order_equals_recomputation(
            steps in proptest::collection::vec(step(), 1..24)
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(tables_equal_recomputation(steps));
        }
    }
}
