//! Sports events: made by the owner, run by their organisers.

use rusqlite::{Connection, Row, params};
use serde_json::json;
use timely_core::access::{AccessChange, Action, Actor, judge};
use timely_core::body::{EditEvent, NewEvent, Page};
use timely_core::event::{Event, EventStatus, Visibility};
use timely_core::id::{EventId, TokenId};
use timely_core::standings::rules;
use timely_core::text::folded;
use timely_core::topic::{StateLane, Topic};

use crate::error::Error;
use crate::store::change_log::Entry;
use crate::store::columns::{Micros, Text, all, insert, one, run};
use crate::store::idempotency::{self, Status};
use crate::store::values::{Fields, NAME_CHARS_MAX};
use crate::store::writer::Tx;
use crate::store::{Caller, Done, Effect, Paging, Store, rights, standings};

const COLUMNS: &str = "SELECT id, name, starts_on, ends_on, timezone, visibility, status, rules, count FROM events";

/// Zone of an event that names none.
pub(crate) const DEFAULT_TIMEZONE: &str = "UTC";

fn read(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        id: EventId(row.get(0)?),
        name: row.get(1)?,
        starts_on: row.get::<_, Text<_>>(2)?.0,
        ends_on: row.get::<_, Text<_>>(3)?.0,
        timezone: row.get(4)?,
        visibility: row.get::<_, Text<_>>(5)?.0,
        status: row.get::<_, Text<_>>(6)?.0,
        rules: row.get(7)?,
        count: row.get::<_, Text<_>>(8)?.0,
    })
}

/// The event with this id, whoever may see it.
pub(crate) fn find(conn: &Connection, id: EventId) -> Result<Option<Event>, Error> {
    one(conn, &format!("{COLUMNS} WHERE id = ?1"), [id.0], read)
}

/// # Errors
/// [`Error::NotFound`].
pub(crate) fn get(conn: &Connection, id: EventId) -> Result<Event, Error> {
    find(conn, id)?.ok_or(Error::NotFound)
}

/// Whether an event has this name, without regard to case and accents.
pub(crate) fn is_named(conn: &Connection, name: &str) -> Result<bool, Error> {
    crate::store::columns::any(conn, "SELECT 1 FROM events WHERE name_folded = ?1", [folded(name)])
}

/// Refuses what makes no sense in an event that does not take place.
///
/// # Errors
/// [`Error::Rule`].
pub(crate) fn takes_place(event: &Event) -> Result<(), Error> {
    if event.status == EventStatus::Cancelled {
        return Err(Error::Rule(format!("{} is cancelled; nothing is played there", event.name)));
    }
    Ok(())
}

/// Cuts a list that was asked for one item longer than the page.
pub(crate) fn page<T>(mut items: Vec<T>, limit: usize, after: impl Fn(&T) -> i64) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(after);
    Page { items, next }
}

/// `limit` of a query that shows whether there is more.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

fn check(event: &Event, fields: &mut Fields) {
    fields.name("/name", &event.name, NAME_CHARS_MAX);
    if event.ends_on < event.starts_on {
        fields.refuse("/ends_on", format!("{} is before the start on {}", event.ends_on, event.starts_on));
    }
    fields.timezone("/timezone", &event.timezone);
    fields.rules("/rules", &event.rules);
}

/// The event that a body describes; it has no id yet.
///
/// # Errors
/// [`Error::Invalid`].
pub(crate) fn described(new: NewEvent) -> Result<Event, Error> {
    let event = Event {
        id: EventId(0),
        name: new.name,
        starts_on: new.starts_on,
        ends_on: new.ends_on.unwrap_or(new.starts_on),
        timezone: new.timezone.unwrap_or_else(|| DEFAULT_TIMEZONE.to_owned()),
        visibility: new.visibility,
        status: EventStatus::default(),
        rules: new.rules.unwrap_or_else(|| rules::SHIPPED[0].id.to_owned()),
        count: new.count,
    };
    let mut fields = Fields::default();
    check(&event, &mut fields);
    fields.done()?;
    Ok(event)
}

/// Writes a new event and answers it with its id.
pub(crate) fn add(tx: &Tx<'_>, event: Event) -> Result<Event, Error> {
    let id = insert(
        tx,
        "INSERT INTO events (name, name_folded, starts_on, ends_on, timezone, visibility, status, rules, count)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            event.name,
            folded(&event.name),
            Text(event.starts_on),
            Text(event.ends_on),
            event.timezone,
            Text(event.visibility),
            Text(event.status),
            event.rules,
            Text(event.count),
        ],
    )?;
    Ok(Event { id: EventId(id), ..event })
}

