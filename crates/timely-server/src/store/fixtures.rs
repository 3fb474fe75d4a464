//! Fixtures: who plays whom, when and where, and where the match stands.
//!
//! A fixture that is deleted is sent once more, as it was and CANCELLED, to the event and its teams:
//! log lanes have no word for "gone". Schedules, which are whole, simply lack it from then on.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use serde_json::json;
use timely_core::access::{Action, Actor};
use timely_core::body::{EditFixture, NewFixture, Page, Schedule};
use timely_core::event::Event;
use timely_core::fixture::{
    Fixture, FixtureRefusal, FixtureStatus, MatchCommand, Phase, ScheduleItem, Side, TeamLabel, VenueLabel,
};
use timely_core::id::{EventId, FixtureId, TeamId, VenueId};
use timely_core::live::Data;
use timely_core::slot::Slot;
use timely_core::text::folded;
use timely_core::topic::{StateLane, Topic};

use crate::error::Error;
use crate::store::change_log::{Entry, last_pos};
use crate::store::columns::{Micros, Text, all, any, insert, json_value, kept, one, run};
use crate::store::events::{self, one_more, page};
use crate::store::idempotency::{self, Status};
use crate::store::values::{Fields, GROUP_CHARS_MAX, NAME_CHARS_MAX};
use crate::store::version::{self, Standing};
use crate::store::writer::Tx;
use crate::store::{
    Caller, Done, Effect, Expected, Paging, Store, progression, results, rights, standings, teams, venues,
};

/// Fixtures with the names that are shown beside them.
const ITEMS: &str = "
    SELECT f.id, f.number, f.home_team_id, h.name, h.code, f.away_team_id, a.name, a.code,
           f.home_slot, f.away_slot, f.start_at, f.venue_id, v.name, f.area, f.status, f.round, f.phase,
           f.group_name, f.version, f.event_id
    FROM fixtures f
    LEFT JOIN teams h ON h.id = f.home_team_id
    LEFT JOIN teams a ON a.id = f.away_team_id
    LEFT JOIN venues v ON v.id = f.venue_id";

fn read_item(row: &Row<'_>) -> rusqlite::Result<(EventId, ScheduleItem)> {
    let team = |at| -> rusqlite::Result<TeamLabel> {
        Ok(match row.get::<_, Option<i64>>(at)? {
            Some(id) => TeamLabel { id: Some(TeamId(id)), name: row.get(at + 1)?, code: row.get(at + 2)? },
            None => TeamLabel::to_be_decided(),
        })
    };
    let slot = |at| row.get::<_, Option<Text<Slot>>>(at).map(|slot| slot.map(|Text(slot)| slot));
    let item = ScheduleItem {
        fixture_id: FixtureId(row.get(0)?),
        number: row.get(1)?,
        home_team: team(2)?,
        away_team: team(5)?,
        home_slot: slot(8)?,
        away_slot: slot(9)?,
        start_at: row.get::<_, Micros>(10)?.0,
        venue: VenueLabel { id: row.get::<_, Option<i64>>(11)?.map(VenueId), name: row.get(12)? },
        area: row.get(13)?,
        status: row.get::<_, Text<_>>(14)?.0,
        round: row.get(15)?,
        phase: row.get::<_, Text<_>>(16)?.0,
        group: row.get(17)?,
        version: row.get(18)?,
    };
    Ok((EventId(row.get(19)?), item))
}

/// The fixture as it is shown.
///
/// # Errors
/// [`Error::NotFound`].
pub(crate) fn item(conn: &Connection, id: FixtureId) -> Result<ScheduleItem, Error> {
    with_event(conn, id).map(|(_, item)| item)
}

/// The fixture as it is shown, and the event it is of.
///
/// # Errors
/// [`Error::NotFound`].
pub(crate) fn with_event(conn: &Connection, id: FixtureId) -> Result<(EventId, ScheduleItem), Error> {
    one(conn, &format!("{ITEMS} WHERE f.id = ?1"), [id.0], read_item)?.ok_or(Error::NotFound)
}

/// Every fixture of the event, or of one of its teams, by kick-off.
pub(crate) fn schedule(conn: &Connection, event: EventId, team: Option<TeamId>) -> Result<Vec<ScheduleItem>, Error> {
    let read = |row: &Row<'_>| read_item(row).map(|(_, item)| item);
    match team {
        None => all(conn, &format!("{ITEMS} WHERE f.event_id = ?1 ORDER BY f.start_at, f.number"), [event.0], read),
        // Two branches, so that each finds its own index.
        Some(team) => all(
            conn,
            &format!(
                "{ITEMS} WHERE f.id IN (SELECT id FROM fixtures WHERE home_team_id = ?1
                                        UNION SELECT id FROM fixtures WHERE away_team_id = ?1)
                 ORDER BY f.start_at, f.number"
            ),
            [team.0],
            read,
        ),
    }
}

