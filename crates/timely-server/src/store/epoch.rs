//! Which change log it is, and whether a file continues it.
//!
//! A cursor is good as long as its epoch is. The epoch is kept in the file; beside the file a mark
//! says how far the log had come. A file that is behind the mark, or that another log left it, was
//! restored or exchanged: positions would be used twice, so it gets a new epoch. A mark never
//! exceeds what is on disk for sure; a copy of the file that is newer than the mark goes unnoticed.
//!
//! The lock on the directory is here too: two servers on one file would each be the other log.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use timely_core::cursor::Epoch;
use tracing::{info, warn};

use crate::store::OpenError;

/// Name of the mark beside the data file.
const MARK_FILE: &str = "timely.high-water";
/// Name of the lock beside the data file.
const LOCK_FILE: &str = "timely.lock";
/// Longest time between a commit and the mark that covers it, while commits go on.
const MARK_INTERVAL: Duration = Duration::from_secs(1);
/// Most rows that are not covered by the mark.
const MARK_ROWS_MAX: u64 = 1000;
/// Characters of an epoch: no two of them look alike.
const EPOCH_ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
const EPOCH_CHARS: usize = 10;

/// How far the log of an epoch had come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    epoch: Epoch,
    pos: u64,
    /// Whether the file was closed after that.
    clean: bool,
}

/// The mark beside the file, and when it was written.
#[derive(Debug)]
pub(crate) struct HighWater {
    path: PathBuf,
    mark: Mark,
    written: Instant,
}

/// What the mark says of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Continuity {
    /// The file goes on from where it was left; and whether it was closed then.
    Proven { clean: bool },
    /// Why it may be another log.
    Broken(String),
}

/// Compares a file with the mark beside it.
///
/// # Errors
/// When the mark is there and cannot be read.
pub(crate) fn continuity(dir: &Path, epoch: &Epoch, last_pos: u64) -> io::Result<Continuity> {
    let text = match std::fs::read_to_string(dir.join(MARK_FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Continuity::Broken(format!("{MARK_FILE} is missing")));
        }
        Err(error) => return Err(error),
    };
    Ok(match serde_json::from_str::<Mark>(&text) {
        Err(error) => Continuity::Broken(format!("{MARK_FILE} is damaged ({error})")),
        Ok(mark) if mark.epoch != *epoch => {
            Continuity::Broken(format!("{MARK_FILE} belongs to another log ({})", mark.epoch))
        }
        Ok(mark) if mark.pos > last_pos => {
            Continuity::Broken(format!("the file ends at change {last_pos}, and {} had been reached", mark.pos))
        }
        Ok(mark) => Continuity::Proven { clean: mark.clean },
    })
}

impl HighWater {
    /// Marks the start; `pos` is on disk.
    ///
    /// # Errors
    /// When the mark cannot be written: without it a restored file would go unnoticed.
    pub(crate) fn start(dir: &Path, epoch: Epoch, pos: u64) -> io::Result<Self> {
        let high_water =
            Self { path: dir.join(MARK_FILE), mark: Mark { epoch, pos, clean: false }, written: Instant::now() };
        high_water.write()?;
        Ok(high_water)
    }

    /// `pos` was committed: marks it if that is due.
    pub(crate) fn note(&mut self, pos: u64) {
        let rows = pos.saturating_sub(self.mark.pos);
        if rows >= MARK_ROWS_MAX || (rows > 0 && self.written.elapsed() >= MARK_INTERVAL) {
            self.set(pos, false);
        }
    }

    /// Marks the end of a log whose file is closed next.
    pub(crate) fn close(&mut self, pos: u64) {
        self.set(pos, true);
    }

    fn set(&mut self, pos: u64, clean: bool) {
        self.mark.pos = pos;
        self.mark.clean = clean;
        self.written = Instant::now();
        if let Err(error) = self.write() {
            // An older mark is a true one.
            warn!("cannot write {}: {error}", self.path.display());
        }
    }

    fn write(&self) -> io::Result<()> {
        let text = serde_json::to_string(&self.mark).map_err(io::Error::other)?;
        replace(&self.path, &text)
    }
}

