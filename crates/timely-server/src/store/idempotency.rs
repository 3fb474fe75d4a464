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