/// The fixture as the rules see it.
pub(crate) fn to_rules(event: EventId, item: &ScheduleItem) -> Fixture {
    Fixture {
        id: item.fixture_id,
        event_id: event,
        number: item.number,
        phase: item.phase,
        group: item.group.clone(),
        round: item.round.clone(),
        home: Side { team: item.home_team.id, slot: item.home_slot.clone() },
        away: Side { team: item.away_team.id, slot: item.away_slot.clone() },
        start_at: item.start_at,
        venue_id: item.venue.id,
        area: item.area.clone(),
        status: item.status,
        version: item.version,
    }
}

/// The fixtures of an event as the rules see them.
pub(crate) fn all_to_rules(conn: &Connection, event: EventId) -> Result<Vec<Fixture>, Error> {
    Ok(schedule(conn, event, None)?.iter().map(|item| to_rules(event, item)).collect())
}

/// Writes what may change about a fixture, under its next version, and answers it as it is shown.
pub(crate) fn save(tx: &Tx<'_>, fixture: &Fixture) -> Result<ScheduleItem, Error> {
    run(
        tx,
        "UPDATE fixtures SET home_team_id = ?2, away_team_id = ?3, home_slot = ?4, away_slot = ?5, start_at = ?6,
                venue_id = ?7, area = ?8, round = ?9, status = ?10, version = version + 1
         WHERE id = ?1",
        params![
            fixture.id.0,
            fixture.home.team.map(|team| team.0),
            fixture.away.team.map(|team| team.0),
            fixture.home.slot.as_ref().map(Text),
            fixture.away.slot.as_ref().map(Text),
            Micros(fixture.start_at),
            fixture.venue_id.map(|venue| venue.0),
            fixture.area,
            fixture.round,
            Text(fixture.status),
        ],
    )?;
    item(tx, fixture.id)
}

/// Writes a new fixture and answers its id. Its number counts as given.
pub(crate) fn add(tx: &Tx<'_>, fixture: &Fixture) -> Result<FixtureId, Error> {
    let id = insert(
        tx,
        "INSERT INTO fixtures (event_id, number, phase, group_name, round, home_team_id, away_team_id, home_slot,
                               away_slot, start_at, venue_id, area, status, version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 1)",
        params![
            fixture.event_id.0,
            fixture.number,
            Text(fixture.phase),
            fixture.group,
            fixture.round,
            fixture.home.team.map(|team| team.0),
            fixture.away.team.map(|team| team.0),
            fixture.home.slot.as_ref().map(Text),
            fixture.away.slot.as_ref().map(Text),
            Micros(fixture.start_at),
            fixture.venue_id.map(|venue| venue.0),
            fixture.area,
            Text(fixture.status),
        ],
    )?;
    run(
        tx,
        "UPDATE events SET last_number = max(last_number, ?2) WHERE id = ?1",
        params![fixture.event_id.0, fixture.number],
    )?;
    Ok(FixtureId(id))
}

/// The message of a changed fixture to the event and to the teams it has and had.
pub(crate) fn update(event: EventId, item: &ScheduleItem, had: &[TeamId], at: Timestamp) -> Entry {
    let mut teams: BTreeSet<TeamId> = had.iter().copied().collect();
    teams.extend([item.home_team.id, item.away_team.id].into_iter().flatten());
    let topics: Vec<Topic> =
        std::iter::once(Topic::EventSchedule(event)).chain(teams.into_iter().map(Topic::TeamSchedule)).collect();
    let data = Data::Fixture { event_id: event, fixture: item.clone(), timestamp: at };
    Entry::message(event, data, topics.iter().copied()).refreshing(topics.iter().copied().map(StateLane::new))
}

/// Lanes of the schedules that show fixtures of the event for which `condition` holds of `?1`.
pub(crate) fn lanes_where(
    conn: &Connection,
    event: EventId,
    condition: &'static str,
    id: i64,
) -> Result<Vec<StateLane>, Error> {
    let sides = all(
        conn,
        &format!("SELECT f.home_team_id, f.away_team_id FROM fixtures f WHERE f.event_id = ?2 AND {condition}"),
        params![id, event.0],
        |row| Ok([row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?]),
    )?;
    if sides.is_empty() {
        return Ok(Vec::new());
    }
    let teams: BTreeSet<i64> = sides.into_iter().flatten().flatten().collect();
    let topics = teams.into_iter().map(|team| Topic::TeamSchedule(TeamId(team)));
    Ok(std::iter::once(Topic::EventSchedule(event)).chain(topics).map(StateLane::new).collect())
}

/// Lanes of the table that the fixture feeds.
pub(crate) fn board_lanes(conn: &Connection, fixture: &Fixture) -> Result<Vec<StateLane>, Error> {
    match fixture.phase {
        Phase::RoundRobin => standings::lanes(conn, fixture.event_id, fixture.group.as_deref()),
        Phase::Knockout => Ok(Vec::new()),
    }
}