fn save(tx: &Tx<'_>, event: &Event) -> Result<(), Error> {
    run(
        tx,
        "UPDATE events SET name = ?2, name_folded = ?3, starts_on = ?4, ends_on = ?5, timezone = ?6,
                visibility = ?7, status = ?8, rules = ?9, count = ?10
         WHERE id = ?1",
        params![
            event.id.0,
            event.name,
            folded(&event.name),
            Text(event.starts_on),
            Text(event.ends_on),
            event.timezone,
            Text(event.visibility),
            Text(event.status),
            event.rules,
            Text(event.count),
        ],
    )?;
    Ok(())
}

fn create(tx: &mut Tx<'_>, by: &Caller, new: NewEvent) -> Result<Done<Event>, Error> {
    rights::owner(&by.actor, "create events")?;
    let event = described(new)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(get(tx, EventId(first.resource_id))?));
    }
    tx.begin(by, "create_event");
    let event = add(tx, event)?;
    let entry = Entry::changed(Some(event.id))
        .refreshing([StateLane::new(Topic::Event(event.id))])
        .undone_by(json!({ "delete_event": event.id }));
    let pos = tx.append(entry)?;
    idempotency::remember(tx, by, "event", event.id.0, None, Status::Created)?;
    Ok(Done { value: event, pos, effect: Effect::Created })
}

fn edit(tx: &mut Tx<'_>, by: &Caller, id: EventId, edit: EditEvent) -> Result<Done<Event>, Error> {
    let before = rights::in_event(tx, &by.actor, id, Action::Manage)?;
    let mut after = before.clone();
    let EditEvent { name, starts_on, ends_on, timezone, visibility, rules, count } = edit;
    after.name = name.unwrap_or(after.name);
    after.starts_on = starts_on.unwrap_or(after.starts_on);
    after.ends_on = ends_on.unwrap_or(after.ends_on);
    after.timezone = timezone.unwrap_or(after.timezone);
    after.visibility = visibility.unwrap_or(after.visibility);
    after.rules = rules.unwrap_or(after.rules);
    after.count = count.unwrap_or(after.count);
    let mut fields = Fields::default();
    check(&after, &mut fields);
    fields.done()?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(get(tx, id)?));
    }
    if after == before {
        return Ok(Done { value: after, pos: tx.head(), effect: Effect::Unchanged });
    }
    change(tx, by, "edit_event", &before, after)
}

fn change(
    tx: &mut Tx<'_>,
    by: &Caller,
    cause: &'static str,
    before: &Event,
    after: Event,
) -> Result<Done<Event>, Error> {
    tx.begin(by, cause);
    save(tx, &after)?;
    let id = after.id;
    // A narrower audience is obeyed before anything that is read after it is shown.
    let entry = if after.visibility == before.visibility {
        Entry::changed(Some(id))
    } else {
        Entry::access(Some(id), AccessChange::Visibility { event: id, visibility: after.visibility })
    };
    let mut entry =
        entry.refreshing([StateLane::new(Topic::Event(id))]).undone_by(json!({ "edit_event": id, "was": before }));
    if after.rules != before.rules || after.count != before.count {
        entry = entry.refreshing(standings::all_lanes(tx, id)?);
    }
    let pos = tx.append(entry)?;
    idempotency::remember(tx, by, "event", id.0, None, Status::Ok)?;
    Ok(Done { value: after, pos, effect: Effect::Changed })
}

fn cancel(tx: &mut Tx<'_>, by: &Caller, id: EventId) -> Result<Done<Event>, Error> {
    let before = rights::in_event(tx, &by.actor, id, Action::Manage)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(before));
    }
    if before.status == EventStatus::Cancelled {
        return Ok(Done { value: before, pos: tx.head(), effect: Effect::Unchanged });
    }
    let after = Event { status: EventStatus::Cancelled, ..before.clone() };
    change(tx, by, "cancel_event", &before, after)
}

/// Removes the event with all it has; the log keeps what happened. Its tokens end with it.
fn delete(tx: &mut Tx<'_>, by: &Caller, id: EventId) -> Result<Done<()>, Error> {
    rights::signed_in(&by.actor)?;
    if find(tx, id)?.is_none() {
        return idempotency::gone(tx, by);
    }
    rights::in_event(tx, &by.actor, id, Action::Manage)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(()));
    }
    tx.begin(by, "delete_event");
    let tokens =
        all(tx, "SELECT id FROM tokens WHERE event_id = ?1 AND revoked_at IS NULL AND ended = 0", [id.0], |row| {
            row.get(0).map(TokenId)
        })?;
    run(tx, "DELETE FROM fixtures WHERE event_id = ?1", [id.0])?;
    run(tx, "DELETE FROM events WHERE id = ?1", [id.0])?;
    let mut pos = tx.append(Entry::access(Some(id), AccessChange::EventDeleted { event: id }))?;
    run(
        tx,
        "UPDATE tokens SET revoked_at = ?2, ended = 1 WHERE event_id = ?1 AND revoked_at IS NULL",
        params![id.0, Micros(by.real)],
    )?;
    for token in tokens {
        pos = tx.append(Entry::access(Some(id), AccessChange::TokenEnded { token }))?;
    }
    idempotency::remember(tx, by, "event", id.0, None, Status::NoContent)?;
    Ok(Done { value: (), pos, effect: Effect::Changed })
}

