//! How values stand in columns, and the three ways to ask: for one row, for all, for none.
//!
//! A value that cannot be read back means that somebody else wrote into the file; it fails as a
//! database error and never becomes a default.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Params, Row, ToSql};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// A time, as microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Micros(pub(crate) Timestamp);

impl ToSql for Micros {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_microsecond().into())
    }
}

impl FromSql for Micros {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let micros = i64::column_result(value)?;
        Timestamp::from_microsecond(micros).map(Self).map_err(|_| FromSqlError::OutOfRange(micros))
    }
}

/// The time as it will be read back: what is answered must equal what is kept.
pub(crate) fn kept(time: Timestamp) -> Timestamp {
    // Truncation stays within the range of timestamps.
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// Anything with a text form: words, dates, slots, topics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<T>(pub(crate) T);

impl<T: Display> ToSql for Text<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_string().into())
    }
}

impl<T: FromStr> FromSql for Text<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Self).map_err(FromSqlError::other)
    }
}

/// A value kept as JSON text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(FromSqlError::other)
    }
}

/// The JSON text of a value of ours.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Internal(format!("a value cannot be written as JSON: {error}")))
}

/// The JSON of a value of ours, for answers that show it beside others.
pub(crate) fn json_value(value: &impl Serialize) -> Result<serde_json::Value, Error> {
    serde_json::to_value(value).map_err(|error| Error::Internal(format!("a value cannot be written as JSON: {error}")))
}

/// A position or sequence number from its column.
pub(crate) const fn unsigned(column: i64) -> u64 {
    column.cast_unsigned()
}

/// A position or sequence number for its column.
pub(crate) const fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// The one row of a query, if there is one.
pub(crate) fn one<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, Error> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    Ok(rows.next()?.map(read).transpose()?)
}

/// Every row of a query.
pub(crate) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Error> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params, read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Runs a statement that answers no rows; answers how many it touched.
pub(crate) fn run(conn: &Connection, sql: &str, params: impl Params) -> Result<usize, Error> {
    Ok(conn.prepare_cached(sql)?.execute(params)?)
}

/// Whether a query has any row.
pub(crate) fn any(conn: &Connection, sql: &str, params: impl Params) -> Result<bool, Error> {
    Ok(conn.prepare_cached(sql)?.exists(params)?)
}

/// The number that a query of one number answers.
pub(crate) fn count(conn: &Connection, sql: &str, params: impl Params) -> Result<usize, Error> {
    let counted: i64 = conn.prepare_cached(sql)?.query_row(params, |row| row.get(0))?;
    Ok(usize::try_from(counted).unwrap_or(usize::MAX))
}

/// Inserts a row and answers its id.
pub(crate) fn insert(conn: &Connection, sql: &str, params: impl Params) -> Result<i64, Error> {
    Ok(conn.prepare_cached(sql)?.insert(params)?)
}
