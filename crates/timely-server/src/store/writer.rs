//! The one thread that writes.
//!
//! It owns the only write connection, so that nobody in the process ever waits for a lock or is
//! refused one. Jobs come over a bounded queue, each runs in a savepoint of its own, many share one
//! `BEGIN IMMEDIATE … COMMIT`: the sync of a commit is what costs, and a batch pays it once. Answers
//! go out after the commit, refusals included, because a refusal may rest on what an earlier job of
//! the batch wrote.
//!
//! What can go wrong with such a batch, and what happens then:
//! - a job fails: its savepoint is rolled back, with it the change-log positions it had taken;
//! - a job panics: the same, and the thread lives on;
//! - the disk is full, fails or memory is out: SQLite may have rolled back everything, so every job
//!   of the batch is answered as failed and none runs outside of a transaction;
//! - a sync fails: whether the data will be there after a crash is unknown, and asking again would
//!   not tell. That is answered as it is and ends the process.
//!
//! What jobs do is left to them; what a store offers stands in [`crate::store`].

use std::any::Any;
use std::fs::File;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ffi};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, warn};

use crate::error::Error;
use crate::store::change_log::Stamp;
use crate::store::epoch::HighWater;

/// Jobs that wait for the writer; who comes after them waits before the queue.
pub(crate) const QUEUE_JOBS_MAX: usize = 1024;
/// Jobs in one transaction.
pub(crate) const BATCH_JOBS_MAX: usize = 64;

/// What the writer is told.
pub(crate) enum Message {
    Job(Box<dyn Job>),
    /// Do what is queued, then end.
    Close,
}

/// One write, on its way to the thread and back. A trait because its kinds are as many as types of
/// answers.
pub(crate) trait Job: Send {
    /// Does the work, once.
    fn run(&mut self, tx: &mut Tx<'_>) -> Ran;

    /// The work panicked.
    fn panicked(&mut self, panic: &(dyn Any + Send));

    /// Answers: with the result of the work, or with why the batch came to nothing.
    fn settle(self: Box<Self>, failure: Option<&Failure>);
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// Keep what it wrote.
    Kept,
    /// Undo what it wrote; SQLite's extended code, if SQLite refused.
    Undone(Option<i32>),
}

/// A job made of a closure and the place where its answer goes.
struct Work<T, F> {
    /// Taken when it is run.
    run: Option<F>,
    result: Option<Result<T, Error>>,
    answer: oneshot::Sender<Result<T, Error>>,
}

/// Packs a closure for the queue.
pub(crate) fn job<T, F>(work: F, answer: oneshot::Sender<Result<T, Error>>) -> Message
where
    T: Send + 'static,
    F: FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
{
    Message::Job(Box::new(Work { run: Some(work), result: None, answer }))
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Ran {
        let Some(work) = self.run.take() else { return Ran::Undone(None) };
        let result = work(tx);
        let ran = match &result {
            Ok(_) => Ran::Kept,
            Err(Error::Sqlite(error)) => Ran::Undone(error.sqlite_error().map(|error| error.extended_code)),
            Err(_) => Ran::Undone(None),
        };
        self.result = Some(result);
        ran
    }

    fn panicked(&mut self, panic: &(dyn Any + Send)) {
        let said = panic
            .downcast_ref::<&str>()
            .map(|said| (*said).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        error!("a write panicked and was undone: {said}");
        self.result = Some(Err(Error::Internal(format!("the write panicked and was undone: {said}"))));
    }

    fn settle(self: Box<Self>, failure: Option<&Failure>) {
        let answer = match (failure, self.result) {
            (Some(failure), _) => Err(failure.to_error()),
            (None, Some(result)) => result,
            (None, None) => Err(Error::Internal("a write was never run".to_owned())),
        };
        // Who asked may have left; the write stands or fell without them.
        drop(self.answer.send(answer));
    }
}

/// Why a whole batch came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was rolled back: trying again is safe.
    Nothing(String),
    /// The commit may or may not survive.
    Unknown(String),
}

/// What was being done when SQLite failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Work,
    Commit,
}

impl Failure {
    fn of(error: &rusqlite::Error, step: Step) -> Self {
        let code = error.sqlite_error().map(|error| error.extended_code);
        Self::of_code(code, step, error)
    }