fn list(conn: &Connection, actor: &Actor, paging: Paging) -> Result<Page<Event>, Error> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} WHERE id > ?1 ORDER BY id"))?;
    let mut rows = statement.query([paging.after])?;
    let mut events = Vec::new();
    while events.len() <= paging.limit {
        let Some(row) = rows.next()? else { break };
        let event = read(row)?;
        if judge(actor.as_ref(), event.id, event.visibility, Action::Read) == timely_core::access::Verdict::Allowed {
            events.push(event);
        }
    }
    Ok(page(events, paging.limit, |event| event.id.0))
}

impl Store {
    /// Creates an event; only the owner of the server does.
    pub async fn create_event(&self, by: Caller, new: NewEvent) -> Result<Done<Event>, Error> {
        self.write(move |tx| create(tx, &by, new)).await
    }

    /// The events the caller may read.
    pub async fn events(&self, actor: Actor, page: Paging) -> Result<Page<Event>, Error> {
        self.read(move |conn| list(conn, &actor, page)).await
    }

    /// One event.
    pub async fn event(&self, actor: Actor, id: EventId) -> Result<Event, Error> {
        self.read(move |conn| rights::in_event(conn, &actor, id, Action::Read)).await
    }

    /// Changes name, dates, zone, visibility or rules of an event.
    pub async fn edit_event(&self, by: Caller, id: EventId, new: EditEvent) -> Result<Done<Event>, Error> {
        self.write(move |tx| edit(tx, &by, id, new)).await
    }

    /// Calls the event off: it takes no results any more.
    pub async fn cancel_event(&self, by: Caller, id: EventId) -> Result<Done<Event>, Error> {
        self.write(move |tx| cancel(tx, &by, id)).await
    }

    /// Removes an event with everything in it; the log stays.
    pub async fn delete_event(&self, by: Caller, id: EventId) -> Result<Done<()>, Error> {
        self.write(move |tx| delete(tx, &by, id)).await
    }
}

/// What a stream must know of the event.
pub(crate) fn visibility(conn: &Connection, id: EventId) -> Result<Option<Visibility>, Error> {
    one(conn, "SELECT visibility FROM events WHERE id = ?1", [id.0], |row| Ok(row.get::<_, Text<_>>(0)?.0))
}

#[cfg(test)]
mod tests {
    use timely_core::access::Role;

    use super::*;
    use crate::store::testing::{ALL, Ground, bearer, by, new_event, new_fixture, owner, score, time};
    use crate::store::{Expected, RowKind, StreamOf, Thing, Wish};

    #[tokio::test]
    async fn an_event_is_described_in_full_or_refused_field_by_field() {
        let ground = Ground::new();
        let event = ground.event().await;
        assert_eq!((event.timezone.as_str(), event.rules.as_str()), ("UTC", rules::SHIPPED[0].id));
        assert_eq!(event.ends_on, event.starts_on);
        let new = NewEvent {
            name: " ".to_owned(),
            ends_on: Some("2026-05-31".parse().unwrap()),
            timezone: Some("Harbour/Time".to_owned()),
            rules: Some("none".to_owned()),
            ..new_event("")
        };
        let Err(Error::Invalid(fields)) = ground.store.create_event(owner(), new).await else { panic!("taken") };
        let pointers: Vec<_> = fields.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/name", "/ends_on", "/timezone", "/rules"]);
        let organiser = by(Some(bearer(Role::Organiser, Some(event.id))));
        assert!(matches!(ground.store.create_event(organiser, new_event("Cup")).await, Err(Error::Forbidden(_))));
        assert!(matches!(ground.store.create_event(by(None), new_event("Cup")).await, Err(Error::Unauthenticated)));
    }