/// Checks a place and spells its area as the venue does.
fn place(
    conn: &Connection,
    event: EventId,
    venue: Option<VenueId>,
    area: Option<String>,
    fields: &mut Fields,
) -> Result<Option<String>, Error> {
    let Some(id) = venue else { return Ok(area) };
    let venue = match venues::get(conn, id) {
        Ok(venue) if venue.event_id == event => venue,
        Ok(_) | Err(Error::NotFound) => {
            fields.refuse("/venue_id", format!("venue {id} is not a venue of this event"));
            return Ok(area);
        }
        Err(error) => return Err(error),
    };
    let Some(area) = area else { return Ok(None) };
    match venue.areas.iter().find(|known| folded(known) == folded(&area)) {
        Some(known) => Ok(Some(known.clone())),
        None if venue.areas.is_empty() => {
            fields.refuse("/area", format!("{} has no areas; leave it out, or add it to the venue", venue.name));
            Ok(Some(area))
        }
        None => {
            fields
                .refuse("/area", format!("{} has no area `{area}`; use one of {}", venue.name, venue.areas.join(", ")));
            Ok(Some(area))
        }
    }
}

/// Checks a side of a new fixture.
fn side(
    conn: &Connection,
    event: EventId,
    (which, team, slot): (&str, Option<TeamId>, Option<Slot>),
    fields: &mut Fields,
) -> Result<Side, Error> {
    if team.is_some() && slot.is_some() {
        fields.refuse(format!("/{which}_slot"), format!("name {which}_team_id or {which}_slot, not both"));
    }
    if let Some(id) = team {
        is_of_event(conn, event, id, &format!("/{which}_team_id"), fields)?;
    }
    let slot = match slot {
        Some(Slot::Place { place, group }) => {
            let group = teams::spelled_group(conn, event, &group)?;
            let size: i64 = one(
                conn,
                "SELECT count(*) FROM teams WHERE event_id = ?1 AND group_name = ?2",
                params![event.0, group],
                |row| row.get(0),
            )?
            .unwrap_or(0);
            if size == 0 {
                fields.refuse(format!("/{which}_slot"), no_group(conn, event, &group)?);
            } else if i64::from(place) > size {
                fields.refuse(format!("/{which}_slot"), format!("group {group} has {size} teams, no place {place}"));
            }
            Some(Slot::Place { place, group })
        }
        Some(Slot::Winner(number) | Slot::Loser(number))
            if !any(conn, "SELECT 1 FROM fixtures WHERE event_id = ?1 AND number = ?2", params![event.0, number])? =>
        {
            fields.refuse(format!("/{which}_slot"), format!("the event has no fixture #{number}"));
            slot
        }
        Some(Slot::Winner(_) | Slot::Loser(_)) | None => slot,
    };
    Ok(Side { team, slot })
}

fn no_group(conn: &Connection, event: EventId, group: &str) -> Result<String, Error> {
    let known = teams::groups(conn, event)?;
    Ok(if known.is_empty() {
        format!("there is no group {group}: no team of the event is in a group")
    } else {
        format!("there is no group {group}; use one of {}", known.join(", "))
    })
}

fn is_of_event(
    conn: &Connection,
    event: EventId,
    team: TeamId,
    pointer: &str,
    fields: &mut Fields,
) -> Result<(), Error> {
    if teams::find(conn, team)?.is_none_or(|team| team.event_id != event) {
        fields.refuse(pointer, format!("team {team} is not a team of this event"));
    }
    Ok(())
}

/// The group a fixture plays in: the one named, or the one both teams are in.
fn group_of(
    conn: &Connection,
    fixture: &Fixture,
    named: Option<String>,
    fields: &mut Fields,
) -> Result<Option<String>, Error> {
    let event = fixture.event_id;
    let mut playing = Vec::new();
    for team in fixture.teams() {
        playing.extend(teams::find(conn, team)?);
    }
    let Some(named) = named else {
        return Ok(match (fixture.phase, playing.as_slice()) {
            (Phase::RoundRobin, [home, away]) if home.group == away.group => home.group.clone(),
            (Phase::RoundRobin | Phase::Knockout, _) => None,
        });
    };
    if fixture.phase == Phase::Knockout {
        fields.refuse("/group", "a knockout is played outside of the groups; leave the group out");
        return Ok(None);
    }
    let group = teams::spelled_group(conn, event, &named)?;
    if !teams::groups(conn, event)?.contains(&group) {
        fields.refuse("/group", no_group(conn, event, &group)?);
    } else if let Some(stranger) = playing.iter().find(|team| team.group.as_ref() != Some(&group)) {
        fields.refuse("/group", format!("{} does not play in group {group}", stranger.name));
    }
    Ok(Some(group))
}

