//! Announcements: said to an audience, edited, said again, taken back, ended by the clock.
//!
//! The topics of the present audience stand in `announcement_topics` as long as the announcement is
//! active; snapshots and replays show nothing that is not there. Whoever loses it by an edit is told
//! so before the new text goes out to the others.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Row, params};
use serde_json::{Value, json};
use timely_core::access::{Action, Actor, Verdict, judge, may_follow};
use timely_core::announcement::{Announcement, Author, Priority, RemovalReason};
use timely_core::body::{EditAnnouncement, NewAnnouncement, Page};
use timely_core::event::Event;
use timely_core::id::{AnnouncementId, EventId, TeamId, UserId};
use timely_core::live::{Data, RemovedAnnouncement};
use timely_core::topic::Topic;

use crate::error::Error;
use crate::store::change_log::Entry;
use crate::store::columns::{Micros, Text, all, insert, json_value, kept, one, run, signed};
use crate::store::events::{one_more, page};
use crate::store::idempotency::{self, Status};
use crate::store::values::{Fields, MESSAGE_CHARS_MAX, TITLE_CHARS_MAX};
use crate::store::version::{self, Standing};
use crate::store::writer::Tx;
use crate::store::{AsOf, Caller, Done, Effect, Expected, Paging, Store, events, rights, teams};

/// Most emergencies and urgent announcements of an event in [`ALARM_WINDOW`] of real time.
const ALARMS_MAX: i64 = 6;
const ALARM_WINDOW: SignedDuration = SignedDuration::from_mins(1);
/// Announcements that expire in one write; the rest follows at once.
const EXPIRIES_PER_WRITE_MAX: i64 = 100;

const COLUMNS: &str = "
    SELECT a.id, a.title, a.message, a.kind, a.priority, a.is_public, a.author_id, a.author_name, a.created_at,
           a.expires_at, a.version, a.event_id, a.removed_reason
    FROM announcements a";

/// An announcement as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) event: EventId,
    pub(crate) announcement: Announcement,
    removed: Option<RemovalReason>,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        event: EventId(row.get(11)?),
        removed: row.get::<_, Option<Text<_>>>(12)?.map(|Text(reason)| reason),
        announcement: Announcement {
            id: AnnouncementId(row.get(0)?),
            title: row.get(1)?,
            message: row.get(2)?,
            kind: row.get::<_, Text<_>>(3)?.0,
            priority: row.get::<_, Text<_>>(4)?.0,
            is_public: row.get(5)?,
            team_ids: Vec::new(),
            created_by: Author { id: UserId(row.get(6)?), name: row.get(7)? },
            created_at: row.get::<_, Micros>(8)?.0,
            expires_at: row.get::<_, Option<Micros>>(9)?.map(|Micros(at)| at),
            version: row.get(10)?,
        },
    })
}

fn with_teams(conn: &Connection, mut stored: Stored) -> Result<Stored, Error> {
    stored.announcement.team_ids = all(
        conn,
        "SELECT team_id FROM announcement_teams WHERE announcement_id = ?1 ORDER BY team_id",
        [stored.announcement.id.0],
        |row| row.get(0).map(TeamId),
    )?;
    Ok(stored)
}

fn get(conn: &Connection, id: AnnouncementId) -> Result<Stored, Error> {
    let stored = one(conn, &format!("{COLUMNS} WHERE a.id = ?1"), [id.0], read)?;
    with_teams(conn, stored.ok_or(Error::NotFound)?)
}

/// The announcement, if the caller is among those it is for; what was taken back is for the staff.
///
/// # Errors
/// [`Error::NotFound`], whether it does not exist or is not for the caller.
pub(crate) fn readable(conn: &Connection, actor: &Actor, id: AnnouncementId) -> Result<Stored, Error> {
    let stored = get(conn, id)?;
    let visibility = events::visibility(conn, stored.event)?.ok_or(Error::NotFound)?;
    let actor = actor.as_ref();
    let is_staff = judge(actor, stored.event, visibility, Action::ReadStaff) == Verdict::Allowed;
    let is_meant = stored.removed.is_none()
        && stored
            .announcement
            .topics(stored.event)
            .into_iter()
            .any(|topic| may_follow(actor, stored.event, visibility, topic) == Verdict::Allowed);
    if is_staff || is_meant { Ok(stored) } else { Err(Error::NotFound) }
}

