//! Teams of an event. Names and codes are unique in it, without regard to case and accents.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, params};
use serde_json::json;
use timely_core::access::{AccessChange, Action, Actor};
use timely_core::body::{EditTeam, NewTeam, Page};
use timely_core::id::{EventId, TeamId};
use timely_core::slot::strip_group_word;
use timely_core::team::Team;
use timely_core::text::folded;
use timely_core::topic::{StateLane, Topic};

use crate::error::Error;
use crate::store::change_log::Entry;
use crate::store::columns::{all, insert, one, run};
use crate::store::events::{one_more, page};
use crate::store::idempotency::{self, Status};
use crate::store::values::{CODE_CHARS_MAX, Fields, GROUP_CHARS_MAX, NAME_CHARS_MAX};
use crate::store::writer::Tx;
use crate::store::{Caller, Done, Effect, Paging, Store, fixtures, rights, standings};

const COLUMNS: &str = "SELECT id, event_id, name, code, group_name FROM teams";

fn read(row: &Row<'_>) -> rusqlite::Result<Team> {
    Ok(Team {
        id: TeamId(row.get(0)?),
        event_id: EventId(row.get(1)?),
        name: row.get(2)?,
        code: row.get(3)?,
        group: row.get(4)?,
    })
}

/// The team with this id, whoever may see it.
pub(crate) fn find(conn: &Connection, id: TeamId) -> Result<Option<Team>, Error> {
    one(conn, &format!("{COLUMNS} WHERE id = ?1"), [id.0], read)
}

/// # Errors
/// [`Error::NotFound`].
pub(crate) fn get(conn: &Connection, id: TeamId) -> Result<Team, Error> {
    find(conn, id)?.ok_or(Error::NotFound)
}

/// The spelling of a group that the event uses: `Group a` is `A` where there is an `A`.
pub(crate) fn spelled_group(conn: &Connection, event: EventId, group: &str) -> Result<String, Error> {
    let group = strip_group_word(group);
    let wanted = folded(group);
    let known = groups(conn, event)?;
    Ok(known.into_iter().find(|known| folded(known) == wanted).unwrap_or_else(|| group.to_owned()))
}

/// The groups of the event that have teams, in order of name.
pub(crate) fn groups(conn: &Connection, event: EventId) -> Result<Vec<String>, Error> {
    all(
        conn,
        "SELECT DISTINCT group_name FROM teams WHERE event_id = ?1 AND group_name IS NOT NULL ORDER BY group_name",
        [event.0],
        |row| row.get(0),
    )
}

/// Refuses what no team may be called.
///
/// # Errors
/// [`Error::Invalid`].
pub(crate) fn check(team: &Team) -> Result<(), Error> {
    let mut fields = Fields::default();
    fields.name("/name", &team.name, NAME_CHARS_MAX);
    fields.name_if("/code", team.code.as_deref(), CODE_CHARS_MAX);
    fields.name_if("/group", team.group.as_deref(), GROUP_CHARS_MAX);
    fields.done()
}

fn is_free(conn: &Connection, team: &Team) -> Result<(), Error> {
    let taken: Option<String> = one(
        conn,
        "SELECT name FROM teams WHERE event_id = ?1 AND name_folded = ?2 AND id <> ?3",
        params![team.event_id.0, folded(&team.name), team.id.0],
        |row| row.get(0),
    )?;
    if let Some(taken) = taken {
        return Err(Error::Rule(format!("the event has a team `{taken}` already; choose another name")));
    }
    let Some(code) = &team.code else { return Ok(()) };
    let taken: Option<String> = one(
        conn,
        "SELECT name FROM teams WHERE event_id = ?1 AND code_folded = ?2 AND id <> ?3",
        params![team.event_id.0, folded(code), team.id.0],
        |row| row.get(0),
    )?;
    match taken {
        Some(taken) => Err(Error::Rule(format!("{code} is the code of {taken}; choose another code"))),
        None => Ok(()),
    }
}

/// Writes a new team and answers it with its id.
pub(crate) fn add(tx: &Tx<'_>, team: Team) -> Result<Team, Error> {
    let id = insert(
        tx,
        "INSERT INTO teams (event_id, name, name_folded, code, code_folded, group_name)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            team.event_id.0,
            team.name,
            folded(&team.name),
            team.code,
            team.code.as_deref().map(folded),
            team.group,
        ],
    )?;
    Ok(Team { id: TeamId(id), ..team })
}

