//! Credentials: random secrets of which only the hash is kept.
//!
//! The owner's token lies in the data directory for the person who has the files. Every other token
//! is a person or a device of its own: it gets a user, named by its label, so that the log tells who
//! it was and requests of two devices are never taken for one another. Time is real time here.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use sha2::{Digest as _, Sha256};
use timely_core::access::{AccessChange, Action, Actor, Bearer, Role};
use timely_core::body::{NewToken, Page, TokenInfo};
use timely_core::id::{EventId, OWNER, TeamId, TokenId, UserId};
use tracing::info;

use crate::clock::real_now;
use crate::error::Error;
use crate::store::change_log::Entry;
use crate::store::columns::{Micros, Text, all, any, insert, kept, one, run};
use crate::store::epoch;
use crate::store::events::{one_more, page};
use crate::store::idempotency::{self, Status, hex};
use crate::store::values::{Fields, NAME_CHARS_MAX};
use crate::store::writer::Tx;
use crate::store::{Caller, Done, Effect, OpenError, Paging, Store, rights, teams};

/// What every secret begins with, so that people and scanners recognise one.
const PREFIX: &str = "tml_";
const SECRET_BYTES: usize = 32;
/// Name of the owner until they choose one.
const OWNER_NAME: &str = "owner";
/// Expired tokens that are ended in one write; the rest follows at once.
const ENDS_PER_WRITE_MAX: i64 = 100;

fn new_secret() -> std::io::Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    epoch::random(&mut bytes)?;
    Ok(format!("{PREFIX}{}", hex(&bytes)))
}

fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Makes sure that `path` holds a good token of the owner: the one who has the files owns the server.
pub(crate) fn ensure_owner(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let failed =
        |source| OpenError::Io { what: format!("cannot keep the owner's token in {}", path.display()), source };
    match std::fs::read_to_string(path) {
        Ok(secret) => {
            let is_good = any(
                conn,
                "SELECT 1 FROM tokens WHERE hash = ?1 AND role = 'owner' AND revoked_at IS NULL AND ended = 0",
                [hash(secret.trim())],
            )?;
            if is_good {
                return Ok(());
            }
            info!("{} holds no token of this data file: making a new one", path.display());
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let secret = new_secret().map_err(failed)?;
    // The file first: without its row it is replaced at the next start, the row alone would be lost.
    epoch::replace(path, &secret).map_err(failed)?;
    let now = real_now();
    let tx = conn.unchecked_transaction()?;
    run(
        &tx,
        "INSERT INTO users (id, name, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![OWNER.0, OWNER_NAME, Micros(now)],
    )?;
    run(
        &tx,
        "INSERT INTO tokens (hash, user_id, role, label, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![hash(&secret), OWNER.0, Text(Role::Owner), "owner.token", Micros(now)],
    )?;
    tx.commit()?;
    Ok(())
}

/// Who the secret belongs to, if it is good at `now`.
fn bearer(conn: &Connection, secret: &str, now: Timestamp) -> Result<Option<Bearer>, Error> {
    one(
        conn,
        "SELECT t.user_id, u.name, t.id, t.role, t.event_id, t.area, t.team_id, t.expires_at
         FROM tokens t JOIN users u ON u.id = t.user_id
         WHERE t.hash = ?1 AND t.revoked_at IS NULL AND t.ended = 0 AND (t.expires_at IS NULL OR t.expires_at > ?2)",
        params![hash(secret), Micros(now)],
        |row| {
            Ok(Bearer {
                user: UserId(row.get(0)?),
                name: row.get(1)?,
                token: TokenId(row.get(2)?),
                role: row.get::<_, Text<_>>(3)?.0,
                event: row.get::<_, Option<i64>>(4)?.map(EventId),
                area: row.get(5)?,
                team: row.get::<_, Option<i64>>(6)?.map(TeamId),
                expires_at: row.get::<_, Option<Micros>>(7)?.map(|Micros(at)| at),
            })
        },
    )
}

/// Whether the caller's token is still good; nobody's always is.
///
/// # Errors
/// [`Error::BadCredential`].
pub(crate) fn still_good(conn: &Connection, actor: &Actor, now: Timestamp) -> Result<(), Error> {
    let Some(bearer) = actor else { return Ok(()) };
    let is_good = any(
        conn,
        "SELECT 1 FROM tokens
         WHERE id = ?1 AND revoked_at IS NULL AND ended = 0 AND (expires_at IS NULL OR expires_at > ?2)",
        params![bearer.token.0, Micros(now)],
    )?;
    if is_good { Ok(()) } else { Err(Error::BadCredential) }
}

const COLUMNS: &str =
    "SELECT id, role, event_id, area, team_id, label, created_at, expires_at, revoked_at, ended FROM tokens";

fn read(row: &Row<'_>) -> rusqlite::Result<TokenInfo> {
    let time = |at| row.get::<_, Option<Micros>>(at).map(|time| time.map(|Micros(time)| time));
    Ok(TokenInfo {
        id: TokenId(row.get(0)?),
        token: None,
        role: row.get::<_, Text<_>>(1)?.0,
        event_id: row.get::<_, Option<i64>>(2)?.map(EventId),
        area: row.get(3)?,
        team_id: row.get::<_, Option<i64>>(4)?.map(TeamId),
        label: row.get(5)?,
        created_at: row.get::<_, Micros>(6)?.0,
        expires_at: time(7)?,
        revoked_at: time(8)?,
    })
}

fn get(conn: &Connection, id: TokenId) -> Result<TokenInfo, Error> {
    one(conn, &format!("{COLUMNS} WHERE id = ?1"), [id.0], read)?.ok_or(Error::NotFound)
}

/// The parts of a token that belong together.
fn check(new: &NewToken) -> Result<(), Error> {
    let mut fields = Fields::default();
    match (new.role, new.event_id) {
        (Role::Owner, Some(_)) => fields.refuse("/event_id", "an owner has every event; leave it out"),
        (Role::Relay, Some(_)) => fields.refuse("/event_id", "a relay passes on every event; leave it out"),
        (Role::Viewer | Role::Scorer | Role::Organiser, None) => {
            fields.refuse("/event_id", format!("is missing; a {} belongs to one event", new.role));
        }
        _ => {}
    }
    if new.area.is_some() && new.role != Role::Scorer {
        fields.refuse("/area", "only a scorer is limited to an area; leave it out");
    }
    if new.team_id.is_some() && new.role != Role::Viewer {
        fields.refuse("/team_id", "only a viewer belongs to a team; leave it out");
    }
    fields.name_if("/area", new.area.as_deref(), NAME_CHARS_MAX);
    fields.name_if("/label", new.label.as_deref(), NAME_CHARS_MAX);
    fields.done()
}

fn create(tx: &mut Tx<'_>, by: &Caller, new: &NewToken) -> Result<Done<TokenInfo>, Error> {
    let keeper = rights::token_keeper(&by.actor)?;
    match new.event_id {
        // An organiser who names no event is told so below; only of theirs they may make tokens.
        Some(event) => drop(rights::in_event(tx, &by.actor, event, Action::Manage)?),
        None if new.role == Role::Owner => drop(rights::owner(&by.actor, "make tokens of owners")?),
        None if new.role == Role::Relay => drop(rights::owner(&by.actor, "make tokens of relays")?),
        None => {}
    }
    check(new)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(get(tx, TokenId(first.resource_id))?));
    }
    let mut fields = Fields::default();
    if let Some(expires_at) = new.expires_at
        && expires_at <= by.real
    {
        fields.refuse("/expires_at", format!("{expires_at} is past; it is {}", by.real));
    }
    if let (Some(team), Some(event)) = (new.team_id, new.event_id)
        && teams::find(tx, team)?.is_none_or(|team| team.event_id != event)
    {
        fields.refuse("/team_id", format!("team {team} is not a team of this event"));
    }
    fields.done()?;
    let area = match (&new.area, new.event_id) {
        (Some(area), Some(event)) => Some(spelled_area(tx, event, area)?),
        _ => None,
    };
    tx.begin(by, "create_token");
    let user = match new.role {
        Role::Owner => keeper.user,
        Role::Viewer | Role::Scorer | Role::Organiser | Role::Relay => {
            let name = new.label.clone().unwrap_or_else(|| new.role.to_string());
            let user = "INSERT INTO users (name, created_at) VALUES (?1, ?2)";
            UserId(insert(tx, user, params![name, Micros(by.real)])?)
        }
    };
    let secret = new_secret().map_err(|error| Error::Internal(error.to_string()))?;
    let id = insert(
        tx,
        "INSERT INTO tokens (hash, user_id, role, event_id, area, team_id, label, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            hash(&secret),
            user.0,
            Text(new.role),
            new.event_id.map(|event| event.0),
            area,
            new.team_id.map(|team| team.0),
            new.label,
            Micros(by.real),
            new.expires_at.map(Micros),
        ],
    )?;
    let pos = tx.append(Entry::changed(new.event_id).undone_by(serde_json::json!({ "revoke_token": id })))?;
    idempotency::remember(tx, by, "token", id, None, Status::Created)?;
    let value = TokenInfo { token: Some(secret), ..get(tx, TokenId(id))? };
    Ok(Done { value, pos, effect: Effect::Created })
}

