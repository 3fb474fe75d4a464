//! The tables and how they came to be; which programs may open the file.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};

use crate::store::OpenError;

/// Steps from an empty file to the present schema. A shipped step is never edited.
const STEPS: &[M<'static>] = &[M::up(include_str!("../../migrations/0001_initial.sql"))];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// 3.51.3: the first without a known way to lose a WAL commit.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// Refuses a SQLite that may lose what it committed.
pub(crate) fn check_sqlite() -> Result<(), OpenError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(OpenError::OldSqlite { found: rusqlite::version() });
    }
    Ok(())
}

/// Makes the tables, or brings those of an older program up to date.
///
/// # Errors
/// [`OpenError::TooNew`] for the file of a newer program: it would be misread.
pub(crate) fn bring_up_to_date(conn: &mut Connection) -> Result<(), OpenError> {
    let found: usize = conn
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map(i64::unsigned_abs)?
        .try_into()
        .map_err(|_| OpenError::Contents("the schema's number is out of range".to_owned()))?;
    if found > STEPS.len() {
        return Err(OpenError::TooNew { found, known: STEPS.len() });
    }
    Ok(MIGRATIONS.to_latest(conn)?)
}

/// Reads the whole file; answers what is damaged.
pub(crate) fn quick_check(path: &Path) -> rusqlite::Result<Option<String>> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let said: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((said != "ok").then_some(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_lead_to_a_schema() {
        MIGRATIONS.validate().unwrap();
    }
}
