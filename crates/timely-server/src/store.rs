//! The one SQLite file: every command, every read, and the change log.
//!
//! A command is one function and one transaction: who may, what was said, was it said before, which
//! version was seen, what the rule says, the rows, the log. It is done when it is on disk; what it
//! announced is read from the log by others. The store knows neither HTTP nor streams, and rules of
//! the sport are timely-core's.
//!
//! Writes go through one thread ([`writer`]), reads through a small pool of read-only connections,
//! never on a runtime thread and each in one read transaction: what one answer says is true at one
//! position of the log.

mod announcements;
mod change_log;
mod columns;
mod epoch;
mod events;
mod feed;
mod fixtures;
mod idempotency;
mod import;
#[cfg(test)]
mod open_tests;
mod progression;
mod results;
mod rights;
mod schema;
mod standings;
mod state;
mod teams;
#[cfg(test)]
mod testing;
mod tokens;
mod values;
mod venues;
mod version;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};
use timely_core::access::Actor;
use timely_core::cursor::Epoch;
use timely_core::id::EventId;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tracing::{error, warn};

pub use self::change_log::{LogRow, RowKind};
pub use self::feed::{EventPage, LogPage, Shown};
pub use self::results::Judgement;
pub use self::rights::{Thing, Wish};
pub use self::state::{Opening, StreamFacts, StreamOf};
pub use self::writer::Tx;

use self::epoch::{Continuity, HighWater};
use self::standings::Tables;
use self::writer::{Message, QUEUE_JOBS_MAX, Writer};
use crate::error::Error;

/// Name of the data file in its directory.
const DATA_FILE: &str = "timely.db";
/// Name of the file with the owner's token.
const OWNER_TOKEN_FILE: &str = "owner.token";
/// Read connections, and reads at a time.
const READERS: u32 = 4;
/// Longest wait of a read for a connection.
const READER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a lock that another program holds on the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time in which a server that is ready commits.
const READY_TIMEOUT: Duration = Duration::from_secs(1);
/// Prepared statements a connection keeps.
const STATEMENTS_MAX: usize = 256;
/// Page cache of the write connection, in KiB.
const CACHE_KIB: i64 = 8 * 1024;
/// Size down to which the write-ahead log is cut when it is folded in, in bytes.
const WAL_BYTES_KEPT: i64 = 16 * 1024 * 1024;
/// Exit status when a commit's fate is unknown: an internal software error of `sysexits.h`.
const EXIT_FATAL: i32 = 70;

/// What can be set when a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// Rows of an event that a cursor may be behind.
    pub replay_rows_max: u64,
    /// Age of the oldest row that is replayed.
    pub replay_age: SignedDuration,
    /// Called when a sync failed and nobody can know what is on disk. Returns only in tests.
    pub fatal: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            replay_rows_max: 100_000,
            replay_age: SignedDuration::from_hours(7 * 24),
            fatal: Arc::new(|why| {
                error!("the data file cannot be trusted to keep what is written, stopping: {why}");
                std::process::exit(EXIT_FATAL);
            }),
        }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("replay_rows_max", &self.replay_rows_max)
            .field("replay_age", &self.replay_age)
            .finish_non_exhaustive()
    }
}

/// Why a data directory cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{} is in use by {holder}; stop that server, or take another directory with --data", .dir.display())]
    Locked { dir: PathBuf, holder: String },
    #[error("the data file has schema {found}, and this program knows {known}; use the newer program that wrote it")]
    TooNew { found: usize, known: usize },
    #[error("SQLite {found} is too old; this program needs 3.51.3 or newer, build it with the bundled one")]
    OldSqlite { found: &'static str },
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("the data file cannot be used ({0}); restore a backup, or start with another directory by --data")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the data file cannot be brought to this version: {0}")]
    Migration(#[from] rusqlite_migration::Error),
    #[error("the data file has unexpected contents: {0}")]
    Contents(String),
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        match error {
            Error::Sqlite(error) => Self::Sqlite(error),
            other => Self::Contents(other.to_string()),
        }
    }
}

/// Who asks for a change, and when.
#[derive(Clone, Debug)]
pub struct Caller {
    pub actor: Actor,
    pub key: Option<RequestKey>,
    /// Event time.
    pub at: Timestamp,
    /// Real time.
    pub real: Timestamp,
}

/// A request that may be sent again and must have one effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The caller's word for it.
    pub key: String,
    /// `METHOD path`, `If-Match` and body in one form: another request under the key is refused.
    pub request: String,
}

/// Which version the caller saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// None was named.
    Unsaid,
    /// Whatever stands, replace it.
    Any,
    Version(i64),
}

/// A committed change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done<T> {
    pub value: T,
    /// Last row of the change; the head of the log if nothing changed.
    pub pos: u64,
    pub effect: Effect,
}

