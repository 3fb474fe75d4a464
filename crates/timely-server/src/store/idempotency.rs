//! One effect for a request that is sent again because its answer was lost.
//!
//! Only effects that were committed are remembered, in the transaction of the effect: what was done
//! to which thing, never a body and never a secret. A repetition is answered with the thing as it is
//! now and with the place, version and status of the first answer. The caller's rights are judged
//! again before this is asked.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};
use timely_core::access::Bearer;

use crate::error::Error;
use crate::store::columns::{Micros, any, one, run, signed, unsigned};
use crate::store::writer::Tx;
use crate::store::{Caller, Done, Effect};

/// How long a key is remembered.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What the first request under a key did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct First {
    pub(crate) resource_id: i64,
    pos: u64,
    version: Option<i64>,
    status: u16,
}

impl First {
    /// Answers the repetition.
    pub(crate) const fn again<T>(self, value: T) -> Done<T> {
        let Self { pos, version, status, .. } = self;
        Done { value, pos, effect: Effect::Replayed { status, pos, version } }
    }
}

/// The status with which an effect is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok = 200,
    Created = 201,
    NoContent = 204,
}

/// What this request did when it was sent before.
///
/// # Errors
/// [`Error::KeyReused`] if the key belongs to another request.
pub(crate) fn first(tx: &Tx<'_>, by: &Caller) -> Result<Option<First>, Error> {
    let (Some(key), Some(bearer)) = (&by.key, &by.actor) else { return Ok(None) };
    let found = one(
        tx,
        "SELECT request, resource_id, pos, version, status FROM idempotency
         WHERE user_id = ?1 AND key = ?2 AND committed_at > ?3",
        params![bearer.user.0, key.key, Micros(oldest(by.real))],
        |row| {
            let first = First {
                resource_id: row.get(1)?,
                pos: unsigned(row.get(2)?),
                version: row.get(3)?,
                status: row.get(4)?,
            };
            Ok((row.get::<_, String>(0)?, first))
        },
    )?;
    match found {
        Some((request, _)) if request != digest(&key.request) => Err(Error::KeyReused),
        Some((_, first)) => Ok(Some(first)),
        None => Ok(None),
    }
}

/// Answers a request about a thing that is not there: it may have been this request, sent before,
/// that removed it.
///
/// # Errors
/// [`Error::NotFound`] if it was not.
pub(crate) fn gone(tx: &Tx<'_>, by: &Caller) -> Result<Done<()>, Error> {
    first(tx, by)?.map(|first| first.again(())).ok_or(Error::NotFound)
}

/// Whether the caller removed the thing not long ago: then a repetition gets as far as its answer.
pub(crate) fn removed_by(conn: &Connection, bearer: &Bearer, resource: &str, id: i64) -> Result<bool, Error> {
    any(
        conn,
        "SELECT 1 FROM idempotency WHERE user_id = ?1 AND resource = ?2 AND resource_id = ?3 AND status = ?4",
        params![bearer.user.0, resource, id, Status::NoContent as u16],
    )
}

/// Remembers what the request did; its last row is the head of the log.
pub(crate) fn remember(
    tx: &Tx<'_>,
    by: &Caller,
    resource: &str,
    resource_id: i64,
    version: Option<i64>,
    status: Status,
) -> Result<(), Error> {
    let (Some(key), Some(bearer)) = (&by.key, &by.actor) else { return Ok(()) };
    run(tx, "DELETE FROM idempotency WHERE committed_at <= ?1", [Micros(oldest(by.real))])?;
    run(
        tx,
        "INSERT INTO idempotency (user_id, key, request, resource, resource_id, pos, version, status, committed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            bearer.user.0,
            key.key,
            digest(&key.request),
            resource,
            resource_id,
            signed(tx.head()),
            version,
            status as u16,
            Micros(by.real),
        ],
    )?;
    Ok(())
}

fn oldest(now: Timestamp) -> Timestamp {
    now.saturating_sub(KEPT).unwrap_or(Timestamp::MIN)
}

