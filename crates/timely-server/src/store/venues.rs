//! Venues and their areas.

use rusqlite::{Connection, params};
use serde_json::json;
use timely_core::access::{Action, Actor};
use timely_core::body::{EditVenue, NewVenue, Page};
use timely_core::id::{EventId, VenueId};
use timely_core::text::folded;
use timely_core::topic::StateLane;
use timely_core::venue::Venue;

use crate::error::Error;
use crate::store::change_log::Entry;
use crate::store::columns::{all, insert, one, run};
use crate::store::events::{one_more, page};
use crate::store::idempotency::{self, Status};
use crate::store::values::{Fields, NAME_CHARS_MAX};
use crate::store::writer::Tx;
use crate::store::{Caller, Done, Effect, Paging, Store, fixtures, rights};

fn with_areas(conn: &Connection, venue: Venue) -> Result<Venue, Error> {
    let areas =
        all(conn, "SELECT name FROM venue_areas WHERE venue_id = ?1 ORDER BY place", [venue.id.0], |row| row.get(0))?;
    Ok(Venue { areas, ..venue })
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Venue> {
    Ok(Venue { id: VenueId(row.get(0)?), event_id: EventId(row.get(1)?), name: row.get(2)?, areas: Vec::new() })
}

/// # Errors
/// [`Error::NotFound`].
pub(crate) fn get(conn: &Connection, id: VenueId) -> Result<Venue, Error> {
    let venue = one(conn, "SELECT id, event_id, name FROM venues WHERE id = ?1", [id.0], read)?;
    with_areas(conn, venue.ok_or(Error::NotFound)?)
}

/// Refuses what no venue may be called.
///
/// # Errors
/// [`Error::Invalid`].
pub(crate) fn check(venue: &Venue) -> Result<(), Error> {
    let mut fields = Fields::default();
    fields.name("/name", &venue.name, NAME_CHARS_MAX);
    fields.areas("/areas", &venue.areas);
    fields.done()
}

fn is_free(conn: &Connection, venue: &Venue) -> Result<(), Error> {
    let taken: Option<String> = one(
        conn,
        "SELECT name FROM venues WHERE event_id = ?1 AND name_folded = ?2 AND id <> ?3",
        params![venue.event_id.0, folded(&venue.name), venue.id.0],
        |row| row.get(0),
    )?;
    match taken {
        Some(taken) => Err(Error::Rule(format!("the event has a venue `{taken}` already; choose another name"))),
        None => Ok(()),
    }
}

fn save_areas(tx: &Tx<'_>, venue: &Venue) -> Result<(), Error> {
    run(tx, "DELETE FROM venue_areas WHERE venue_id = ?1", [venue.id.0])?;
    for (place, area) in venue.areas.iter().enumerate() {
        run(
            tx,
            "INSERT INTO venue_areas (venue_id, place, name, name_folded) VALUES (?1, ?2, ?3, ?4)",
            params![venue.id.0, i64::try_from(place).unwrap_or(i64::MAX), area, folded(area)],
        )?;
    }
    Ok(())
}

/// Writes a new venue and answers it with its id.
pub(crate) fn add(tx: &Tx<'_>, venue: Venue) -> Result<Venue, Error> {
    let id = insert(
        tx,
        "INSERT INTO venues (event_id, name, name_folded) VALUES (?1, ?2, ?3)",
        params![venue.event_id.0, venue.name, folded(&venue.name)],
    )?;
    let venue = Venue { id: VenueId(id), ..venue };
    save_areas(tx, &venue)?;
    Ok(venue)
}

fn create(tx: &mut Tx<'_>, by: &Caller, event: EventId, new: NewVenue) -> Result<Done<Venue>, Error> {
    rights::in_event(tx, &by.actor, event, Action::Manage)?;
    let venue = Venue { id: VenueId(0), event_id: event, name: new.name, areas: new.areas };
    check(&venue)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(get(tx, VenueId(first.resource_id))?));
    }
    is_free(tx, &venue)?;
    tx.begin(by, "create_venue");
    let venue = add(tx, venue)?;
    let pos = tx.append(Entry::changed(Some(event)).undone_by(json!({ "delete_venue": venue.id })))?;
    idempotency::remember(tx, by, "venue", venue.id.0, None, Status::Created)?;
    Ok(Done { value: venue, pos, effect: Effect::Created })
}