/// Checks an announcement that is about to go out; `at` is event time.
fn check(announcement: &Announcement, confirm: Option<&str>) -> Result<(), Error> {
    let mut fields = Fields::default();
    fields.name("/title", &announcement.title, TITLE_CHARS_MAX);
    fields.text("/message", &announcement.message, MESSAGE_CHARS_MAX);
    fields.audience("/team_ids", &announcement.team_ids);
    fields.done()?;
    if announcement.priority == Priority::Urgent && announcement.expires_at.is_none() {
        return Err(Error::urgent_without_end());
    }
    match announcement.confirmation() {
        Some(word) if confirm != Some(word) => Err(Error::unconfirmed(word)),
        _ => Ok(()),
    }
}

/// What the server knows and the body cannot: the time, and the teams.
fn check_now(
    conn: &Connection,
    event: EventId,
    announcement: &Announcement,
    at: Option<Timestamp>,
) -> Result<(), Error> {
    let mut fields = Fields::default();
    if let (Some(at), Some(expires_at)) = (at, announcement.expires_at)
        && expires_at <= at
    {
        fields.refuse("/expires_at", format!("{expires_at} is past; it is {at} at the event"));
    }
    if !announcement.team_ids.is_empty() {
        let known = teams::of_event(conn, event)?;
        for (index, team) in announcement.team_ids.iter().enumerate() {
            if !known.contains(team) {
                fields.refuse(format!("/team_ids/{index}"), format!("team {team} is not a team of this event"));
            }
        }
    }
    fields.done()
}

/// Counts an alarm, or refuses one too many.
fn count_alarm(tx: &Tx<'_>, by: &Caller, event: EventId, announcement: &Announcement) -> Result<(), Error> {
    if announcement.confirmation().is_none() {
        return Ok(());
    }
    let since = by.real.saturating_sub(ALARM_WINDOW).unwrap_or(Timestamp::MIN);
    run(tx, "DELETE FROM alarms WHERE sent_at <= ?1", [Micros(since)])?;
    let sixth: Option<Micros> = one(
        tx,
        "SELECT sent_at FROM alarms WHERE event_id = ?1 ORDER BY sent_at DESC LIMIT 1 OFFSET ?2",
        params![event.0, ALARMS_MAX - 1],
        |row| row.get(0),
    )?;
    if let Some(Micros(sixth)) = sixth {
        let wait = (sixth + ALARM_WINDOW).duration_since(by.real);
        // A started second counts whole, so that waiting for that long is enough.
        let retry_after_s = u64::try_from(wait.as_secs()).unwrap_or(0) + 1;
        return Err(Error::RateLimited { retry_after_s });
    }
    run(tx, "INSERT INTO alarms (event_id, sent_at) VALUES (?1, ?2)", params![event.0, Micros(by.real)])?;
    Ok(())
}

/// Writes the teams and the audience of an active announcement.
fn save_audience(tx: &Tx<'_>, event: EventId, announcement: &Announcement) -> Result<(), Error> {
    let id = announcement.id.0;
    run(tx, "DELETE FROM announcement_teams WHERE announcement_id = ?1", [id])?;
    for team in &announcement.team_ids {
        run(tx, "INSERT INTO announcement_teams (announcement_id, team_id) VALUES (?1, ?2)", [id, team.0])?;
    }
    run(tx, "DELETE FROM announcement_topics WHERE announcement_id = ?1", [id])?;
    for topic in announcement.topics(event) {
        run(tx, "INSERT INTO announcement_topics (announcement_id, topic) VALUES (?1, ?2)", params![id, Text(topic)])?;
    }
    Ok(())
}

/// Says the announcement to its audience as it is.
fn say(tx: &mut Tx<'_>, event: EventId, announcement: &Announcement, inverse: Value) -> Result<(), Error> {
    let data = Data::Announcement { event_id: event, announcement: announcement.clone(), timestamp: tx.at()? };
    let pos = tx.append(Entry::message(event, data, announcement.topics(event)).undone_by(inverse))?;
    run(tx, "UPDATE announcements SET last_pos = ?2 WHERE id = ?1", params![announcement.id.0, signed(pos)])?;
    Ok(())
}