fn create(tx: &mut Tx<'_>, by: &Caller, event: EventId, new: NewTeam) -> Result<Done<Team>, Error> {
    rights::in_event(tx, &by.actor, event, Action::Manage)?;
    let mut team = Team { id: TeamId(0), event_id: event, name: new.name, code: new.code, group: new.group };
    check(&team)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(get(tx, TeamId(first.resource_id))?));
    }
    is_free(tx, &team)?;
    team.group = team.group.map(|group| spelled_group(tx, event, &group)).transpose()?;
    tx.begin(by, "create_team");
    let before = standings::Boards::of(tx, event)?;
    let team = add(tx, team)?;
    let boards = standings::Boards::of(tx, event)?;
    let entry = Entry::changed(Some(event))
        .group(team.group.clone())
        .refreshing(before.changed_to(&boards, &[team.group.as_deref()]))
        .refreshing([StateLane::new(Topic::Team(team.id))])
        .undone_by(json!({ "delete_team": team.id }));
    let pos = tx.append(entry)?;
    idempotency::remember(tx, by, "team", team.id.0, None, Status::Created)?;
    Ok(Done { value: team, pos, effect: Effect::Created })
}

fn edit(tx: &mut Tx<'_>, by: &Caller, id: TeamId, edit: EditTeam) -> Result<Done<Team>, Error> {
    rights::signed_in(&by.actor)?;
    let event = rights::event_of_team(tx, id)?;
    rights::in_event(tx, &by.actor, event, Action::Manage)?;
    let before = get(tx, id)?;
    let mut after = before.clone();
    after.name = edit.name.unwrap_or(after.name);
    after.code = edit.code.unwrap_or(after.code);
    after.group = edit.group.unwrap_or(after.group);
    check(&after)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(before));
    }
    if after.group != before.group {
        after.group = after.group.map(|group| spelled_group(tx, event, &group)).transpose()?;
    }
    if after == before {
        return Ok(Done { value: after, pos: tx.head(), effect: Effect::Unchanged });
    }
    is_free(tx, &after)?;
    if after.group != before.group
        && let Some(group) = &before.group
    {
        may_leave(tx, &before, group)?;
    }
    tx.begin(by, "edit_team");
    let old_boards = standings::Boards::of(tx, event)?;
    run(
        tx,
        "UPDATE teams SET name = ?2, name_folded = ?3, code = ?4, code_folded = ?5, group_name = ?6 WHERE id = ?1",
        params![id.0, after.name, folded(&after.name), after.code, after.code.as_deref().map(folded), after.group,],
    )?;
    let boards = standings::Boards::of(tx, event)?;
    let entry = Entry::changed(Some(event))
        .group(after.group.clone())
        .refreshing([StateLane::new(Topic::Team(id))])
        .refreshing(old_boards.changed_to(&boards, &[before.group.as_deref(), after.group.as_deref()]))
        .refreshing(fixtures::lanes_where(tx, event, "?1 IN (f.home_team_id, f.away_team_id)", id.0)?)
        .undone_by(json!({ "edit_team": id, "was": before }));
    let pos = tx.append(entry)?;
    idempotency::remember(tx, by, "team", id.0, None, Status::Ok)?;
    Ok(Done { value: after, pos, effect: Effect::Changed })
}

/// A team does not leave a group in which it plays: its matches would count for nobody.
fn may_leave(conn: &Connection, team: &Team, group: &str) -> Result<(), Error> {
    let number: Option<u32> = one(
        conn,
        "SELECT number FROM fixtures WHERE ?1 IN (home_team_id, away_team_id) AND group_name = ?2 ORDER BY number",
        params![team.id.0, group],
        |row| row.get(0),
    )?;
    match number {
        Some(number) => Err(Error::Rule(format!(
            "{} plays fixture #{number} in group {group}; delete its fixtures of that group first",
            team.name
        ))),
        None => Ok(()),
    }
}