fn edit(tx: &mut Tx<'_>, by: &Caller, id: VenueId, edit: EditVenue) -> Result<Done<Venue>, Error> {
    rights::signed_in(&by.actor)?;
    rights::in_event(tx, &by.actor, rights::event_of_venue(tx, id)?, Action::Manage)?;
    let before = get(tx, id)?;
    let mut after = before.clone();
    after.name = edit.name.unwrap_or(after.name);
    after.areas = edit.areas.unwrap_or(after.areas);
    check(&after)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(before));
    }
    if after == before {
        return Ok(Done { value: after, pos: tx.head(), effect: Effect::Unchanged });
    }
    is_free(tx, &after)?;
    for area in before.areas.iter().filter(|area| !after.areas.contains(area)) {
        let used: Option<u32> = one(
            tx,
            "SELECT number FROM fixtures WHERE venue_id = ?1 AND area = ?2 ORDER BY number",
            params![id.0, area],
            |row| row.get(0),
        )?;
        if let Some(number) = used {
            return Err(Error::Rule(format!("fixture #{number} is played on {area}; move it first")));
        }
    }
    tx.begin(by, "edit_venue");
    run(
        tx,
        "UPDATE venues SET name = ?2, name_folded = ?3 WHERE id = ?1",
        params![id.0, after.name, folded(&after.name)],
    )?;
    save_areas(tx, &after)?;
    let mut shown: Vec<StateLane> = Vec::new();
    if after.name != before.name {
        shown = fixtures::lanes_where(tx, after.event_id, "f.venue_id = ?1", id.0)?;
    }
    let entry =
        Entry::changed(Some(after.event_id)).refreshing(shown).undone_by(json!({ "edit_venue": id, "was": before }));
    let pos = tx.append(entry)?;
    idempotency::remember(tx, by, "venue", id.0, None, Status::Ok)?;
    Ok(Done { value: after, pos, effect: Effect::Changed })
}

fn delete(tx: &mut Tx<'_>, by: &Caller, id: VenueId) -> Result<Done<()>, Error> {
    rights::signed_in(&by.actor)?;
    let event = match rights::event_of_venue(tx, id) {
        Err(Error::NotFound) => return idempotency::gone(tx, by),
        found => found?,
    };
    rights::in_event(tx, &by.actor, event, Action::Manage)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(()));
    }
    let venue = get(tx, id)?;
    let used: Option<u32> =
        one(tx, "SELECT number FROM fixtures WHERE venue_id = ?1 ORDER BY number", [id.0], |row| row.get(0))?;
    if let Some(number) = used {
        return Err(Error::Rule(format!("fixture #{number} is played at {}; move it first", venue.name)));
    }
    tx.begin(by, "delete_venue");
    run(tx, "DELETE FROM venues WHERE id = ?1", [id.0])?;
    let pos = tx.append(Entry::changed(Some(event)).undone_by(json!({ "create_venue": venue })))?;
    idempotency::remember(tx, by, "venue", id.0, None, Status::NoContent)?;
    Ok(Done { value: (), pos, effect: Effect::Changed })
}

fn list(conn: &Connection, actor: &Actor, event: EventId, paging: Paging) -> Result<Page<Venue>, Error> {
    rights::in_event(conn, actor, event, Action::Read)?;
    let venues = all(
        conn,
        "SELECT id, event_id, name FROM venues WHERE event_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        params![event.0, paging.after, one_more(paging.limit)],
        read,
    )?;
    let venues = venues.into_iter().map(|venue| with_areas(conn, venue)).collect::<Result<_, _>>()?;
    Ok(page(venues, paging.limit, |venue| venue.id.0))
}

impl Store {
    /// Adds a venue to an event.
    pub async fn create_venue(&self, by: Caller, event: EventId, new: NewVenue) -> Result<Done<Venue>, Error> {
        self.write(move |tx| create(tx, &by, event, new)).await
    }

    /// The venues of an event.
    pub async fn venues(&self, actor: Actor, event: EventId, page: Paging) -> Result<Page<Venue>, Error> {
        self.read(move |conn| list(conn, &actor, event, page)).await
    }

    /// One venue.
    pub async fn venue(&self, actor: Actor, id: VenueId) -> Result<Venue, Error> {
        self.read(move |conn| {
            rights::in_event(conn, &actor, rights::event_of_venue(conn, id)?, Action::Read)?;
            get(conn, id)
        })
        .await
    }

    /// Renames a venue, or changes its areas.
    pub async fn edit_venue(&self, by: Caller, id: VenueId, new: EditVenue) -> Result<Done<Venue>, Error> {
        self.write(move |tx| edit(tx, &by, id, new)).await
    }

    /// Removes a venue where nothing is played.
    pub async fn delete_venue(&self, by: Caller, id: VenueId) -> Result<Done<()>, Error> {
        self.write(move |tx| delete(tx, &by, id)).await
    }
}