/// Takes the announcement from the screens of some topics.
fn unsay(
    tx: &mut Tx<'_>,
    event: EventId,
    id: AnnouncementId,
    reason: RemovalReason,
    topics: impl IntoIterator<Item = Topic>,
) -> Result<(), Error> {
    let announcement = RemovedAnnouncement { id, reason };
    let data = Data::AnnouncementRemoved { event_id: event, announcement, timestamp: tx.at()? };
    tx.append(Entry::message(event, data, topics)).map(drop)
}

/// Ends an active announcement.
fn end(tx: &mut Tx<'_>, stored: &Stored, reason: RemovalReason) -> Result<(), Error> {
    let id = stored.announcement.id;
    run(
        tx,
        "UPDATE announcements SET removed_reason = ?2, version = version + 1 WHERE id = ?1",
        params![id.0, Text(reason)],
    )?;
    run(tx, "DELETE FROM announcement_topics WHERE announcement_id = ?1", [id.0])?;
    unsay(tx, stored.event, id, reason, stored.announcement.topics(stored.event))
}

fn sorted(mut teams: Vec<TeamId>) -> Vec<TeamId> {
    teams.sort_unstable();
    teams.dedup();
    teams
}

fn create(tx: &mut Tx<'_>, by: &Caller, event: EventId, new: NewAnnouncement) -> Result<Done<Announcement>, Error> {
    let author = rights::signed_in(&by.actor)?;
    rights::in_event(tx, &by.actor, event, Action::Manage)?;
    let mut announcement = Announcement {
        id: AnnouncementId(0),
        title: new.title,
        message: new.message,
        kind: new.kind,
        priority: new.priority,
        is_public: new.is_public,
        team_ids: sorted(new.team_ids),
        created_by: Author { id: author.user, name: author.name.clone() },
        created_at: kept(by.at),
        expires_at: new.expires_at.map(kept),
        version: 1,
    };
    check(&announcement, new.confirm.as_deref())?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(get(tx, AnnouncementId(first.resource_id))?.announcement));
    }
    check_now(tx, event, &announcement, Some(by.at))?;
    count_alarm(tx, by, event, &announcement)?;
    tx.begin(by, "create_announcement");
    let id = insert(
        tx,
        "INSERT INTO announcements (event_id, title, message, kind, priority, is_public, author_id, author_name,
                                    created_at, expires_at, version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1)",
        params![
            event.0,
            announcement.title,
            announcement.message,
            Text(announcement.kind),
            Text(announcement.priority),
            announcement.is_public,
            announcement.created_by.id.0,
            announcement.created_by.name,
            Micros(announcement.created_at),
            announcement.expires_at.map(Micros),
        ],
    )?;
    announcement.id = AnnouncementId(id);
    save_audience(tx, event, &announcement)?;
    say(tx, event, &announcement, json!({ "withdraw_announcement": id }))?;
    idempotency::remember(tx, by, "announcement", id, Some(1), Status::Created)?;
    Ok(Done { value: announcement, pos: tx.head(), effect: Effect::Created })
}

/// An announcement on its way to being changed.
fn target(tx: &Tx<'_>, by: &Caller, id: AnnouncementId) -> Result<(Event, Stored), Error> {
    rights::signed_in(&by.actor)?;
    let stored = readable(tx, &by.actor, id)?;
    let event = rights::in_event(tx, &by.actor, stored.event, Action::Manage)?;
    Ok((event, stored))
}

fn is_active(stored: &Stored) -> Result<(), Error> {
    match stored.removed {
        None => Ok(()),
        Some(reason) => Err(Error::Rule(format!(
            "the announcement `{}` was taken back ({reason}); make a new one",
            stored.announcement.title
        ))),
    }
}