fn digest(request: &str) -> String {
    hex(&Sha256::digest(request.as_bytes()))
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use timely_core::access::Role;
    use timely_core::body::{NewTeam, NewToken};
    use timely_core::fixture::MatchCommand;

    use super::*;
    use crate::store::Expected;
    use crate::store::testing::{Ground, bearer, keyed, score, time};

    fn team(name: &str) -> NewTeam {
        NewTeam { name: name.to_owned(), code: None, group: None }
    }

    #[tokio::test]
    async fn a_repetition_is_answered_and_not_done_again_even_after_a_restart() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let reds = || keyed("k1", "POST /teams\n\n{Reds}");
        let made = ground.store.create_team(reds(), event, team("Reds")).await.unwrap();
        let head = ground.head();
        let again = ground.store.create_team(reds(), event, team("Reds")).await.unwrap();
        assert_eq!(again.value, made.value);
        assert_eq!(again.effect, Effect::Replayed { status: 201, pos: made.pos, version: None });
        let ground = ground.reopened().await;
        let edit = timely_core::body::EditTeam { name: Some("Crimsons".to_owned()), ..Default::default() };
        ground.store.edit_team(keyed("k2", "PATCH"), made.value.id, edit).await.unwrap();
        let again = ground.store.create_team(reds(), event, team("Reds")).await.unwrap();
        assert_eq!(again.value.name, "Crimsons", "the thing as it is now");
        assert_eq!(ground.head(), head + 1);

        let other = ground.store.create_team(keyed("k1", "POST /teams\n\n{Blues}"), event, team("Blues")).await;
        assert!(matches!(other, Err(Error::KeyReused)));
        let mut somebody = bearer(Role::Organiser, Some(event));
        somebody.user = timely_core::id::UserId(7);
        let theirs = Caller { actor: Some(somebody), ..keyed("k1", "POST /teams\n\n{Blues}") };
        ground.store.create_team(theirs, event, team("Blues")).await.unwrap();
        let late = Caller { real: time(31 * 24 * 3600), ..reds() };
        ground.store.create_team(late, event, team("Reds")).await.unwrap();
    }

    #[tokio::test]
    async fn only_what_was_done_is_remembered() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let fixture = ground.fixture(event, reds, blues).await.fixture_id;
        let put = |body| ground.store.put_result(keyed("k", "PUT"), fixture, Expected::Unsaid, body);
        ground.store.command_fixture(keyed("c", "POST"), fixture, Expected::Any, MatchCommand::Cancel).await.unwrap();
        assert!(matches!(put(score("1-0")).await, Err(Error::Rule(_))));
        ground.store.command_fixture(keyed("r", "POST"), fixture, Expected::Any, MatchCommand::Restore).await.unwrap();
        let first = put(score("1-0")).await.unwrap();
        assert_eq!(first.effect, Effect::Created, "the refusal was not remembered");
        ground.put(fixture, score("2-0")).await.unwrap();
        // Looked up before the version: the repetition is no lost race.
        let again = put(score("1-0")).await.unwrap();
        assert_eq!(again.effect, Effect::Replayed { status: 200, pos: first.pos, version: Some(1) });
        assert_eq!((again.value.version, again.value.home_score), (2, Some(2)));
    }

    #[tokio::test]
    async fn rights_are_judged_again_and_secrets_are_never_repeated() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let new = NewToken {
            role: Role::Scorer,
            event_id: Some(event),
            area: None,
            team_id: None,
            expires_at: None,
            label: None,
        };
        let made = ground.store.create_token(keyed("t", "POST"), new.clone()).await.unwrap().value;
        assert!(made.token.is_some());
        let again = ground.store.create_token(keyed("t", "POST"), new).await.unwrap();
        assert!(matches!(again.effect, Effect::Replayed { status: 201, .. }));
        assert_eq!((again.value.id, again.value.token), (made.id, None));

        ground.store.create_team(keyed("k", "POST"), event, team("Reds")).await.unwrap();
        let fallen = Caller { actor: Some(bearer(Role::Viewer, Some(event))), ..keyed("k", "POST") };
        assert!(matches!(ground.store.create_team(fallen, event, team("Reds")).await, Err(Error::Forbidden(_))));
    }

    #[tokio::test]
    async fn a_removal_can_be_repeated() {
        use crate::store::{Thing, Wish};
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let done = ground.store.delete_team(keyed("d", "DELETE"), reds).await.unwrap();
        let actor = keyed("d", "DELETE").actor;
        ground.store.authorise(actor.clone(), None, Thing::Team(reds), Wish::Manage).await.unwrap();
        let again = ground.store.delete_team(keyed("d", "DELETE"), reds).await.unwrap();
        assert_eq!(again.effect, Effect::Replayed { status: 204, pos: done.pos, version: None });
        assert!(matches!(ground.store.delete_team(keyed("e", "DELETE"), reds).await, Err(Error::NotFound)));
        let mut stranger = bearer(Role::Organiser, Some(event));
        stranger.user = timely_core::id::UserId(7);
        let theirs = ground.store.authorise(Some(stranger), None, Thing::Team(reds), Wish::Manage).await;
        assert!(matches!(theirs, Err(Error::NotFound)));
        ground.store.delete_event(keyed("x", "DELETE"), event).await.unwrap();
        assert!(matches!(ground.store.team(None, blues).await, Err(Error::NotFound)));
        let again = ground.store.delete_event(keyed("x", "DELETE"), event).await.unwrap();
        assert!(matches!(again.effect, Effect::Replayed { status: 204, .. }));
    }
}