fn create(tx: &mut Tx<'_>, by: &Caller, event: EventId, new: NewFixture) -> Result<Done<ScheduleItem>, Error> {
    let event = rights::in_event(tx, &by.actor, event, Action::Manage)?;
    let mut fields = Fields::default();
    let round: Option<String> = new.round.map(Into::into);
    fields.name_if("/round", round.as_deref(), NAME_CHARS_MAX);
    fields.name_if("/area", new.area.as_deref(), NAME_CHARS_MAX);
    fields.name_if("/group", new.group.as_deref(), GROUP_CHARS_MAX);
    fields.done()?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(item(tx, FixtureId(first.resource_id))?));
    }
    // What the event knows may have changed since the request was sent first: looked at only now.
    let mut fields = Fields::default();
    let home = side(tx, event.id, ("home", new.home_team_id, new.home_slot), &mut fields)?;
    let away = side(tx, event.id, ("away", new.away_team_id, new.away_slot), &mut fields)?;
    let area = place(tx, event.id, new.venue_id, new.area, &mut fields)?;
    let number: u32 =
        one(tx, "SELECT last_number + 1 FROM events WHERE id = ?1", [event.id.0], |row| row.get(0))?.unwrap_or(1);
    let mut fixture = Fixture {
        id: FixtureId(0),
        event_id: event.id,
        number,
        phase: new.phase,
        group: None,
        round,
        home,
        away,
        start_at: kept(new.start_at),
        venue_id: new.venue_id,
        area,
        status: FixtureStatus::Scheduled,
        version: 1,
    };
    fixture.group = group_of(tx, &fixture, new.group, &mut fields)?;
    fields.done()?;
    has_two_teams(&fixture)?;
    events::takes_place(&event)?;
    tx.begin(by, "create_fixture");
    fixture.id = add(tx, &fixture)?;
    let shown = item(tx, fixture.id)?;
    let at = tx.at()?;
    tx.append(update(event.id, &shown, &[], at).undone_by(json!({ "delete_fixture": fixture.id })))?;
    progression::advance(tx, &event, progression::Touched::Added(&fixture))?;
    let value = item(tx, fixture.id)?;
    idempotency::remember(tx, by, "fixture", fixture.id.0, Some(value.version), Status::Created)?;
    Ok(Done { value, pos: tx.head(), effect: Effect::Created })
}

fn has_two_teams(fixture: &Fixture) -> Result<(), Error> {
    if fixture.home.team.is_some() && fixture.home.team == fixture.away.team {
        return Err(FixtureRefusal::SameTeam(fixture.number).into());
    }
    Ok(())
}

/// A fixture on its way to being changed.
struct Target {
    event: Event,
    shown: ScheduleItem,
    fixture: Fixture,
}

/// Looks the fixture up and judges.
fn target(tx: &Tx<'_>, by: &Caller, id: FixtureId, manage: bool) -> Result<Target, Error> {
    rights::signed_in(&by.actor)?;
    let (event, shown) = with_event(tx, id)?;
    let action = if manage { Action::Manage } else { Action::Score { area: shown.area.as_deref() } };
    let event = rights::in_event(tx, &by.actor, event, action)?;
    let fixture = to_rules(event.id, &shown);
    Ok(Target { event, shown, fixture })
}

fn edit(
    tx: &mut Tx<'_>,
    by: &Caller,
    id: FixtureId,
    expected: Expected,
    edit: EditFixture,
) -> Result<Done<ScheduleItem>, Error> {
    let Target { event, shown, fixture: before } = target(tx, by, id, true)?;
    let yours = json_value(&edit)?;
    let round: Option<String> = edit.round.map(Into::into);
    let mut fields = Fields::default();
    fields.name_if("/round", round.as_deref(), NAME_CHARS_MAX);
    fields.name_if("/area", edit.area.as_ref().and_then(Option::as_deref), NAME_CHARS_MAX);
    fields.done()?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(shown));
    }
    let mut fields = Fields::default();
    let mut after = before.clone();
    after.round = round.or(after.round);
    after.start_at = edit.start_at.map_or(after.start_at, kept);
    if edit.venue_id.is_some() || edit.area.is_some() {
        // Another venue has other areas, unless one is named with it.
        let same_venue = edit.venue_id.is_none_or(|venue| venue == before.venue_id);
        after.venue_id = edit.venue_id.unwrap_or(before.venue_id);
        let area = edit.area.unwrap_or_else(|| before.area.clone().filter(|_| same_venue));
        after.area = place(tx, event.id, after.venue_id, area, &mut fields)?;
    }
    for (side, team, pointer) in
        [(&mut after.home, edit.home_team_id, "/home_team_id"), (&mut after.away, edit.away_team_id, "/away_team_id")]
    {
        if let Some(team) = team
            && side.team != Some(team)
        {
            is_of_event(tx, event.id, team, pointer, &mut fields)?;
            // Who is set by hand is not replaced by what a slot decides.
            *side = Side::team(team);
        }
    }
    let sides_change = after.home != before.home || after.away != before.away;
    if sides_change && before.group.is_some() {
        group_of(tx, &after, before.group.clone(), &mut fields)?;
    }
    fields.done()?;
    // A postponed fixture waits for a time: naming one schedules it, even the one it had.
    if before.status == FixtureStatus::Postponed && edit.start_at.is_some() {
        after.status = FixtureStatus::Scheduled;
    }
    let standing = if after == before { Standing::AsWanted } else { Standing::Otherwise };
    let standing = version::check(expected, before.version, standing, || json_value(&shown), || Ok(yours))?;
    if standing == Standing::AsWanted {
        return Ok(Done { value: shown, pos: tx.head(), effect: Effect::Unchanged });
    }
    let only_round = Fixture { round: before.round.clone(), ..after.clone() } == before;
    if !only_round {
        before.may_move()?;
    }
    has_two_teams(&after)?;
    if sides_change && results::standing(tx, id)? {
        return Err(FixtureRefusal::Played(before.number).into());
    }
    tx.begin(by, "edit_fixture");
    let value = save(tx, &after)?;
    let had: Vec<TeamId> = before.teams().collect();
    let at = tx.at()?;
    let entry = update(event.id, &value, &had, at).undone_by(json!({ "edit_fixture": id, "was": shown }));
    tx.append(entry)?;
    idempotency::remember(tx, by, "fixture", id.0, Some(value.version), Status::Ok)?;
    Ok(Done { value, pos: tx.head(), effect: Effect::Changed })
}