fn edit(
    tx: &mut Tx<'_>,
    by: &Caller,
    id: AnnouncementId,
    expected: Expected,
    edit: EditAnnouncement,
) -> Result<Done<Announcement>, Error> {
    let (event, stored) = target(tx, by, id)?;
    let before = &stored.announcement;
    let yours = json_value(&edit)?;
    let mut after = before.clone();
    after.title = edit.title.unwrap_or(after.title);
    after.message = edit.message.unwrap_or(after.message);
    after.kind = edit.kind.unwrap_or(after.kind);
    after.priority = edit.priority.unwrap_or(after.priority);
    after.is_public = edit.is_public.unwrap_or(after.is_public);
    after.team_ids = edit.team_ids.map_or(after.team_ids, sorted);
    after.expires_at = edit.expires_at.map_or(after.expires_at, |at| at.map(kept));
    check(&after, edit.confirm.as_deref())?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(stored.announcement));
    }
    check_now(tx, event.id, &after, edit.expires_at.flatten().map(|_| by.at))?;
    let standing = if after == *before { Standing::AsWanted } else { Standing::Otherwise };
    let standing = version::check(expected, before.version, standing, || json_value(before), || Ok(yours))?;
    if standing == Standing::AsWanted {
        return Ok(Done { value: after, pos: tx.head(), effect: Effect::Unchanged });
    }
    is_active(&stored)?;
    count_alarm(tx, by, event.id, &after)?;
    tx.begin(by, "edit_announcement");
    after.version += 1;
    run(
        tx,
        "UPDATE announcements SET title = ?2, message = ?3, kind = ?4, priority = ?5, is_public = ?6,
                expires_at = ?7, version = ?8
         WHERE id = ?1",
        params![
            id.0,
            after.title,
            after.message,
            Text(after.kind),
            Text(after.priority),
            after.is_public,
            after.expires_at.map(Micros),
            after.version,
        ],
    )?;
    save_audience(tx, event.id, &after)?;
    let audience = after.topics(event.id);
    let lost: BTreeSet<Topic> = before.topics(event.id).into_iter().filter(|topic| !audience.contains(topic)).collect();
    if !lost.is_empty() {
        // First, so that a session which hears of it on several topics ends with the new text.
        unsay(tx, event.id, id, RemovalReason::Audience, lost)?;
    }
    say(tx, event.id, &after, json!({ "edit_announcement": id, "was": before }))?;
    idempotency::remember(tx, by, "announcement", id.0, Some(after.version), Status::Ok)?;
    Ok(Done { value: after, pos: tx.head(), effect: Effect::Changed })
}

fn withdraw(tx: &mut Tx<'_>, by: &Caller, id: AnnouncementId, expected: Expected) -> Result<Done<Announcement>, Error> {
    let (_, stored) = target(tx, by, id)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(stored.announcement));
    }
    let before = &stored.announcement;
    let standing = if stored.removed.is_some() { Standing::AsWanted } else { Standing::Otherwise };
    let yours = || Ok(json!({ "removed": RemovalReason::Withdrawn }));
    if version::check(expected, before.version, standing, || json_value(before), yours)? == Standing::AsWanted {
        return Ok(Done { value: stored.announcement, pos: tx.head(), effect: Effect::Unchanged });
    }
    tx.begin(by, "withdraw_announcement");
    end(tx, &stored, RemovalReason::Withdrawn)?;
    let value = Announcement { version: before.version + 1, ..before.clone() };
    idempotency::remember(tx, by, "announcement", id.0, Some(value.version), Status::Ok)?;
    Ok(Done { value, pos: tx.head(), effect: Effect::Changed })
}

fn broadcast(tx: &mut Tx<'_>, by: &Caller, id: AnnouncementId) -> Result<Done<Announcement>, Error> {
    let (event, stored) = target(tx, by, id)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(stored.announcement));
    }
    is_active(&stored)?;
    count_alarm(tx, by, event.id, &stored.announcement)?;
    tx.begin(by, "broadcast_announcement");
    say(tx, event.id, &stored.announcement, Value::Null)?;
    idempotency::remember(tx, by, "announcement", id.0, Some(stored.announcement.version), Status::Ok)?;
    Ok(Done { value: stored.announcement, pos: tx.head(), effect: Effect::Changed })
}