/// The area as the venues of the event spell it; areas that no venue has yet stay as typed.
fn spelled_area(conn: &Connection, event: EventId, area: &str) -> Result<String, Error> {
    let known: Option<String> = one(
        conn,
        "SELECT a.name FROM venue_areas a JOIN venues v ON v.id = a.venue_id
         WHERE v.event_id = ?1 AND a.name_folded = ?2",
        params![event.0, timely_core::text::folded(area)],
        |row| row.get(0),
    )?;
    Ok(known.unwrap_or_else(|| area.to_owned()))
}

fn list(conn: &Connection, actor: &Actor, event: Option<EventId>, paging: Paging) -> Result<Page<TokenInfo>, Error> {
    let keeper = rights::token_keeper(actor)?;
    let event = match keeper.role {
        Role::Owner => event,
        Role::Viewer | Role::Scorer | Role::Organiser | Role::Relay => event.or(keeper.event),
    };
    if let Some(event) = event {
        rights::in_event(conn, actor, event, Action::Manage)?;
    }
    let tokens = all(
        conn,
        &format!("{COLUMNS} WHERE id > ?1 AND (?2 IS NULL OR event_id = ?2) ORDER BY id LIMIT ?3"),
        params![paging.after, event.map(|event| event.0), one_more(paging.limit)],
        read,
    )?;
    Ok(page(tokens, paging.limit, |token| token.id.0))
}

/// Who may revoke it: the owner, an organiser of its event, and whoever holds it.
fn may_revoke(bearer: &Bearer, token: Option<&TokenInfo>) -> Result<(), Error> {
    if token.is_some_and(|token| token.id == bearer.token) || bearer.role == Role::Owner {
        return Ok(());
    }
    rights::token_keeper(&Some(bearer.clone()))?;
    match token {
        Some(token) if token.role != Role::Owner && token.event_id == bearer.event => Ok(()),
        _ => Err(Error::NotFound),
    }
}

fn revoke(tx: &mut Tx<'_>, by: &Caller, id: TokenId) -> Result<Done<()>, Error> {
    let bearer = rights::signed_in(&by.actor)?;
    let found: Option<(TokenInfo, bool)> =
        one(tx, &format!("{COLUMNS} WHERE id = ?1"), [id.0], |row| Ok((read(row)?, row.get(9)?)))?;
    may_revoke(bearer, found.as_ref().map(|(token, _)| token))?;
    let (token, ended) = found.ok_or(Error::NotFound)?;
    if let Some(first) = idempotency::first(tx, by)? {
        return Ok(first.again(()));
    }
    if ended || token.revoked_at.is_some() {
        return Ok(Done { value: (), pos: tx.head(), effect: Effect::Unchanged });
    }
    if token.role == Role::Owner
        && !any(
            tx,
            "SELECT 1 FROM tokens WHERE role = 'owner' AND id <> ?1 AND revoked_at IS NULL AND ended = 0
             AND (expires_at IS NULL OR expires_at > ?2)",
            params![id.0, Micros(by.real)],
        )?
    {
        return Err(Error::Rule("this is the owner's last token; make another one first".to_owned()));
    }
    tx.begin(by, "revoke_token");
    run(tx, "UPDATE tokens SET revoked_at = ?2, ended = 1 WHERE id = ?1", params![id.0, Micros(by.real)])?;
    let pos = tx.append(Entry::access(token.event_id, AccessChange::TokenEnded { token: id }))?;
    idempotency::remember(tx, by, "token", id.0, None, Status::NoContent)?;
    Ok(Done { value: (), pos, effect: Effect::Changed })
}