    fn of_code(code: Option<i32>, step: Step, cause: &dyn std::fmt::Display) -> Self {
        let primary = code.map(|code| code & 0xff);
        let known = match (code, step) {
            (Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC), _) => false,
            (_, Step::Work) => true,
            // The commit frame is the last one written; as long as writing it failed, it is not there.
            (Some(ffi::SQLITE_IOERR_WRITE), Step::Commit) => true,
            (_, Step::Commit) => {
                matches!(primary, Some(ffi::SQLITE_FULL | ffi::SQLITE_BUSY | ffi::SQLITE_CONSTRAINT))
            }
        };
        if !known {
            return Self::Unknown(format!(
                "whether this was written is unknown ({cause}); look before you send it again"
            ));
        }
        Self::Nothing(match primary {
            Some(ffi::SQLITE_FULL) => "the disk is full: nothing was written; make room and try again".to_owned(),
            _ => format!("the database failed ({cause}): nothing was written; try again"),
        })
    }

    fn to_error(&self) -> Error {
        match self {
            Self::Nothing(why) => Error::Unavailable(why.clone()),
            Self::Unknown(_) => Error::OutcomeUnknown,
        }
    }
}

/// Whether SQLite may have undone more than the statement that failed.
const fn ruins_the_batch(code: i32) -> bool {
    matches!(
        code & 0xff,
        ffi::SQLITE_FULL | ffi::SQLITE_IOERR | ffi::SQLITE_NOMEM | ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB
    )
}

/// A write in progress: the connection inside the job's savepoint, and the log position it counts
/// from. Both roll back together.
#[derive(Debug)]
pub struct Tx<'a> {
    conn: &'a Connection,
    pub(crate) head: u64,
    pub(crate) stamp: Option<Stamp>,
}

impl<'a> Tx<'a> {
    const fn new(conn: &'a Connection, head: u64) -> Self {
        Self { conn, head, stamp: None }
    }

    /// The last position of the log as this write sees it.
    pub const fn head(&self) -> u64 {
        self.head
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn
    }
}

/// Answers every job of a batch.
fn settle(jobs: Vec<Box<dyn Job>>, failure: Option<&Failure>) {
    for job in jobs {
        job.settle(failure);
    }
}

/// The state of the thread.
pub(crate) struct Writer {
    pub(crate) conn: Connection,
    /// Last committed position.
    pub(crate) head: u64,
    pub(crate) heads: watch::Sender<u64>,
    pub(crate) high_water: HighWater,
    pub(crate) fatal: Arc<dyn Fn(&str) + Send + Sync>,
    /// Held until the file is closed.
    pub(crate) lock: File,
}