/// The next expiry after `now`, and whether something is due.
fn next_expiry(conn: &Connection, now: Timestamp) -> Result<(bool, Option<Timestamp>), Error> {
    let first: Option<Micros> = one(
        conn,
        "SELECT min(expires_at) FROM announcements WHERE removed_reason IS NULL AND expires_at IS NOT NULL",
        [],
        |row| row.get(0),
    )?
    .flatten();
    let first = first.map(|Micros(at)| at);
    Ok((first.is_some_and(|at| at <= now), first))
}

/// Ends what is due, the earliest first.
fn expire(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Error> {
    let due = all(
        tx,
        &format!(
            "{COLUMNS} WHERE a.removed_reason IS NULL AND a.expires_at IS NOT NULL AND a.expires_at <= ?1
             ORDER BY a.expires_at, a.id LIMIT ?2"
        ),
        params![Micros(now), EXPIRIES_PER_WRITE_MAX],
        read,
    )?;
    for stored in due {
        let stored = with_teams(tx, stored)?;
        // Each is a change of its own.
        tx.begin_by_clock(now, "expire_announcement");
        end(tx, &stored, RemovalReason::Expired)?;
    }
    Ok(())
}

/// Active announcements that are for the caller, by id.
fn list(conn: &Connection, actor: &Actor, event: EventId, paging: Paging) -> Result<Page<Announcement>, Error> {
    let event = rights::in_event(conn, actor, event, Action::Read)?;
    let may = |action| judge(actor.as_ref(), event.id, event.visibility, action) == Verdict::Allowed;
    let team = actor.as_ref().and_then(|bearer| bearer.team).filter(|team| may(Action::ReadTeamAnnouncements(*team)));
    let stored = all(
        conn,
        &format!(
            "{COLUMNS} WHERE a.event_id = ?1 AND a.id > ?2 AND a.removed_reason IS NULL AND (
                ?3 OR CASE WHEN EXISTS (SELECT 1 FROM announcement_teams t WHERE t.announcement_id = a.id)
                      THEN EXISTS (SELECT 1 FROM announcement_teams t
                                   WHERE t.announcement_id = a.id AND t.team_id = ?4)
                      ELSE a.is_public OR ?5 END)
             ORDER BY a.id LIMIT ?6"
        ),
        params![
            event.id.0,
            paging.after,
            may(Action::ReadStaff),
            team.map(|team| team.0),
            may(Action::ReadParticipants),
            one_more(paging.limit),
        ],
        read,
    )?;
    let announcements = stored
        .into_iter()
        .map(|stored| with_teams(conn, stored).map(|stored| stored.announcement))
        .collect::<Result<_, _>>()?;
    Ok(page(announcements, paging.limit, |announcement| announcement.id.0))
}

impl Store {
    /// Says something to the event, its participants or some of its teams.
    pub async fn create_announcement(
        &self,
        by: Caller,
        event: EventId,
        new: NewAnnouncement,
    ) -> Result<Done<Announcement>, Error> {
        self.write(move |tx| create(tx, &by, event, new)).await
    }

    /// The active announcements of an event that are for the caller.
    pub async fn announcements(
        &self,
        actor: Actor,
        event: EventId,
        page: Paging,
    ) -> Result<AsOf<Page<Announcement>>, Error> {
        self.read_as_of(move |conn| list(conn, &actor, event, page)).await
    }

    /// One announcement; those that were taken back are for the staff.
    pub async fn announcement(&self, actor: Actor, id: AnnouncementId) -> Result<Announcement, Error> {
        self.read(move |conn| readable(conn, &actor, id).map(|stored| stored.announcement)).await
    }

    /// Changes an announcement and says it again, to those it is for now.
    pub async fn edit_announcement(
        &self,
        by: Caller,
        id: AnnouncementId,
        expected: Expected,
        new: EditAnnouncement,
    ) -> Result<Done<Announcement>, Error> {
        self.write(move |tx| edit(tx, &by, id, expected, new)).await
    }

    /// Takes an announcement from every screen.
    pub async fn withdraw_announcement(
        &self,
        by: Caller,
        id: AnnouncementId,
        expected: Expected,
    ) -> Result<Done<Announcement>, Error> {
        self.write(move |tx| withdraw(tx, &by, id, expected)).await
    }