fn delete(tx: &mut Tx<'_>, by: &Caller, id: TeamId) -> Result<Done<()>, Error> {
    rights::signed_in(&by.actor)?;
    let event = match rights::event_of_team(tx, id) {
        Err(Error::NotFound) => return idempotency::gone(tx, by),
        found => found?,
    };
    rights::in_event(tx, &by.actor, event, Action::Manage)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(()));
    }
    let team = get(tx, id)?;
    let number: Option<u32> = one(
        tx,
        "SELECT number FROM fixtures WHERE ?1 IN (home_team_id, away_team_id) ORDER BY number",
        [id.0],
        |row| row.get(0),
    )?;
    if let Some(number) = number {
        return Err(Error::Rule(format!("{} plays fixture #{number}; delete its fixtures first", team.name)));
    }
    let meant: Option<String> = one(
        tx,
        "SELECT a.title FROM announcement_teams t JOIN announcements a ON a.id = t.announcement_id
         WHERE t.team_id = ?1 AND a.removed_reason IS NULL",
        [id.0],
        |row| row.get(0),
    )?;
    if let Some(title) = meant {
        return Err(Error::Rule(format!("the announcement `{title}` is for {}; withdraw it first", team.name)));
    }
    tx.begin(by, "delete_team");
    let before = standings::Boards::of(tx, event)?;
    run(tx, "DELETE FROM teams WHERE id = ?1", [id.0])?;
    let boards = standings::Boards::of(tx, event)?;
    let entry = Entry::access(Some(event), AccessChange::TeamDeleted { event, team: id })
        .group(team.group.clone())
        .refreshing(before.changed_to(&boards, &[team.group.as_deref()]))
        .undone_by(json!({ "create_team": team }));
    let pos = tx.append(entry)?;
    idempotency::remember(tx, by, "team", id.0, None, Status::NoContent)?;
    Ok(Done { value: (), pos, effect: Effect::Changed })
}

fn list(conn: &Connection, actor: &Actor, event: EventId, paging: Paging) -> Result<Page<Team>, Error> {
    rights::in_event(conn, actor, event, Action::Read)?;
    let teams = all(
        conn,
        &format!("{COLUMNS} WHERE event_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3"),
        params![event.0, paging.after, one_more(paging.limit)],
        read,
    )?;
    Ok(page(teams, paging.limit, |team| team.id.0))
}

/// The ids of the teams of this event.
pub(crate) fn of_event(conn: &Connection, event: EventId) -> Result<BTreeSet<TeamId>, Error> {
    let teams = all(conn, "SELECT id FROM teams WHERE event_id = ?1", [event.0], |row| row.get(0).map(TeamId))?;
    Ok(teams.into_iter().collect())
}

impl Store {
    /// Adds a team to an event.
    pub async fn create_team(&self, by: Caller, event: EventId, new: NewTeam) -> Result<Done<Team>, Error> {
        self.write(move |tx| create(tx, &by, event, new)).await
    }

    /// The teams of an event.
    pub async fn teams(&self, actor: Actor, event: EventId, page: Paging) -> Result<Page<Team>, Error> {
        self.read(move |conn| list(conn, &actor, event, page)).await
    }

    /// One team.
    pub async fn team(&self, actor: Actor, id: TeamId) -> Result<Team, Error> {
        self.read(move |conn| {
            rights::in_event(conn, &actor, rights::event_of_team(conn, id)?, Action::Read)?;
            get(conn, id)
        })
        .await
    }

    /// Renames a team, or moves it to another group.
    pub async fn edit_team(&self, by: Caller, id: TeamId, new: EditTeam) -> Result<Done<Team>, Error> {
        self.write(move |tx| edit(tx, &by, id, new)).await
    }

    /// Removes a team that plays nowhere.
    pub async fn delete_team(&self, by: Caller, id: TeamId) -> Result<Done<()>, Error> {
        self.write(move |tx| delete(tx, &by, id)).await
    }
}

#[cfg(test)]
mod tests {
    use timely_core::body::NewAnnouncement;

    use super::*;
    use crate::store::RowKind;
    use crate::store::testing::{Ground, owner};

    fn named(name: &str, code: Option<&str>) -> NewTeam {
        NewTeam { name: name.to_owned(), code: code.map(str::to_owned), group: None }
    }