impl Writer {
    /// Works until the queue is closed.
    pub(crate) fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH_JOBS_MAX);
        let mut broken = false;
        while queue.blocking_recv_many(&mut messages, BATCH_JOBS_MAX) > 0 {
            let mut jobs = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Job(job) => jobs.push(job),
                    Message::Close => queue.close(),
                }
            }
            if broken {
                let closed = Failure::Nothing("the data file was closed after a failure".to_owned());
                settle(jobs, Some(&closed));
            } else if let Err(why) = self.batch(jobs) {
                broken = true;
                queue.close();
                (self.fatal)(&why);
            }
        }
        if !broken {
            self.end();
        }
        let Self { conn, lock, .. } = self;
        if let Err((_, error)) = conn.close() {
            warn!("the data file did not close well: {error}");
        }
        // Only now may another server open the file.
        drop(lock);
    }

    /// Runs jobs in one transaction and answers them.
    ///
    /// # Errors
    /// Why the process must end.
    fn batch(&mut self, mut jobs: Vec<Box<dyn Job>>) -> Result<(), String> {
        match self.transaction(&mut jobs) {
            Ok(head) => {
                if head > self.head {
                    self.head = head;
                    // The news first: it is true already, and answers make clients ask for it.
                    self.heads.send_replace(head);
                }
                settle(jobs, None);
                self.high_water.note(head);
                Ok(())
            }
            Err(failure) => {
                self.roll_back();
                let (Failure::Nothing(why) | Failure::Unknown(why)) = &failure;
                error!("a batch of {} writes failed: {why}", jobs.len());
                settle(jobs, Some(&failure));
                match failure {
                    Failure::Nothing(_) => Ok(()),
                    Failure::Unknown(why) => Err(why),
                }
            }
        }
    }

    /// Answers the last position after the commit.
    fn transaction(&self, jobs: &mut [Box<dyn Job>]) -> Result<u64, Failure> {
        if !self.conn.is_autocommit() {
            self.roll_back();
        }
        // IMMEDIATE takes the write lock now: a deferred transaction that reads first can fail with
        // SQLITE_BUSY when it upgrades, and no busy timeout helps there.
        self.step("BEGIN IMMEDIATE")?;
        let mut head = self.head;
        for job in jobs {
            self.step("SAVEPOINT job")?;
            let mut tx = Tx::new(&self.conn, head);
            let ran = match catch_unwind(AssertUnwindSafe(|| job.run(&mut tx))) {
                Ok(ran) => ran,
                Err(panic) => {
                    job.panicked(&*panic);
                    Ran::Undone(None)
                }
            };
            let job_head = tx.head;
            if let Ran::Undone(Some(code)) = ran
                && ruins_the_batch(code)
            {
                let cause = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
                return Err(Failure::of_code(Some(code), Step::Work, &cause));
            }
            if self.conn.is_autocommit() {
                // Without this look the jobs that follow would each commit by themselves.
                return Err(Failure::of_code(None, Step::Work, &"the transaction was rolled back"));
            }
            if ran == Ran::Kept {
                head = job_head;
            } else {
                self.step("ROLLBACK TO job")?;
            }
            self.step("RELEASE job")?;
        }
        self.execute("COMMIT").map_err(|error| Failure::of(&error, Step::Commit))?;
        Ok(head)
    }

    fn step(&self, sql: &str) -> Result<(), Failure> {
        self.execute(sql).map_err(|error| Failure::of(&error, Step::Work))
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn roll_back(&self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            error!("a failed transaction cannot be rolled back: {error}");
        }
    }

    /// Leaves a file that needs no recovery and a mark that says so.
    fn end(&mut self) {
        // Readers that are still open keep the WAL, and are not waited for: the next start reads it.
        let folded = self
            .conn
            .busy_timeout(Duration::ZERO)
            .and_then(|()| self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"));
        if let Err(error) = folded {
            warn!("the write-ahead log was not folded into the data file: {error}");
        }
        self.high_water.close(self.head);
    }
}

#[cfg(test)]
mod tests {
    use timely_core::id::EventId;

    use super::*;
    use crate::store::change_log::Entry;
    use crate::store::testing::{Ground, owner, queue};
    use crate::store::{Store, StoreOptions};

    #[test]
    fn only_what_certainly_failed_is_called_undone() {
        for (why, code, step, known) in [
            ("full while working", ffi::SQLITE_FULL, Step::Work, true),
            ("full at commit", ffi::SQLITE_FULL, Step::Commit, true),
            ("read error while working", ffi::SQLITE_IOERR_READ, Step::Work, true),
            ("write error at commit", ffi::SQLITE_IOERR_WRITE, Step::Commit, true),
            ("a deferred constraint", ffi::SQLITE_CONSTRAINT_FOREIGNKEY, Step::Commit, true),
            ("another process has the lock", ffi::SQLITE_BUSY, Step::Commit, true),
            ("failed sync while working", ffi::SQLITE_IOERR_FSYNC, Step::Work, false),
            ("failed sync at commit", ffi::SQLITE_IOERR_FSYNC, Step::Commit, false),
            ("failed sync of the directory", ffi::SQLITE_IOERR_DIR_FSYNC, Step::Commit, false),
            ("no memory after the commit frame", ffi::SQLITE_NOMEM, Step::Commit, false),
            ("the index of the log is out of reach", ffi::SQLITE_IOERR_SHMMAP, Step::Commit, false),
        ] {
            let failure = Failure::of_code(Some(code), step, &"it");
            assert_eq!(matches!(failure, Failure::Nothing(_)), known, "{why}");
            assert_eq!(matches!(failure.to_error(), Error::Unavailable(_)), known, "{why}");
        }
    }

    #[test]
    fn a_refused_row_is_the_jobs_own_affair() {
        for (code, ruins) in [
            (ffi::SQLITE_CONSTRAINT_UNIQUE, false),
            (ffi::SQLITE_ERROR, false),
            (ffi::SQLITE_FULL, true),
            (ffi::SQLITE_NOMEM, true),
            (ffi::SQLITE_IOERR_WRITE, true),
        ] {
            assert_eq!(ruins_the_batch(code), ruins, "{code}");
        }
    }