    /// Says an announcement once more as it is.
    pub async fn broadcast_announcement(&self, by: Caller, id: AnnouncementId) -> Result<Done<Announcement>, Error> {
        self.write(move |tx| broadcast(tx, &by, id)).await
    }

    /// Ends the announcements whose time has come; answers when the next one ends.
    pub async fn expire_announcements(&self, event_now: Timestamp) -> Result<Option<Timestamp>, Error> {
        loop {
            let (due, next) = self.read(move |conn| next_expiry(conn, event_now)).await?;
            if !due {
                return Ok(next);
            }
            self.write(move |tx| expire(tx, event_now)).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use timely_core::access::Role;
    use timely_core::announcement::AnnouncementType;

    use super::*;
    use crate::store::testing::{ALL, Ground, bearer, by, owner, time};

    fn general(title: &str) -> NewAnnouncement {
        NewAnnouncement {
            title: title.to_owned(),
            message: String::new(),
            kind: AnnouncementType::General,
            priority: Priority::Normal,
            is_public: true,
            team_ids: Vec::new(),
            expires_at: None,
            confirm: None,
        }
    }

    fn emergency(title: &str) -> NewAnnouncement {
        let confirm = Some("EMERGENCY".to_owned());
        NewAnnouncement { kind: AnnouncementType::Emergency, confirm, ..general(title) }
    }

    async fn say(ground: &Ground, event: EventId, new: NewAnnouncement) -> Announcement {
        ground.store.create_announcement(owner(), event, new).await.unwrap().value
    }

    #[tokio::test]
    async fn each_audience_has_its_topics_and_sees_its_own() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let before = ground.head();
        let all = say(&ground, event, general("all")).await;
        let participants = say(&ground, event, NewAnnouncement { is_public: false, ..general("participants") }).await;
        let team_ids = vec![blues, reds, blues];
        let some = say(&ground, event, NewAnnouncement { team_ids, ..general("some") }).await;
        let blue = say(&ground, event, NewAnnouncement { team_ids: vec![blues], ..general("blue") }).await;
        assert_eq!(some.team_ids, [reds, blues]);
        assert_eq!(
            ground.news(before).await,
            [
                format!("announcement_update event_{event}_announcements"),
                format!("announcement_update event_{event}_participants"),
                format!("announcement_update event_{event}_staff team_{reds}_announcements team_{blues}_announcements"),
                format!("announcement_update event_{event}_staff team_{blues}_announcements"),
            ]
        );
        let viewer = bearer(Role::Viewer, Some(event));
        let mut member = viewer.clone();
        member.team = Some(reds);
        let every = [&all, &participants, &some, &blue];
        for (who, actor, sees) in [
            ("anonymous", None, [true, false, false, false]),
            ("of another event", Some(bearer(Role::Organiser, Some(EventId(99)))), [true, false, false, false]),
            ("a participant", Some(viewer), [true, true, false, false]),
            ("of the Reds", Some(member), [true, true, true, false]),
            ("a scorer", Some(bearer(Role::Scorer, Some(event))), [true; 4]),
            ("the owner", Some(bearer(Role::Owner, None)), [true; 4]),
        ] {
            let listed = ground.store.announcements(actor.clone(), event, ALL).await.unwrap().value.items;
            for (announcement, sees) in every.iter().zip(sees) {
                assert_eq!(listed.contains(announcement), sees, "{who} lists {}", announcement.title);
                let one = ground.store.announcement(actor.clone(), announcement.id).await;
                assert_eq!(one.is_ok(), sees, "{who} reads {}", announcement.title);
                assert!(sees || matches!(one, Err(Error::NotFound)), "{who}: as if it did not exist");
            }
        }
    }

    #[tokio::test]
    async fn who_loses_an_announcement_by_an_edit_is_told_first() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds] = ground.teams(event, ["Reds"], None).await;
        let id = say(&ground, event, general("Gate 4")).await.id;
        let first = ground.head();
        let narrow = EditAnnouncement { team_ids: Some(vec![reds]), ..EditAnnouncement::default() };
        let edit = |expected, new: EditAnnouncement| ground.store.edit_announcement(owner(), id, expected, new);
        assert!(matches!(edit(Expected::Unsaid, narrow.clone()).await, Err(Error::VersionRequired { version: 1, .. })));
        assert_eq!(edit(Expected::Version(1), narrow.clone()).await.unwrap().value.version, 2);
        assert_eq!(edit(Expected::Unsaid, narrow).await.unwrap().effect, Effect::Unchanged);
        assert_eq!(
            ground.news(first).await,
            [
                format!("announcement_removed event_{event}_announcements"),
                format!("announcement_update event_{event}_staff team_{reds}_announcements"),
            ]
        );
        let rows = ground.store.rows_after(first, 1).await.unwrap();
        assert!(rows[0].data.contains(r#""reason":"audience""#));
        // Neither a snapshot nor a replay tells them what it says now or said then.
        let lost = Topic::EventAnnouncements(event);
        assert!(ground.store.opening(lost, time(0)).await.unwrap().tail.is_empty());
        let replayed = ground.store.replay(vec![lost], 0, ground.head(), 100).await.unwrap();
        assert_eq!(replayed.iter().map(|row| row.pos).collect::<Vec<_>>(), [first + 1]);
        let staff = ground.store.opening(Topic::EventStaff(event), time(0)).await.unwrap().tail;
        assert_eq!(staff.iter().map(|row| row.pos).collect::<Vec<_>>(), [first + 2]);
    }

    #[tokio::test]
    async fn what_was_taken_back_is_not_said_again() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let said = say(&ground, event, general("Gate 4")).await;
        let again = ground.store.broadcast_announcement(owner(), said.id).await.unwrap();
        assert_eq!((again.value.version, again.pos), (1, ground.head()));
        let withdraw = |expected| ground.store.withdraw_announcement(owner(), said.id, expected);
        assert!(matches!(withdraw(Expected::Unsaid).await, Err(Error::VersionRequired { .. })));
        assert_eq!(withdraw(Expected::Version(1)).await.unwrap().value.version, 2);
        let head = ground.head();
        assert_eq!(withdraw(Expected::Unsaid).await.unwrap().effect, Effect::Unchanged);
        for refused in [
            ground.store.broadcast_announcement(owner(), said.id).await,
            ground
                .store
                .edit_announcement(
                    owner(),
                    said.id,
                    Expected::Any,
                    EditAnnouncement { title: Some("Gate 5".to_owned()), ..EditAnnouncement::default() },
                )
                .await,
        ] {
            assert!(matches!(refused, Err(Error::Rule(_))), "{refused:?}");
        }
        assert_eq!(ground.head(), head);
        let topic = Topic::EventAnnouncements(event);
        let replayed = ground.store.replay(vec![topic], 0, head, 100).await.unwrap();
        assert_eq!(replayed.len(), 1, "the removal alone");
        assert!(replayed[0].data.contains("withdrawn") && replayed[0].topics == [(topic, 1)]);
        assert!(ground.store.announcements(None, event, ALL).await.unwrap().value.items.is_empty());
        assert!(matches!(ground.store.announcement(None, said.id).await, Err(Error::NotFound)));
        let staff = Some(bearer(Role::Scorer, Some(event)));
        assert!(ground.store.announcement(staff, said.id).await.is_ok());
    }