/// What a command did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Created,
    Changed,
    /// It stood like this already.
    Unchanged,
    /// The request was carried out before; what it was answered then.
    Replayed {
        status: u16,
        pos: u64,
        version: Option<i64>,
    },
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// Items after this one: its number for fixtures and results, else its id.
    pub after: i64,
    /// 1 to 500.
    pub limit: usize,
}

impl Paging {
    /// A name of the page among those of its list.
    pub fn named(self) -> String {
        format!("a{}l{}", self.after, self.limit)
    }
}

/// What was read, and the position of the log at which it is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsOf<T> {
    pub pos: u64,
    pub value: T,
}

/// The store of a server; cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    epoch: Epoch,
    options: StoreOptions,
    jobs: mpsc::Sender<Message>,
    head: watch::Receiver<u64>,
    /// Its sender is dropped when the file is closed.
    closed: watch::Receiver<()>,
    pool: r2d2::Pool<SqliteConnectionManager>,
    readers: Arc<Semaphore>,
    tables: Arc<Tables>,
    /// Replay floors by event, and when they were found.
    floors: Mutex<HashMap<EventId, (Timestamp, u64)>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.0.dir).field("epoch", &self.0.epoch).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the data directory, or makes one: `timely.db` and, for its owner, `owner.token`.
    ///
    /// # Errors
    /// What stands in the way, and what to do about it.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        schema::check_sqlite()?;
        make_directory(dir)?;
        let lock = epoch::lock(dir)?;
        let path = dir.join(DATA_FILE);
        // SQLite would make it readable for everybody.
        epoch::private()
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| OpenError::Io { what: format!("cannot open {}", path.display()), source })?;
        let mut conn =
            Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        prepare_writer(&conn)?;
        schema::bring_up_to_date(&mut conn)?;
        let (epoch, last_pos) = continue_log(dir, &mut conn)?;
        let high_water = HighWater::start(dir, epoch.clone(), last_pos.pos)
            .map_err(|source| OpenError::Io { what: format!("cannot write into {}", dir.display()), source })?;
        tokens::ensure_owner(&conn, &dir.join(OWNER_TOKEN_FILE))?;

        let manager = SqliteConnectionManager::file(&path)
            .with_flags(OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .with_init(prepare_reader);
        let pool = r2d2::Pool::builder()
            .max_size(READERS)
            .min_idle(Some(1))
            .connection_timeout(READER_TIMEOUT)
            // A connection to a file does not go away between two reads.
            .test_on_check_out(false)
            .build(manager)
            .map_err(|error| OpenError::Contents(format!("no read connection can be opened: {error}")))?;

        let (jobs, queue) = mpsc::channel(QUEUE_JOBS_MAX);
        let (heads, head) = watch::channel(last_pos.pos);
        let (closing, closed) = watch::channel(());
        let writer = Writer { conn, head: last_pos.pos, heads, high_water, fatal: options.fatal.clone(), lock };
        std::thread::Builder::new()
            .name("timely-writer".to_owned())
            .spawn(move || {
                writer.run(queue);
                drop(closing);
            })
            .map_err(|source| OpenError::Io { what: "cannot start the writer".to_owned(), source })?;
        if !last_pos.clean {
            check_in_background(path);
        }
        Ok(Self(Arc::new(Inner {
            dir: dir.to_path_buf(),
            epoch,
            options,
            jobs,
            head,
            closed,
            pool,
            readers: Arc::new(Semaphore::new(READERS as usize)),
            tables: Arc::default(),
            floors: Mutex::default(),
        })))
    }

    /// The owner's token, from `owner.token` in the data directory.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn owner_token(&self) -> Result<String, OpenError> {
        let path = self.0.dir.join(OWNER_TOKEN_FILE);
        match std::fs::read_to_string(&path) {
            Ok(token) => Ok(token.trim().to_owned()),
            Err(source) => Err(OpenError::Io { what: format!("cannot read {}", path.display()), source }),
        }
    }

    /// Which change log this is.
    pub fn epoch(&self) -> &Epoch {
        &self.0.epoch
    }

    /// The last committed position; changes after each commit that appended rows.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.0.head.clone()
    }

    /// Says to whoever tries to open the directory meanwhile who has it, for example
    /// `process 7 at http://127.0.0.1:8000`.
    ///
    /// # Errors
    /// When the lock file cannot be written.
    pub fn set_holder(&self, text: &str) -> io::Result<()> {
        epoch::hold(&self.0.dir, text)
    }

    /// Does what is queued, then closes the file. Later writes are [`Error::Unavailable`].
    pub async fn close(&self) {
        // Fails when the writer has ended: then there is nothing to tell it.
        drop(self.0.jobs.send(Message::Close).await);
        let mut closed = self.0.closed.clone();
        // Nothing is ever sent: this ends, with an error, when the writer has ended.
        while closed.changed().await.is_ok() {}
    }

    /// Whether a write gets through to the file now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if not within a second.
    pub async fn ready(&self) -> Result<(), Error> {
        match tokio::time::timeout(READY_TIMEOUT, self.write(|_| Ok(()))).await {
            Ok(result) => result,
            Err(_) => Err(Error::Unavailable(format!(
                "no write got through within {} s; the disk may be slow or full",
                READY_TIMEOUT.as_secs()
            ))),
        }
    }

    /// Runs `work` on the writer thread, in a savepoint of its own, and answers after the commit.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Unavailable`] when nothing was written and trying again is safe.
    pub async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        if self.0.jobs.send(writer::job(work, answer)).await.is_err() {
            return Err(Error::Unavailable("the server is stopping; nothing was written".to_owned()));
        }
        // Every job that was taken is answered, unless the thread is gone.
        answered.await.unwrap_or_else(|_| {
            Err(Error::Internal("the writer ended while this was written; look before you send it again".to_owned()))
        })
    }

    /// Runs `work` on a read-only connection, in one read transaction, off the runtime's threads.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Unavailable`] when no connection gets free.
    pub async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let permit = self
            .0
            .readers
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Error::Unavailable("the server is stopping".to_owned()))?;
        let pool = self.0.pool.clone();
        let reading = tokio::task::spawn_blocking(move || {
            // Held to the end of the read, even if nobody waits for it any more.
            let _permit = permit;
            let conn = pool.get()?;
            let snapshot = conn.unchecked_transaction()?;
            let result = work(&snapshot);
            snapshot.finish()?;
            result
        });
        reading.await.map_err(|error| Error::Internal(format!("a read did not end: {error}")))?
    }
}