/// Where a command leads.
const fn target_status(command: MatchCommand) -> FixtureStatus {
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

fn command(
    tx: &mut Tx<'_>,
    by: &Caller,
    id: FixtureId,
    expected: Expected,
    command: MatchCommand,
) -> Result<Done<ScheduleItem>, Error> {
    let (manage, cause) = match command {
        MatchCommand::Start => (false, "start_fixture"),
        MatchCommand::Pause => (false, "pause_fixture"),
        MatchCommand::Finish => (false, "finish_fixture"),
        MatchCommand::Abandon => (true, "abandon_fixture"),
        MatchCommand::Postpone => (true, "postpone_fixture"),
        MatchCommand::Cancel => (true, "cancel_fixture"),
        MatchCommand::Restore => (true, "restore_fixture"),
    };
    let Target { event, shown, fixture: before } = target(tx, by, id, manage)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(shown));
    }
    let wanted = target_status(command);
    let standing = if before.status == wanted { Standing::AsWanted } else { Standing::Otherwise };
    let yours = || Ok(json!({ "status": wanted }));
    let standing = version::check(expected, before.version, standing, || json_value(&shown), yours)?;
    if standing == Standing::AsWanted {
        return Ok(Done { value: shown, pos: tx.head(), effect: Effect::Unchanged });
    }
    let after = Fixture { status: before.apply(command)?, ..before.clone() };
    if command != MatchCommand::Cancel {
        events::takes_place(&event)?;
    }
    tx.begin(by, cause);
    let value = save(tx, &after)?;
    let at = tx.at()?;
    let mut entry = update(event.id, &value, &[], at).undone_by(json!({ "fixture": id, "status_was": before.status }));
    // A match that is called off, or called back, changes what its score is worth.
    if results::standing(tx, id)? {
        entry = entry.refreshing(board_lanes(tx, &before)?);
    }
    tx.append(entry)?;
    match command {
        // The running score becomes the final one.
        MatchCommand::Finish => results::end_of_play(tx, &event, &after)?,
        // What is not played, or played again, has no score.
        MatchCommand::Cancel | MatchCommand::Restore => results::void(tx, &after, cause)?,
        MatchCommand::Start | MatchCommand::Pause | MatchCommand::Abandon | MatchCommand::Postpone => {}
    }
    progression::advance(tx, &event, progression::Touched::Changed(&after))?;
    let value = item(tx, id)?;
    idempotency::remember(tx, by, "fixture", id.0, Some(value.version), Status::Ok)?;
    Ok(Done { value, pos: tx.head(), effect: Effect::Changed })
}

fn delete(tx: &mut Tx<'_>, by: &Caller, id: FixtureId, expected: Expected) -> Result<Done<()>, Error> {
    rights::signed_in(&by.actor)?;
    let Target { event, shown, fixture } = match target(tx, by, id, true) {
        Err(Error::NotFound) => return idempotency::gone(tx, by),
        found => found?,
    };
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(()));
    }
    version::check(
        expected,
        fixture.version,
        Standing::Otherwise,
        || json_value(&shown),
        || Ok(serde_json::Value::Null),
    )?;
    let waiting: Option<u32> = one(
        tx,
        "SELECT number FROM fixtures WHERE event_id = ?1
         AND (home_slot IN (?2, ?3) OR away_slot IN (?2, ?3)) ORDER BY number",
        params![event.id.0, Text(Slot::Winner(fixture.number)), Text(Slot::Loser(fixture.number))],
        |row| row.get(0),
    )?;
    if let Some(waiting) = waiting {
        return Err(Error::Rule(format!(
            "fixture #{waiting} waits for who wins or loses #{}; delete or change that one first",
            fixture.number
        )));
    }
    tx.begin(by, "delete_fixture");
    results::void(tx, &fixture, "delete_fixture")?;
    let gone = ScheduleItem { status: FixtureStatus::Cancelled, version: fixture.version + 1, ..shown.clone() };
    run(tx, "DELETE FROM fixtures WHERE id = ?1", [id.0])?;
    let at = tx.at()?;
    tx.append(update(event.id, &gone, &[], at).undone_by(json!({ "create_fixture": shown })))?;
    progression::advance(tx, &event, progression::Touched::Changed(&fixture))?;
    idempotency::remember(tx, by, "fixture", id.0, None, Status::NoContent)?;
    Ok(Done { value: (), pos: tx.head(), effect: Effect::Changed })
}