    /// Holds the writer until the sender is dropped: what is queued meanwhile is one batch.
    async fn hold(ground: &Ground) -> std::sync::mpsc::Sender<()> {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (started, start) = oneshot::channel();
        let store = ground.store.clone();
        tokio::spawn(async move {
            store
                .write(move |_| {
                    started.send(()).unwrap();
                    // Ends when the test lets go.
                    assert!(released.recv().is_err());
                    Ok(())
                })
                .await
        });
        start.await.unwrap();
        release
    }

    fn add_team(tx: &mut Tx<'_>, event: EventId, name: &str) -> Result<u64, Error> {
        tx.begin(&owner(), "test");
        tx.execute(
            "INSERT INTO teams (event_id, name, name_folded) VALUES (?1, ?2, ?2)",
            rusqlite::params![event.0, name],
        )?;
        tx.append(Entry::changed(Some(event)))
    }

    fn fails_with(code: i32) -> Error {
        Error::Sqlite(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    async fn team_names(ground: &Ground) -> Vec<String> {
        ground
            .store
            .read(|conn| crate::store::columns::all(conn, "SELECT name FROM teams ORDER BY id", [], |row| row.get(0)))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_bad_job_among_64_undoes_only_itself() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let before = ground.head();
        let held = hold(&ground).await;
        // Somebody else, who sees what is committed.
        let path = ground.dir.path().join("timely.db");
        let reader = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let reader = Arc::new(std::sync::Mutex::new(reader));
        let mut writes: Vec<_> = (0..BATCH_JOBS_MAX)
            .map(|number| {
                let reader = Arc::clone(&reader);
                let write = ground.store.write(move |tx| {
                    let committed: i64 =
                        reader.lock().unwrap().query_row("SELECT count(*) FROM teams", [], |row| row.get(0))?;
                    assert_eq!(committed, 0, "the batch is one transaction");
                    let pos = add_team(tx, event, &format!("Team {number}"))?;
                    match number {
                        10 => Err(Error::Rule("against the rules".to_owned())),
                        20 => add_team(tx, event, "Team 0"),
                        30 => panic!("a bug in a command"),
                        _ => Ok(pos),
                    }
                });
                Box::pin(write)
            })
            .collect();
        assert!(!writes.iter_mut().any(queue));
        drop(held);
        let mut positions = Vec::new();
        for (number, write) in writes.into_iter().enumerate() {
            match (number, write.await) {
                (10, Err(Error::Rule(_))) | (20, Err(Error::Sqlite(_))) | (30, Err(Error::Internal(_))) => {}
                (10 | 20 | 30, other) => panic!("{number}: {other:?}"),
                (_, Ok(pos)) => positions.push(pos),
                (_, Err(error)) => panic!("{number}: {error}"),
            }
        }
        let expected: Vec<u64> = (before + 1..=before + 61).collect();
        assert_eq!(positions, expected, "positions of undone jobs are taken by the next");
        assert_eq!(team_names(&ground).await.len(), 61);
        ground.assert_dense().await;
    }

    #[tokio::test]
    async fn a_panicking_job_is_undone_and_the_writer_lives_on() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let before = ground.head();
        let panicked = ground
            .store
            .write(move |tx| -> Result<(), Error> {
                add_team(tx, event, "Ghosts")?;
                panic!("a bug in a command")
            })
            .await;
        assert!(matches!(panicked, Err(Error::Internal(why)) if why.contains("a bug in a command")));
        assert_eq!(ground.head(), before);
        assert_eq!(ground.store.write(move |tx| add_team(tx, event, "Reds")).await.unwrap(), before + 1);
        assert_eq!(team_names(&ground).await, ["Reds"]);
    }

    #[tokio::test]
    async fn a_full_disk_fails_every_job_of_the_batch_and_the_next_one_works() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let before = ground.head();
        let held = hold(&ground).await;
        let mut writes: Vec<_> = (0..5)
            .map(|number| {
                let write = ground.store.write(move |tx| {
                    if number == 2 {
                        let pages: i64 = tx.query_row("PRAGMA page_count", [], |row| row.get(0))?;
                        tx.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
                        tx.execute("UPDATE teams SET code = hex(zeroblob(1000000))", [])?;
                        unreachable!("there was room");
                    }
                    // Whatever SQLite rolled back, nothing runs outside of a transaction.
                    assert!(!tx.is_autocommit());
                    add_team(tx, event, &format!("Team {number}"))
                });
                Box::pin(write)
            })
            .collect();
        assert!(!writes.iter_mut().any(queue));
        drop(held);
        for write in writes {
            assert!(matches!(write.await, Err(Error::Unavailable(why)) if why.contains("disk is full")));
        }
        assert_eq!((ground.head(), team_names(&ground).await.len()), (before, 0));
        ground
            .store
            .write(|tx| Ok(tx.pragma_update_and_check(None, "max_page_count", 1_000_000, |_| Ok(()))?))
            .await
            .unwrap();
        assert_eq!(ground.store.write(move |tx| add_team(tx, event, "Reds")).await.unwrap(), before + 1);
        ground.assert_dense().await;
    }