/// Replaces a small file so that a crash leaves the old or the new one; readable by its owner alone.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_added_extension("new");
    let mut file = private().create(true).truncate(true).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    // Without this a crash of the machine may leave the new name with nothing in it.
    file.sync_data()?;
    drop(file);
    std::fs::rename(&new, path)
}

/// Opens for writing; what is made belongs to this user alone.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// A new epoch.
///
/// # Errors
/// When the system has no randomness.
pub(crate) fn new_epoch() -> io::Result<Epoch> {
    let mut bytes = [0; EPOCH_CHARS];
    random(&mut bytes)?;
    let text = bytes.iter().map(|byte| char::from(EPOCH_ALPHABET[usize::from(byte & 31)])).collect();
    Ok(Epoch(text))
}

/// Fills `bytes` with randomness fit for secrets.
pub(crate) fn random(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| io::Error::other(format!("no randomness: {error}")))
}

/// Takes the directory for this process, until the file returned is dropped.
///
/// # Errors
/// [`OpenError::Locked`] with the holder's own words.
pub(crate) fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK_FILE);
    let failed = |source| OpenError::Io { what: format!("cannot lock {}", path.display()), source };
    let file = private().create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = std::fs::read_to_string(&path).map_err(failed)?;
            let holder = match holder.trim() {
                "" => "another process".to_owned(),
                holder => holder.to_owned(),
            };
            return Err(OpenError::Locked { dir: dir.to_path_buf(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    if let Err(error) = hold(dir, &format!("process {}", std::process::id())) {
        info!("the lock of {} names no holder: {error}", dir.display());
    }
    Ok(file)
}

/// Says in the lock, which this process has, who that is.
pub(crate) fn hold(dir: &Path, holder: &str) -> io::Result<()> {
    let mut file = private().truncate(true).open(dir.join(LOCK_FILE))?;
    file.write_all(holder.as_bytes())?;
    file.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_behind_its_mark_or_of_another_log_does_not_continue() {
        let dir = TempDir::new().unwrap();
        let epoch = new_epoch().unwrap();
        let broken = |epoch: &Epoch, pos| matches!(continuity(dir.path(), epoch, pos).unwrap(), Continuity::Broken(_));
        assert!(broken(&epoch, 0), "no mark");
        let mut mark = HighWater::start(dir.path(), epoch.clone(), 10).unwrap();
        for (why, pos, is_broken) in [("as left", 10, false), ("gone on", 11, false), ("restored", 9, true)] {
            assert_eq!(broken(&epoch, pos), is_broken, "{why}");
        }
        assert!(broken(&new_epoch().unwrap(), 10), "another log");
        assert_eq!(continuity(dir.path(), &epoch, 10).unwrap(), Continuity::Proven { clean: false });
        mark.close(12);
        assert_eq!(continuity(dir.path(), &epoch, 12).unwrap(), Continuity::Proven { clean: true });
        std::fs::write(dir.path().join(MARK_FILE), "{").unwrap();
        assert!(broken(&epoch, 12), "damaged");
    }

    #[test]
    fn the_mark_follows_by_rows_and_never_runs_ahead() {
        let dir = TempDir::new().unwrap();
        let mut mark = HighWater::start(dir.path(), new_epoch().unwrap(), 0).unwrap();
        let marked = || serde_json::from_str::<Mark>(&std::fs::read_to_string(dir.path().join(MARK_FILE)).unwrap());
        // Far in the future: only rows count here.
        mark.written = Instant::now() + Duration::from_hours(1);
        mark.note(MARK_ROWS_MAX - 1);
        assert_eq!(marked().unwrap().pos, 0);
        mark.note(MARK_ROWS_MAX);
        assert_eq!(marked().unwrap().pos, MARK_ROWS_MAX);
    }

    #[test]
    fn epochs_are_cursors_words() {
        let epoch = new_epoch().unwrap();
        assert_eq!(epoch.0.len(), EPOCH_CHARS);
        assert_eq!(format!("{epoch}.7").parse::<timely_core::cursor::Cursor>().unwrap().epoch, epoch);
    }
}