fn next_expiry(conn: &Connection, now: Timestamp) -> Result<(bool, Option<Timestamp>), Error> {
    let first: Option<Micros> =
        one(conn, "SELECT min(expires_at) FROM tokens WHERE ended = 0 AND expires_at IS NOT NULL", [], |row| {
            row.get(0)
        })?
        .flatten();
    let first = first.map(|Micros(at)| at);
    Ok((first.is_some_and(|at| at <= now), first))
}

fn end_expired(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Error> {
    let due: Vec<(TokenId, Option<EventId>)> = all(
        tx,
        "SELECT id, event_id FROM tokens WHERE ended = 0 AND expires_at IS NOT NULL AND expires_at <= ?1
         ORDER BY expires_at, id LIMIT ?2",
        params![Micros(now), ENDS_PER_WRITE_MAX],
        |row| Ok((TokenId(row.get(0)?), row.get::<_, Option<i64>>(1)?.map(EventId))),
    )?;
    for (token, event) in due {
        tx.begin_by_clock(now, "expire_token");
        run(tx, "UPDATE tokens SET ended = 1 WHERE id = ?1", [token.0])?;
        tx.append(Entry::access(event, AccessChange::TokenEnded { token }))?;
    }
    Ok(())
}

impl Store {
    /// Who the secret belongs to; `None` if it is unknown, revoked or expired.
    pub async fn bearer(&self, token: &str, real_now: Timestamp) -> Result<Option<Bearer>, Error> {
        let token = token.to_owned();
        self.read(move |conn| bearer(conn, &token, real_now)).await
    }

    /// Makes a token. Its secret is in the answer, once; a repetition of the request does not have it.
    pub async fn create_token(&self, by: Caller, new: NewToken) -> Result<Done<TokenInfo>, Error> {
        let new = NewToken { expires_at: new.expires_at.map(kept), ..new };
        self.write(move |tx| create(tx, &by, &new)).await
    }

    /// Tokens the caller may revoke, without their secrets.
    pub async fn tokens(&self, actor: Actor, event: Option<EventId>, page: Paging) -> Result<Page<TokenInfo>, Error> {
        self.read(move |conn| list(conn, &actor, event, page)).await
    }

    /// Ends a token, and every stream that was opened with it.
    pub async fn revoke_token(&self, by: Caller, id: TokenId) -> Result<Done<()>, Error> {
        self.write(move |tx| revoke(tx, &by, id)).await
    }

    /// Ends the streams of tokens whose time has come; answers when the next one expires.
    pub async fn end_expired_tokens(&self, real_now: Timestamp) -> Result<Option<Timestamp>, Error> {
        loop {
            let (due, next) = self.read(move |conn| next_expiry(conn, real_now)).await?;
            if !due {
                return Ok(next);
            }
            self.write(move |tx| end_expired(tx, real_now)).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RowKind;
    use crate::store::testing::{ALL, Ground, bearer, by, owner, time};

    fn token(role: Role, event: Option<EventId>) -> NewToken {
        NewToken { role, event_id: event, area: None, team_id: None, expires_at: None, label: None }
    }

    #[tokio::test]
    async fn a_token_is_what_it_was_made_for_until_it_ends() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let new = NewToken {
            area: Some("Pitch 2".to_owned()),
            expires_at: Some(time(60)),
            label: Some("Pitch 2 tablet".to_owned()),
            ..token(Role::Scorer, Some(event))
        };
        let made = ground.store.create_token(owner(), new).await.unwrap().value;
        let secret = made.token.clone().unwrap();
        let holder = ground.store.bearer(&secret, time(59)).await.unwrap().unwrap();
        assert_eq!((holder.role, holder.event, holder.area.as_deref()), (Role::Scorer, Some(event), Some("Pitch 2")));
        assert_eq!((holder.token, holder.name.as_str()), (made.id, "Pitch 2 tablet"));
        assert_ne!(holder.user, OWNER, "requests of two devices are never taken for one another");
        assert_eq!(ground.store.bearer(&secret, time(60)).await.unwrap(), None, "expired");
        assert_eq!(ground.store.end_expired_tokens(time(59)).await.unwrap(), Some(time(60)));
        let before = ground.head();
        assert_eq!(ground.store.end_expired_tokens(time(60)).await.unwrap(), None);
        assert_eq!(ground.store.end_expired_tokens(time(61)).await.unwrap(), None);
        let rows = ground.store.rows_after(before, 10).await.unwrap();
        assert_eq!(rows.len(), 1, "said once");
        assert_eq!(rows[0].kind, RowKind::Access(AccessChange::TokenEnded { token: made.id }));

        let other = ground.store.create_token(owner(), token(Role::Viewer, Some(event))).await.unwrap().value;
        let before = ground.head();
        ground.store.revoke_token(owner(), other.id).await.unwrap();
        assert_eq!(ground.store.bearer(&other.token.unwrap(), time(0)).await.unwrap(), None);
        assert_eq!(ground.store.revoke_token(owner(), other.id).await.unwrap().effect, Effect::Unchanged);
        assert_eq!(ground.news(before).await, ["access"]);
        let listed = ground.store.tokens(owner().actor, Some(event), ALL).await.unwrap().items;
        assert_eq!(listed.len(), 2);
        assert!(listed.iter().all(|token| token.token.is_none()));
        // No row holds a secret.
        let log = ground.log().await;
        assert!(log.iter().all(|row| !row.data.contains("tml_")));
    }

    #[tokio::test]
    async fn tokens_are_whole_or_refused() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let other = ground.event().await.id;
        let stranger = ground.team(other, "Strangers", None).await.id;
        for (why, new, pointer) in [
            ("an owner of one event", token(Role::Owner, Some(event)), "/event_id"),
            ("a scorer of none", token(Role::Scorer, None), "/event_id"),
            ("a viewer's area", NewToken { area: Some("P".to_owned()), ..token(Role::Viewer, Some(event)) }, "/area"),
            ("a scorer's team", NewToken { team_id: Some(stranger), ..token(Role::Scorer, Some(event)) }, "/team_id"),
            (
                "another event's team",
                NewToken { team_id: Some(stranger), ..token(Role::Viewer, Some(event)) },
                "/team_id",
            ),
            ("over", NewToken { expires_at: Some(time(0)), ..token(Role::Viewer, Some(event)) }, "/expires_at"),
        ] {
            let refused = ground.store.create_token(owner(), new).await.unwrap_err();
            assert!(matches!(&refused, Error::Invalid(fields) if fields[0].0 == pointer), "{why}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn organisers_handle_the_tokens_of_their_event_alone() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let other = ground.event().await.id;
        let organiser = || by(Some(bearer(Role::Organiser, Some(event))));
        let mine = ground.store.create_token(organiser(), token(Role::Scorer, Some(event))).await.unwrap().value;
        let theirs = ground.store.create_token(owner(), token(Role::Scorer, Some(other))).await.unwrap().value;
        let refused = ground.store.create_token(organiser(), token(Role::Scorer, Some(other))).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))));
        assert!(matches!(
            ground.store.create_token(organiser(), token(Role::Owner, None)).await,
            Err(Error::Forbidden(_))
        ));
        assert!(matches!(ground.store.revoke_token(organiser(), theirs.id).await, Err(Error::NotFound)));
        assert!(matches!(ground.store.revoke_token(organiser(), TokenId(999)).await, Err(Error::NotFound)));
        let listed = ground.store.tokens(organiser().actor, None, ALL).await.unwrap().items;
        assert_eq!(listed.iter().map(|token| token.id).collect::<Vec<_>>(), [mine.id]);
        let mut scorer = bearer(Role::Scorer, Some(event));
        scorer.token = mine.id;
        assert!(matches!(ground.store.tokens(Some(scorer.clone()), None, ALL).await, Err(Error::Forbidden(_))));
        assert!(matches!(
            ground.store.revoke_token(by(Some(scorer.clone())), theirs.id).await,
            Err(Error::Forbidden(_))
        ));
        ground.store.revoke_token(by(Some(scorer)), mine.id).await.unwrap();
        let last = ground.store.revoke_token(owner(), TokenId(1)).await;
        assert!(matches!(last, Err(Error::Rule(_))), "the owner does not lock themselves out");
    }
}