    #[tokio::test]
    async fn a_failed_commit_fails_every_job_and_the_next_batch_works() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let before = ground.head();
        let held = hold(&ground).await;
        let mut good = Box::pin(ground.store.write(move |tx| add_team(tx, event, "Reds")));
        let mut bad = Box::pin(ground.store.write(move |tx| {
            // Looked at when the transaction ends.
            tx.pragma_update(None, "defer_foreign_keys", "ON")?;
            add_team(tx, EventId(999), "Strays")
        }));
        assert!(!queue(&mut good) && !queue(&mut bad));
        drop(held);
        assert!(matches!(good.await, Err(Error::Unavailable(_))));
        assert!(matches!(bad.await, Err(Error::Unavailable(_))));
        assert_eq!(ground.head(), before);
        assert_eq!(ground.store.write(move |tx| add_team(tx, event, "Blues")).await.unwrap(), before + 1);
    }

    #[tokio::test]
    async fn a_failed_sync_is_answered_as_unknown_and_ends_the_writer() {
        let dir = tempfile::TempDir::new().unwrap();
        let (told, tells) = std::sync::mpsc::channel();
        let told = std::sync::Mutex::new(told);
        let fatal = Arc::new(move |why: &str| told.lock().unwrap().send(why.to_owned()).unwrap());
        let store = Store::open(dir.path(), StoreOptions { fatal, ..StoreOptions::default() }).unwrap();
        let write = store.write(|_| -> Result<(), Error> { Err(fails_with(ffi::SQLITE_IOERR_FSYNC)) }).await;
        assert!(matches!(write, Err(Error::OutcomeUnknown)));
        assert!(tells.recv().unwrap().contains("unknown"));
        store.close().await;
        assert!(matches!(store.write(|_| Ok(())).await, Err(Error::Unavailable(_))));
    }

    #[tokio::test]
    async fn memory_and_disk_failures_of_one_job_fail_its_batch() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        for code in [ffi::SQLITE_NOMEM, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_FULL] {
            let held = hold(&ground).await;
            let mut good = Box::pin(ground.store.write(move |tx| add_team(tx, event, "Reds")));
            let mut bad = Box::pin(ground.store.write(move |_| -> Result<(), Error> { Err(fails_with(code)) }));
            assert!(!queue(&mut good) && !queue(&mut bad));
            drop(held);
            assert!(matches!(good.await, Err(Error::Unavailable(_))), "{code}");
            assert!(matches!(bad.await, Err(Error::Unavailable(_))), "{code}");
        }
        assert!(team_names(&ground).await.is_empty());
        ground.store.ready().await.unwrap();
    }

    #[tokio::test]
    async fn what_is_queued_before_the_end_is_done_and_nothing_after_it() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let held = hold(&ground).await;
        let mut write = Box::pin(ground.store.write(move |tx| add_team(tx, event, "Reds")));
        assert!(!queue(&mut write));
        let mut close = Box::pin(ground.store.close());
        assert!(!queue(&mut close));
        drop(held);
        write.await.unwrap();
        close.await;
        assert!(matches!(ground.store.write(|_| Ok(())).await, Err(Error::Unavailable(_))));
        // A second time is nothing to wait for.
        ground.store.close().await;
        assert_eq!(team_names(&ground.reopened().await).await, ["Reds"]);
    }
}
