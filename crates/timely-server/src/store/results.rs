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
use crate::store::{Caller, Done, Effect, Expected, Paging, Store, fixtures, progression, rights};

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
    pub async fn results(&self, actor: Actor, event: EventId, page: Paging) -> Result<Page<FixtureResult>, Error> {
        self.read(move |conn| list(conn, &actor, event, page)).await
    }
}