    #[tokio::test]
    async fn a_private_event_answers_strangers_like_one_that_never_was() {
        let ground = Ground::new();
        let open = ground.event().await.id;
        let private = NewEvent { visibility: Visibility::Private, ..new_event("Trials") };
        let event = ground.store.create_event(owner(), private).await.unwrap().value.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let fixture = ground.fixture(event, reds, blues).await.fixture_id;
        ground.put(fixture, score("1-0")).await.unwrap();
        for (who, actor, sees) in [
            ("anonymous", None, false),
            ("a stranger", Some(bearer(Role::Organiser, Some(open))), false),
            ("a participant", Some(bearer(Role::Viewer, Some(event))), true),
            ("the owner", Some(bearer(Role::Owner, None)), true),
        ] {
            let store = &ground.store;
            let a = || actor.clone();
            let listed = store.events(a(), ALL).await.unwrap().items;
            assert_eq!(listed.iter().any(|listed| listed.id == event), sees, "{who}: list");
            let answers = [
                ("event", store.event(a(), event).await.map(drop)),
                ("teams", store.teams(a(), event, ALL).await.map(drop)),
                ("team", store.team(a(), reds).await.map(drop)),
                ("venues", store.venues(a(), event, ALL).await.map(drop)),
                ("fixtures", store.fixtures(a(), event, ALL).await.map(drop)),
                ("fixture", store.fixture(a(), fixture).await.map(drop)),
                ("results", store.results(a(), event, ALL).await.map(drop)),
                ("result", store.result(a(), fixture).await.map(drop)),
                ("announcements", store.announcements(a(), event, ALL).await.map(drop)),
                ("leaderboard", store.leaderboard(a(), event, None).await.map(drop)),
                ("schedule", store.schedule(a(), event).await.map(drop)),
                ("authorise", store.authorise(a(), None, Thing::Fixture(fixture), Wish::Read).await),
            ];
            for (what, answer) in answers {
                assert_eq!(answer.is_ok(), sees, "{who}: {what}");
                assert!(sees || matches!(answer, Err(Error::NotFound)), "{who}: {what}");
            }
        }
        let stranger = || by(Some(bearer(Role::Organiser, Some(open))));
        let writes = [
            ground.store.put_result(stranger(), fixture, Expected::Any, score("0-1")).await.map(drop),
            ground.store.delete_team(stranger(), reds).await.map(drop),
            ground.store.cancel_event(stranger(), event).await.map(drop),
            ground.store.create_fixture(stranger(), event, new_fixture(reds, blues)).await.map(drop),
        ];
        for write in writes {
            assert!(matches!(write, Err(Error::NotFound)), "{write:?}");
        }
        let elsewhere = Thing::Team(reds);
        let misplaced = ground.store.authorise(owner().actor, Some(open), elsewhere, Wish::Read).await;
        assert!(matches!(misplaced, Err(Error::NotFound)), "a thing of another event than the path says");
    }

    #[tokio::test]
    async fn hiding_an_event_is_a_change_of_rights_before_it_is_anything_else() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let judged_at = ground.store.stream_facts(StreamOf::Event(event)).await.unwrap().unwrap().judged_at;
        let edit = EditEvent {
            visibility: Some(Visibility::Private),
            name: Some("Secret".to_owned()),
            ..EditEvent::default()
        };
        let done = ground.store.edit_event(owner(), event, edit.clone()).await.unwrap();
        let rows = ground.store.rows_after(judged_at, 10).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].kind, RowKind::Access(AccessChange::Visibility { event, visibility: Visibility::Private }));
        assert_eq!(rows[0].refreshes, [StateLane::new(Topic::Event(event))]);
        assert_eq!(done.pos, rows[0].pos);
        assert_eq!(ground.store.edit_event(owner(), event, edit).await.unwrap().effect, Effect::Unchanged);
    }

    #[tokio::test]
    async fn a_deleted_event_leaves_its_history_and_no_rights() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let fixture = ground.fixture(event, reds, blues).await.fixture_id;
        ground.put(fixture, score("1-0")).await.unwrap();
        let new = timely_core::body::NewToken {
            role: Role::Scorer,
            event_id: Some(event),
            area: None,
            team_id: None,
            expires_at: None,
            label: None,
        };
        let token = ground.store.create_token(owner(), new).await.unwrap().value;
        let before = ground.log().await;
        ground.store.delete_event(owner(), event).await.unwrap();
        let after = ground.log().await;
        assert_eq!(after[..before.len()], before[..], "what happened stays");
        let kinds: Vec<_> = after[before.len()..].iter().map(|row| row.kind.clone()).collect();
        assert_eq!(
            kinds,
            [AccessChange::EventDeleted { event }, AccessChange::TokenEnded { token: token.id }].map(RowKind::Access)
        );
        assert_eq!(ground.store.bearer(&token.token.unwrap(), time(0)).await.unwrap(), None);
        assert!(matches!(ground.store.fixture(owner().actor, fixture).await, Err(Error::NotFound)));
        assert_eq!(ground.store.stream_facts(StreamOf::Event(event)).await.unwrap(), None);
        assert_ne!(ground.event().await.id, event, "topics are named after ids: none is used twice");
        ground.assert_dense().await;
    }
}