    #[tokio::test]
    async fn alarms_are_confirmed_end_by_themselves_and_are_few() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let pointer = |refused: Error| match refused {
            Error::Invalid(fields) => fields[0].0.clone(),
            other => other.to_string(),
        };
        let urgent = NewAnnouncement { priority: Priority::Urgent, ..general("Rain") };
        let until = |seconds| Some(time(seconds));
        let confirm = |word: &str| Some(word.to_owned());
        for (why, new, at) in [
            ("not meant", NewAnnouncement { confirm: None, ..emergency("Fire") }, "/confirm"),
            ("another word", NewAnnouncement { confirm: confirm("URGENT"), ..emergency("Fire") }, "/confirm"),
            ("no end", NewAnnouncement { confirm: confirm("URGENT"), ..urgent.clone() }, "/expires_at"),
            ("not meant", NewAnnouncement { expires_at: until(60), ..urgent.clone() }, "/confirm"),
            ("over", NewAnnouncement { expires_at: until(0), ..general("Rain") }, "/expires_at"),
            ("no title", general(" "), "/title"),
            ("no such team", NewAnnouncement { team_ids: vec![TeamId(9)], ..general("Rain") }, "/team_ids/0"),
        ] {
            let refused = ground.store.create_announcement(owner(), event, new).await.unwrap_err();
            assert_eq!(pointer(refused), at, "{why}");
        }
        for number in 0..ALARMS_MAX {
            let caller = Caller { real: time(number), ..owner() };
            ground.store.create_announcement(caller, event, emergency("Fire")).await.unwrap();
        }
        let late = |seconds| Caller { real: time(seconds), ..owner() };
        let refused = ground.store.create_announcement(late(10), event, emergency("Fire")).await.unwrap_err();
        assert!(matches!(refused, Error::RateLimited { retry_after_s: 51 }), "{refused:?}");
        say(&ground, event, general("Lost keys")).await;
        ground.store.create_announcement(late(61), event, emergency("Fire")).await.unwrap();
    }

    #[tokio::test]
    async fn the_clock_ends_announcements_once_and_says_when_the_next_one_ends() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        assert_eq!(ground.store.expire_announcements(time(0)).await.unwrap(), None);
        for seconds in [20, 10] {
            say(&ground, event, NewAnnouncement { expires_at: Some(time(seconds)), ..general("Rain") }).await;
        }
        assert_eq!(ground.store.expire_announcements(time(9)).await.unwrap(), Some(time(10)));
        let before = ground.head();
        assert_eq!(ground.store.expire_announcements(time(10)).await.unwrap(), Some(time(20)));
        assert_eq!(ground.store.expire_announcements(time(10)).await.unwrap(), Some(time(20)));
        let rows = ground.store.rows_after(before, 10).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert!(rows[0].data.contains("expired") && rows[0].timestamp == time(10));
        assert_eq!(ground.store.announcements(None, event, ALL).await.unwrap().value.items.len(), 1);
        // Between its end and the row that says so, nobody is shown it any more.
        let topic = Topic::EventAnnouncements(event);
        assert_eq!(ground.store.opening(topic, time(19)).await.unwrap().tail.len(), 1);
        assert!(ground.store.opening(topic, time(20)).await.unwrap().tail.is_empty());
    }

    #[tokio::test]
    async fn who_joins_sees_the_newest_and_every_emergency() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let fire = say(&ground, event, emergency("Fire")).await;
        for number in 0..60 {
            say(&ground, event, general(&format!("News {number}"))).await;
        }
        let tail = ground.store.opening(Topic::EventAnnouncements(event), time(0)).await.unwrap().tail;
        assert_eq!(tail.len(), 50);
        assert!(tail[0].data.contains("Fire") && tail[1].data.contains("News 11") && tail[49].data.contains("News 59"));
        assert!(tail.is_sorted_by_key(|row| row.pos));
        // Said again, it is the newest, and once.
        ground.store.broadcast_announcement(owner(), fire.id).await.unwrap();
        let tail = ground.store.opening(Topic::EventAnnouncements(event), time(0)).await.unwrap().tail;
        assert_eq!((tail.len(), tail.iter().filter(|row| row.data.contains("Fire")).count()), (50, 1));
        assert!(tail[49].data.contains("Fire"));
    }

    #[tokio::test]
    async fn only_organisers_speak() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        for (actor, is_right) in [
            (None, "Unauthenticated"),
            (Some(bearer(Role::Scorer, Some(event))), "Forbidden"),
            (Some(bearer(Role::Organiser, Some(EventId(99)))), "Forbidden"),
        ] {
            let refused = ground.store.create_announcement(by(actor), event, general("Hi")).await.unwrap_err();
            assert!(format!("{refused:?}").starts_with(is_right), "{refused:?}");
        }
        let organiser = by(Some(bearer(Role::Organiser, Some(event))));
        let said = ground.store.create_announcement(organiser, event, general("Hi")).await.unwrap().value;
        assert_eq!(said.created_by.name, "Kim");
    }
}