fn list(conn: &Connection, actor: &Actor, event: EventId, paging: Paging) -> Result<Page<ScheduleItem>, Error> {
    rights::in_event(conn, actor, event, Action::Read)?;
    let fixtures = all(
        conn,
        &format!("{ITEMS} WHERE f.event_id = ?1 AND f.number > ?2 ORDER BY f.number LIMIT ?3"),
        params![event.0, paging.after, one_more(paging.limit)],
        |row| read_item(row).map(|(_, item)| item),
    )?;
    Ok(page(fixtures, paging.limit, |item| i64::from(item.number)))
}

impl Store {
    /// Adds a fixture under the next number of the event.
    pub async fn create_fixture(
        &self,
        by: Caller,
        event: EventId,
        new: NewFixture,
    ) -> Result<Done<ScheduleItem>, Error> {
        self.write(move |tx| create(tx, &by, event, new)).await
    }

    /// The fixtures of an event, by number.
    pub async fn fixtures(&self, actor: Actor, event: EventId, page: Paging) -> Result<Page<ScheduleItem>, Error> {
        self.read(move |conn| list(conn, &actor, event, page)).await
    }

    /// One fixture.
    pub async fn fixture(&self, actor: Actor, id: FixtureId) -> Result<ScheduleItem, Error> {
        self.read(move |conn| {
            let (event, shown) = with_event(conn, id)?;
            rights::in_event(conn, &actor, event, Action::Read)?;
            Ok(shown)
        })
        .await
    }

    /// Moves a fixture in time or place, names its round, or sets its teams.
    pub async fn edit_fixture(
        &self,
        by: Caller,
        id: FixtureId,
        expected: Expected,
        new: EditFixture,
    ) -> Result<Done<ScheduleItem>, Error> {
        self.write(move |tx| edit(tx, &by, id, expected, new)).await
    }

    /// Takes the match to another state. A running score becomes final when the match is finished,
    /// and is removed when it is cancelled or restored.
    pub async fn command_fixture(
        &self,
        by: Caller,
        id: FixtureId,
        expected: Expected,
        to: MatchCommand,
    ) -> Result<Done<ScheduleItem>, Error> {
        self.write(move |tx| command(tx, &by, id, expected, to)).await
    }

    /// Removes a fixture with its result.
    pub async fn delete_fixture(&self, by: Caller, id: FixtureId, expected: Expected) -> Result<Done<()>, Error> {
        self.write(move |tx| delete(tx, &by, id, expected)).await
    }

    /// Every fixture of the event by kick-off, and the position as of which that is true.
    pub async fn schedule(&self, actor: Actor, event: EventId) -> Result<Schedule, Error> {
        self.read(move |conn| {
            rights::in_event(conn, &actor, event, Action::Read)?;
            Ok(Schedule { event_id: event, pos: last_pos(conn)?, schedule: schedule(conn, event, None)? })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{ALL, Ground, live, new_fixture, owner, score, time};

    #[tokio::test]
    async fn a_fixture_that_moves_is_told_to_the_event_and_to_old_and_new_teams() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues, greens] = ground.teams(event, ["Reds", "Blues", "Greens"], None).await;
        let fixture = ground.fixture(event, reds, blues).await;
        assert_eq!((fixture.number, fixture.version, fixture.status), (1, 1, FixtureStatus::Scheduled));
        let before = ground.head();
        let edit = EditFixture { start_at: Some(time(7200)), away_team_id: Some(greens), ..EditFixture::default() };
        let put = |expected, edit: EditFixture| ground.store.edit_fixture(owner(), fixture.fixture_id, expected, edit);
        assert!(matches!(put(Expected::Unsaid, edit.clone()).await, Err(Error::VersionRequired { version: 1, .. })));
        assert!(matches!(put(Expected::Version(2), edit.clone()).await, Err(Error::Version { version: 1, .. })));
        let moved = put(Expected::Version(1), edit.clone()).await.unwrap();
        assert_eq!(
            (moved.value.start_at, moved.value.away_team.id, moved.value.version),
            (time(7200), Some(greens), 2)
        );
        assert_eq!(put(Expected::Unsaid, edit).await.unwrap().effect, Effect::Unchanged);
        assert_eq!(
            ground.news(before).await,
            [format!(
                "fixture_update event_{event}_schedule team_{reds}_schedule team_{blues}_schedule team_{greens}_schedule"
            )]
        );
        let row = &ground.store.rows_after(before, 1).await.unwrap()[0];
        let lanes: Vec<StateLane> = std::iter::once(Topic::EventSchedule(event))
            .chain([reds, blues, greens].map(Topic::TeamSchedule))
            .map(StateLane::new)
            .collect();
        assert_eq!(row.refreshes, lanes);
    }

    #[tokio::test]
    async fn a_deleted_fixture_leaves_the_tables_and_its_number_is_not_used_again() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let fixture = ground.fixture(event, reds, blues).await.fixture_id;
        ground.put(fixture, score("7-0")).await.unwrap();
        let before = ground.head();
        ground.store.delete_fixture(owner(), fixture, Expected::Version(2)).await.unwrap();
        assert_eq!(ground.table(event).await, "Blues 0 0/0/0, Reds 0 0/0/0");
        assert_eq!(
            ground.news(before).await,
            [
                format!("result_update event_{event}_results team_{reds}_results team_{blues}_results"),
                format!("fixture_update event_{event}_schedule team_{reds}_schedule team_{blues}_schedule"),
            ]
        );
        let rows = ground.store.rows_after(before, 10).await.unwrap();
        assert!(rows[0].data.contains("ANNULLED") && rows[1].data.contains("CANCELLED"));
        assert!(matches!(ground.store.fixture(None, fixture).await, Err(Error::NotFound)));
        assert!(ground.store.schedule(None, event).await.unwrap().schedule.is_empty());
        assert_eq!(ground.fixture(event, reds, blues).await.number, 2);
    }