impl Store {
    /// Reads, and tells as of when: for answers that carry no position themselves.
    ///
    /// # Errors
    /// As [`Store::read`].
    async fn read_as_of<T, F>(&self, work: F) -> Result<AsOf<T>, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        self.read(move |conn| Ok(AsOf { value: work(conn)?, pos: change_log::last_pos(conn)? })).await
    }
}

fn make_directory(dir: &Path) -> Result<(), OpenError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(dir).map_err(|source| OpenError::Io {
        what: format!("cannot make the data directory {}; take another with --data", dir.display()),
        source,
    })
}

fn prepare_writer(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // What was acknowledged survives a loss of power.
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", "ON")?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(())
}

fn prepare_reader(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.pragma_update(None, "query_only", "ON")?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(())
}

/// Where the log stands at the start, and whether the file was closed well.
#[derive(Clone, Copy, Debug)]
struct Start {
    pos: u64,
    clean: bool,
}

/// Finds the epoch of the file, or gives it a new one if it may not continue what clients know.
fn continue_log(dir: &Path, conn: &mut Connection) -> Result<(Epoch, Start), OpenError> {
    let pos = change_log::last_pos(conn)?;
    let known: Option<String> = columns::one(conn, "SELECT value FROM meta WHERE key = 'epoch'", [], |row| row.get(0))?;
    let cannot = |what: &str| {
        let what = format!("cannot {what} in {}", dir.display());
        move |source| OpenError::Io { what, source }
    };
    let (epoch, clean) = match known.map(Epoch) {
        None => (epoch::new_epoch().map_err(cannot("make an epoch"))?, true),
        Some(known) => match epoch::continuity(dir, &known, pos).map_err(cannot("read the high-water mark"))? {
            Continuity::Proven { clean } => (known, clean),
            Continuity::Broken(why) => {
                let epoch = epoch::new_epoch().map_err(cannot("make an epoch"))?;
                warn!("the log may not continue the one clients know: {why}; it is now {epoch}, cursors start over");
                (epoch, false)
            }
        },
    };
    // Counting starts writes something, so that everything before it is on disk for sure, too.
    let tx = conn.transaction()?;
    tx.execute(
        "INSERT INTO meta (key, value) VALUES ('epoch', ?1) ON CONFLICT DO UPDATE SET value = excluded.value",
        [&epoch.0],
    )?;
    tx.execute(
        "INSERT INTO meta (key, value) VALUES ('starts', '1')
         ON CONFLICT DO UPDATE SET value = CAST(value AS INTEGER) + 1",
        [],
    )?;
    tx.commit()?;
    Ok((epoch, Start { pos, clean }))
}

/// Looks through a file that was not closed well, without keeping anybody waiting.
fn check_in_background(path: PathBuf) {
    let checking =
        std::thread::Builder::new().name("timely-check".to_owned()).spawn(move || match schema::quick_check(&path) {
            Ok(None) => tracing::info!("the data file was not closed well the last time; it is in order"),
            Ok(Some(damage)) => error!("the data file is damaged: {damage}; stop the server and restore a backup"),
            Err(cause) => error!("the data file could not be checked: {cause}"),
        });
    if let Err(cause) = checking {
        error!("the data file could not be checked: {cause}");
    }
}

/// A poisoned lock here holds whole values: they are only ever replaced.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