    #[tokio::test]
    async fn names_and_codes_are_unique_without_case_and_accents() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let other = ground.event().await.id;
        let create = |event, new| ground.store.create_team(owner(), event, new);
        let zurich = create(event, named("Zürich", Some("ZÜR"))).await.unwrap().value;
        let basel = create(event, named("Basel", Some("BAS"))).await.unwrap().value;
        for (why, new) in [
            ("the name", named("zurich", None)),
            ("the name with spaces", named(" ZURICH ", None)),
            ("the code", named("Zug", Some("zur"))),
        ] {
            let refused = create(event, new).await.unwrap_err();
            assert!(matches!(&refused, Error::Rule(said) if said.contains("Zürich")), "{why}: {refused:?}");
        }
        create(other, named("Zürich", Some("ZÜR"))).await.unwrap();
        let edit = |name: &str| EditTeam { name: Some(name.to_owned()), ..EditTeam::default() };
        assert!(matches!(ground.store.edit_team(owner(), basel.id, edit("ZÜRICH")).await, Err(Error::Rule(_))));
        let spelled = ground.store.edit_team(owner(), zurich.id, edit("ZÜRICH")).await.unwrap().value;
        assert_eq!(spelled.name, "ZÜRICH", "its own name in another spelling");
        let none = EditTeam { code: Some(None), ..EditTeam::default() };
        assert_eq!(ground.store.edit_team(owner(), zurich.id, none).await.unwrap().value.code, None);
        assert_eq!(ground.store.edit_team(owner(), zurich.id, edit("ZÜRICH")).await.unwrap().effect, Effect::Unchanged);
    }

    #[tokio::test]
    async fn whatever_shows_the_name_is_read_again() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], Some("A")).await;
        let [greens] = ground.teams(event, ["Greens"], Some("a")).await;
        ground.fixture(event, reds, blues).await;
        let before = ground.head();
        let edit = EditTeam { name: Some("Crimsons".to_owned()), ..EditTeam::default() };
        ground.store.edit_team(owner(), reds, edit).await.unwrap();
        let rows = ground.store.rows_after(before, 10).await.unwrap();
        assert_eq!((rows.len(), &rows[0].kind, rows[0].topics.len()), (1, &RowKind::Changed, 0));
        let mut lanes: Vec<StateLane> = std::iter::once(Topic::EventResults(event))
            .chain([reds, blues, greens].map(Topic::TeamResults))
            .map(|topic| StateLane::board(topic, Some("A")))
            .collect();
        lanes.extend([Topic::Team(reds), Topic::EventSchedule(event)].map(StateLane::new));
        lanes.extend([reds, blues].map(|team| StateLane::new(Topic::TeamSchedule(team))));
        lanes.sort();
        assert_eq!(rows[0].refreshes, lanes);
    }

    #[tokio::test]
    async fn a_team_that_is_named_somewhere_stays() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues, greens] = ground.teams(event, ["Reds", "Blues", "Greens"], Some("A")).await;
        let fixture = ground.fixture(event, reds, blues).await;
        let refused = ground.store.delete_team(owner(), reds).await.unwrap_err();
        assert!(matches!(&refused, Error::Rule(said) if said.contains("#1")), "{refused:?}");
        let leave = EditTeam { group: Some(None), ..EditTeam::default() };
        assert!(matches!(ground.store.edit_team(owner(), reds, leave).await, Err(Error::Rule(_))));
        let news = NewAnnouncement {
            title: "Bus".to_owned(),
            message: String::new(),
            kind: timely_core::announcement::AnnouncementType::General,
            priority: timely_core::announcement::Priority::Normal,
            is_public: true,
            team_ids: vec![greens],
            expires_at: None,
            confirm: None,
        };
        let news = ground.store.create_announcement(owner(), event, news).await.unwrap().value;
        assert!(matches!(ground.store.delete_team(owner(), greens).await, Err(Error::Rule(_))));
        ground.store.withdraw_announcement(owner(), news.id, crate::store::Expected::Any).await.unwrap();
        let before = ground.head();
        ground.store.delete_team(owner(), greens).await.unwrap();
        let rows = ground.store.rows_after(before, 10).await.unwrap();
        assert_eq!(rows[0].kind, RowKind::Access(AccessChange::TeamDeleted { event, team: greens }));
        assert!(matches!(ground.store.announcement(None, news.id).await, Err(Error::NotFound)), "not everybody's now");
        ground.store.delete_fixture(owner(), fixture.fixture_id, crate::store::Expected::Any).await.unwrap();
        ground.store.delete_team(owner(), reds).await.unwrap();
        assert_eq!(ground.table(event).await, "Blues 0 0/0/0");
    }
}