    #[tokio::test]
    async fn a_fixture_names_teams_places_and_groups_of_its_event() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let other = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], Some("Group A")).await;
        let [greens] = ground.teams(event, ["Greens"], Some("B")).await;
        let [stranger] = ground.teams(other, ["Strangers"], None).await;
        let venue = timely_core::body::NewVenue { name: "Park".to_owned(), areas: vec!["Pitch 1".to_owned()] };
        let venue = ground.store.create_venue(owner(), event, venue).await.unwrap().value.id;
        let good = new_fixture(reds, blues);
        let slot = |text: &str| Some(text.parse::<Slot>().unwrap());
        let by_slot = |home: &str| NewFixture { home_team_id: None, home_slot: slot(home), ..good.clone() };
        for (why, new, pointer) in [
            ("another event's team", NewFixture { home_team_id: Some(stranger), ..good.clone() }, "/home_team_id"),
            ("no team", NewFixture { away_team_id: Some(TeamId(99)), ..good.clone() }, "/away_team_id"),
            ("team and slot", NewFixture { home_slot: slot("1st of A"), ..good.clone() }, "/home_slot"),
            ("no such fixture", by_slot("winner of #9"), "/home_slot"),
            ("no such group", by_slot("1st of Z"), "/home_slot"),
            ("no such place", by_slot("3rd of A"), "/home_slot"),
            ("no such venue", NewFixture { venue_id: Some(VenueId(99)), ..good.clone() }, "/venue_id"),
            (
                "no such area",
                NewFixture { venue_id: Some(venue), area: Some("Pitch 2".to_owned()), ..good.clone() },
                "/area",
            ),
            ("unknown group", NewFixture { group: Some("Z".to_owned()), ..good.clone() }, "/group"),
            ("not their group", NewFixture { group: Some("B".to_owned()), ..good.clone() }, "/group"),
            (
                "a knockout in a group",
                NewFixture { group: Some("A".to_owned()), phase: Phase::Knockout, ..good.clone() },
                "/group",
            ),
        ] {
            let refused = ground.store.create_fixture(owner(), event, new).await.unwrap_err();
            assert!(matches!(&refused, Error::Invalid(fields) if fields[0].0 == pointer), "{why}: {refused:?}");
        }
        let same = NewFixture { away_team_id: Some(reds), ..good.clone() };
        assert!(matches!(ground.store.create_fixture(owner(), event, same).await, Err(Error::Rule(_))));
        let new = NewFixture { venue_id: Some(venue), area: Some("PITCH 1".to_owned()), ..good.clone() };
        let fixture = ground.store.create_fixture(owner(), event, new).await.unwrap().value;
        assert_eq!((fixture.group.as_deref(), fixture.area.as_deref()), (Some("A"), Some("Pitch 1")));
        let friendly = ground.fixture(event, reds, greens).await;
        assert_eq!(friendly.group, None, "teams of two groups meet outside of both");
        let page = ground.store.fixtures(None, event, Paging { after: 0, limit: 1 }).await.unwrap();
        assert_eq!((page.items.len(), page.next), (1, Some(1)));
        assert_eq!(ground.store.fixtures(None, event, Paging { after: 1, ..ALL }).await.unwrap().next, None);
    }

    #[tokio::test]
    async fn a_command_whose_end_stands_changes_nothing_and_a_senseless_one_is_refused() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let fixture = ground.fixture(event, reds, blues).await.fixture_id;
        let command = |expected, command| ground.store.command_fixture(owner(), fixture, expected, command);
        assert!(matches!(command(Expected::Unsaid, MatchCommand::Start).await, Err(Error::VersionRequired { .. })));
        assert!(matches!(command(Expected::Any, MatchCommand::Pause).await, Err(Error::Rule(_))));
        command(Expected::Version(1), MatchCommand::Start).await.unwrap();
        let head = ground.head();
        assert_eq!(command(Expected::Unsaid, MatchCommand::Start).await.unwrap().effect, Effect::Unchanged);
        assert!(matches!(command(Expected::Version(1), MatchCommand::Start).await, Err(Error::Version { .. })));
        assert_eq!(ground.head(), head);
        let edit = EditFixture { start_at: Some(time(9)), ..EditFixture::default() };
        let refused = ground.store.edit_fixture(owner(), fixture, Expected::Any, edit).await;
        assert!(matches!(refused, Err(Error::Rule(_))), "a live match is not moved");
    }

    #[tokio::test]
    async fn a_postponed_fixture_is_scheduled_by_a_time() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let fixture = ground.fixture(event, reds, blues).await;
        let id = fixture.fixture_id;
        ground.store.command_fixture(owner(), id, Expected::Any, MatchCommand::Postpone).await.unwrap();
        let edit = EditFixture { start_at: Some(fixture.start_at), ..EditFixture::default() };
        let done = ground.store.edit_fixture(owner(), id, Expected::Any, edit).await.unwrap().value;
        assert_eq!(done.status, FixtureStatus::Scheduled);
    }

    #[tokio::test]
    async fn winners_move_on_and_back_until_the_next_match_has_started() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues, greens, golds] = ground.teams(event, ["Reds", "Blues", "Greens", "Golds"], None).await;
        let semi = |home, away| NewFixture { phase: Phase::Knockout, ..new_fixture(home, away) };
        let first = ground.store.create_fixture(owner(), event, semi(reds, blues)).await.unwrap().value.fixture_id;
        let second = ground.store.create_fixture(owner(), event, semi(greens, golds)).await.unwrap().value.fixture_id;
        let last = ground.knockout(event, "winner of #1", "winner of #2").await.fixture_id;
        let sides = async || {
            let fixture = ground.store.fixture(None, last).await.unwrap();
            (fixture.home_team.id, fixture.away_team.id)
        };
        assert_eq!(sides().await, (None, None));
        let before = ground.head();
        ground.put(first, score("2-0")).await.unwrap();
        assert_eq!(sides().await, (Some(reds), None));
        let news = ground.news(before).await;
        assert_eq!(news.last().unwrap(), &format!("fixture_update event_{event}_schedule team_{reds}_schedule"));
        let before = ground.head();
        ground.put(first, score("0-1")).await.unwrap();
        assert_eq!(sides().await, (Some(blues), None));
        let news = ground.news(before).await;
        assert_eq!(
            news.last().unwrap(),
            &format!("fixture_update event_{event}_schedule team_{reds}_schedule team_{blues}_schedule"),
            "who leaves is told too"
        );
        ground.store.annul_result(owner(), first, Expected::Any, None).await.unwrap();
        assert_eq!(sides().await, (None, None));
        ground.put(first, score("1-0")).await.unwrap();
        ground.put(second, score("1-0")).await.unwrap();
        assert_eq!(sides().await, (Some(reds), Some(greens)));
        ground.put(last, score("1-0")).await.unwrap();
        let head = ground.head();
        let refused = ground.put(first, score("0-1")).await.unwrap_err();
        assert!(matches!(&refused, Error::Rule(said) if said.contains("#3")), "{refused:?}");
        assert_eq!((ground.head(), sides().await), (head, (Some(reds), Some(greens))), "nothing was written");
        assert_eq!(ground.store.result(None, first).await.unwrap().home_score, Some(1));
        let refused = ground.store.delete_fixture(owner(), first, Expected::Any).await.unwrap_err();
        assert!(matches!(&refused, Error::Rule(said) if said.contains("#3 waits")), "{refused:?}");
        ground.store.annul_result(owner(), last, Expected::Any, None).await.unwrap();
        ground.put(first, score("0-1")).await.unwrap();
        assert_eq!(sides().await, (Some(blues), Some(greens)));
        ground.assert_dense().await;
    }

    #[tokio::test]
    async fn places_of_a_group_are_taken_when_its_last_match_is_over() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues, greens] = ground.teams(event, ["Reds", "Blues", "Greens"], Some("A")).await;
        let last = ground.knockout(event, "1st of A", "2nd of A").await.fixture_id;
        let mut group = Vec::new();
        for (home, away) in [(reds, blues), (blues, greens), (greens, reds)] {
            group.push(ground.fixture(event, home, away).await.fixture_id);
        }
        let sides = async || {
            let fixture = ground.store.fixture(None, last).await.unwrap();
            (fixture.home_team.id, fixture.away_team.id)
        };
        ground.put(group[0], score("1-0")).await.unwrap();
        ground.put(group[1], score("1-0")).await.unwrap();
        ground.put(group[2], live("0-3")).await.unwrap();
        assert_eq!(sides().await, (None, None), "the last one is being played");
        ground.put(group[2], score("0-3")).await.unwrap();
        assert_eq!(sides().await, (Some(reds), Some(blues)));
        ground.put(group[2], score("9-0")).await.unwrap();
        assert_eq!(sides().await, (Some(greens), Some(blues)), "corrected");
        ground.store.annul_result(owner(), group[2], Expected::Any, None).await.unwrap();
        assert_eq!(sides().await, (None, None));
        // A match that is called off leaves nothing to wait for.
        ground.store.command_fixture(owner(), group[2], Expected::Any, MatchCommand::Cancel).await.unwrap();
        assert_eq!(sides().await, (Some(reds), Some(blues)));
    }
}
