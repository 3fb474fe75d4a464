//! The change log: what happened, in the order in which it was committed.
//!
//! One row is one message, or one change that has none. Rows are appended in the transaction of the
//! change itself, so there is never one without the other. The text of a message is written once and
//! framed as it stands for every viewer, now and in a replay; replay never reads today's tables,
//! with one exception: what an announcement said is not said again after it was taken back.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use serde_json::Value;
use timely_core::access::AccessChange;
use timely_core::id::{AnnouncementId, EventId, TokenId, UserId};
use timely_core::live::Data;
use timely_core::topic::{MessageType, StateLane, Topic};

use crate::clock::real_now;
use crate::error::Error;
use crate::store::columns::{Json, Micros, Text, all, insert, json, kept, one, run, signed, unsigned};
use crate::store::writer::Tx;
use crate::store::{Caller, Store};

/// Newest rows of a topic that somebody who joins is shown.
const TAIL_ROWS: usize = 20;
/// Newest active announcements that somebody who joins is shown; emergencies are never left out.
const TAIL_ANNOUNCEMENTS: usize = 50;

/// What a row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A message to the topics of the row.
    Message(MessageType),
    /// A change that has no message of its own; the lanes it refreshes show it.
    Changed,
    /// A change of rights.
    Access(AccessChange),
}

impl RowKind {
    /// The word in the log: a message type, `changed` or `access`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Message(kind) => kind.as_str(),
            Self::Changed => "changed",
            Self::Access(_) => "access",
        }
    }
}

/// A committed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    pub pos: u64,
    pub kind: RowKind,
    /// Final JSON of the message's `data`; empty without a message.
    pub data: String,
    /// Event time.
    pub timestamp: Timestamp,
    /// Where it is announced, each with its number in the lane (topic, type).
    pub topics: Vec<(Topic, u64)>,
    /// State lanes that must be read again.
    pub refreshes: Vec<StateLane>,
    pub event: Option<EventId>,
    /// Group whose table the row concerns.
    pub group: Option<String>,
}

/// Who changes something, when and by which command: the same for every row of a change.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    pub(crate) user: Option<UserId>,
    pub(crate) token: Option<TokenId>,
    /// Event time.
    pub(crate) at: Timestamp,
    pub(crate) real: Timestamp,
    pub(crate) cause: &'static str,
    /// First row of the change.
    change_pos: Option<u64>,
}

/// A row to append.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    kind: RowKind,
    data: Option<Data>,
    event: Option<EventId>,
    group: Option<String>,
    announcement: Option<AnnouncementId>,
    topics: Vec<Topic>,
    refreshes: BTreeSet<StateLane>,
    inverse: Option<Value>,
}

impl Entry {
    const fn new(kind: RowKind, event: Option<EventId>) -> Self {
        Self {
            kind,
            data: None,
            event,
            group: None,
            announcement: None,
            topics: Vec::new(),
            refreshes: BTreeSet::new(),
            inverse: None,
        }
    }

    /// A message to `topics`.
    pub(crate) fn message(event: EventId, data: Data, topics: impl IntoIterator<Item = Topic>) -> Self {
        let mut entry = Self::new(RowKind::Message(data.message_type()), Some(event));
        for topic in topics {
            if !entry.topics.contains(&topic) {
                entry.topics.push(topic);
            }
        }
        if let Data::Announcement { announcement, .. } = &data {
            entry.announcement = Some(announcement.id);
        } else if let Data::AnnouncementRemoved { announcement, .. } = &data {
            entry.announcement = Some(announcement.id);
        }
        entry.data = Some(data);
        entry
    }

    /// A change without a message.
    pub(crate) const fn changed(event: Option<EventId>) -> Self {
        Self::new(RowKind::Changed, event)
    }

    /// A change of rights.
    pub(crate) const fn access(event: Option<EventId>, change: AccessChange) -> Self {
        Self::new(RowKind::Access(change), event)
    }

    pub(crate) fn refreshing(mut self, lanes: impl IntoIterator<Item = StateLane>) -> Self {
        self.refreshes.extend(lanes);
        self
    }

    pub(crate) fn group(mut self, group: Option<String>) -> Self {
        self.group = group;
        self
    }

    /// What would undo the change.
    pub(crate) fn undone_by(mut self, inverse: Value) -> Self {
        self.inverse = Some(inverse);
        self
    }
}

impl Tx<'_> {
    /// Says who is about to change something.
    pub(crate) fn begin(&mut self, by: &Caller, cause: &'static str) {
        self.stamp = Some(Stamp {
            user: by.actor.as_ref().map(|bearer| bearer.user),
            token: by.actor.as_ref().map(|bearer| bearer.token),
            at: kept(by.at),
            real: by.real,
            cause,
            change_pos: None,
        });
    }

    /// The server itself is about to change something, because a time has come.
    pub(crate) fn begin_by_clock(&mut self, at: Timestamp, cause: &'static str) {
        self.stamp = Some(Stamp { user: None, token: None, at: kept(at), real: real_now(), cause, change_pos: None });
    }

    /// Who is changing something.
    pub(crate) fn stamped(&self) -> Result<&Stamp, Error> {
        self.stamp.as_ref().ok_or_else(|| Error::Internal("a change was made by nobody".to_owned()))
    }

    /// Event time of the change.
    pub(crate) fn at(&self) -> Result<Timestamp, Error> {
        self.stamped().map(|stamp| stamp.at)
    }

    /// Appends a row to the log and answers its position.
    pub(crate) fn append(&mut self, entry: Entry) -> Result<u64, Error> {
        let stamp = self.stamped()?.clone();
        let kind = entry.kind.as_str();
        let next = self.head + 1;
        let data = entry.data.as_ref().map(json).transpose()?.unwrap_or_default();
        let access = match &entry.kind {
            RowKind::Access(change) => Some(json(change)?),
            RowKind::Message(_) | RowKind::Changed => None,
        };
        let pos = insert(
            self,
            "INSERT INTO change_log (type, data, event_id, group_name, announcement_id, refreshes, access,
                                     at, committed_at, user_id, token_id, cause, change_pos, inverse)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            params![
                kind,
                data,
                entry.event.map(|event| event.0),
                entry.group,
                entry.announcement.map(|announcement| announcement.0),
                json(&entry.refreshes)?,
                access,
                Micros(stamp.at),
                Micros(stamp.real),
                stamp.user.map(|user| user.0),
                stamp.token.map(|token| token.0),
                stamp.cause,
                signed(stamp.change_pos.unwrap_or(next)),
                entry.inverse.map(|inverse| inverse.to_string()),
            ],
        )?;
        let pos = unsigned(pos);
        if pos != next {
            // Clients rely on dense positions, so a foreign hand in the file must not pass unseen.
            return Err(Error::Internal(format!("the change log goes from {} to {pos}", self.head)));
        }
        for topic in &entry.topics {
            self.announce(*topic, kind, pos)?;
        }
        for lane in &entry.refreshes {
            if let Topic::EventResults(event) = lane.topic {
                run(
                    self,
                    "INSERT INTO board_heads (event_id, group_name, pos) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET pos = excluded.pos",
                    params![event.0, lane.key, signed(pos)],
                )?;
            }
        }
        self.head = pos;
        if let Some(stamp) = &mut self.stamp {
            stamp.change_pos.get_or_insert(pos);
        }
        Ok(pos)
    }

    /// Takes the next number of the lane (topic, type) for the row.
    fn announce(&self, topic: Topic, kind: &str, pos: u64) -> Result<(), Error> {
        let seq: Option<i64> = one(
            self,
            "INSERT INTO lane_heads (topic, type, seq) VALUES (?1, ?2, 1)
             ON CONFLICT DO UPDATE SET seq = seq + 1
             RETURNING seq",
            params![Text(topic), kind],
            |row| row.get(0),
        )?;
        run(
            self,
            "INSERT INTO change_topics (topic, pos, type, seq) VALUES (?1, ?2, ?3, ?4)",
            params![Text(topic), signed(pos), kind, seq],
        )?;
        Ok(())
    }
}

/// The last position of the log.
pub(crate) fn last_pos(conn: &Connection) -> Result<u64, Error> {
    // Not the largest row: that one may have been pruned.
    let last: Option<i64> =
        one(conn, "SELECT seq FROM sqlite_sequence WHERE name = 'change_log'", [], |row| row.get(0))?;
    Ok(unsigned(last.unwrap_or(0)))
}

const COLUMNS: &str = "SELECT pos, type, data, event_id, group_name, refreshes, access, at FROM change_log";

fn read_row(row: &Row<'_>) -> rusqlite::Result<LogRow> {
    let kind: String = row.get(1)?;
    let kind = match kind.as_str() {
        "changed" => RowKind::Changed,
        "access" => RowKind::Access(row.get::<_, Json<_>>(6)?.0),
        _ => RowKind::Message(row.get::<_, Text<_>>(1)?.0),
    };
    Ok(LogRow {
        pos: unsigned(row.get(0)?),
        kind,
        data: row.get(2)?,
        timestamp: row.get::<_, Micros>(7)?.0,
        topics: Vec::new(),
        refreshes: row.get::<_, Json<_>>(5)?.0,
        event: row.get::<_, Option<i64>>(3)?.map(EventId),
        group: row.get(4)?,
    })
}

/// Rows after `pos`, at most `limit`, each with every topic.
pub(crate) fn rows_after(conn: &Connection, pos: u64, limit: usize) -> Result<Vec<LogRow>, Error> {
    let sql = format!("{COLUMNS} WHERE pos > ?1 ORDER BY pos LIMIT ?2");
    let mut rows = all(conn, &sql, params![signed(pos), limit_column(limit)], read_row)?;
    let Some(last) = rows.last() else { return Ok(rows) };
    let topics = all(
        conn,
        "SELECT pos, topic, seq FROM change_topics WHERE pos > ?1 AND pos <= ?2 ORDER BY pos, topic",
        params![signed(pos), signed(last.pos)],
        |row| Ok((unsigned(row.get(0)?), row.get::<_, Text<Topic>>(1)?.0, unsigned(row.get(2)?))),
    )?;
    let mut topics = topics.into_iter().peekable();
    for row in &mut rows {
        while let Some((_, topic, seq)) = topics.next_if(|(pos, ..)| *pos == row.pos) {
            row.topics.push((topic, seq));
        }
    }
    Ok(rows)
}

fn limit_column(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Rows by position, with the topics named beside each.
fn rows_at(conn: &Connection, at: BTreeMap<u64, Vec<(Topic, u64)>>) -> Result<Vec<LogRow>, Error> {
    let sql = format!("{COLUMNS} WHERE pos = ?1");
    let mut rows = Vec::with_capacity(at.len());
    for (pos, topics) in at {
        if let Some(row) = one(conn, &sql, [signed(pos)], read_row)? {
            rows.push(LogRow { topics, ..row });
        }
    }
    Ok(rows)
}

/// Rows of `topics` after `after` up to `upto`, at most `limit`, each with those of the topics it
/// reaches. What an announcement said reaches only the topics it is still meant for.
pub(crate) fn replay(
    conn: &Connection,
    topics: &[Topic],
    after: u64,
    upto: u64,
    limit: usize,
) -> Result<Vec<LogRow>, Error> {
    let mut found: BTreeMap<u64, Vec<(Topic, u64)>> = BTreeMap::new();
    for topic in topics.iter().copied().collect::<BTreeSet<_>>() {
        // Each topic's own first rows are enough to know the first rows of all.
        let rows = all(
            conn,
            "SELECT t.pos, t.seq FROM change_topics t
             WHERE t.topic = ?1 AND t.pos > ?2 AND t.pos <= ?3
               AND (t.type <> 'announcement_update' OR EXISTS (
                    SELECT 1 FROM change_log l
                    JOIN announcement_topics a ON a.announcement_id = l.announcement_id AND a.topic = t.topic
                    WHERE l.pos = t.pos))
             ORDER BY t.pos LIMIT ?4",
            params![Text(topic), signed(after), signed(upto), limit_column(limit)],
            |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))),
        )?;
        for (pos, seq) in rows {
            found.entry(pos).or_default().push((topic, seq));
        }
    }
    rows_at(conn, found.into_iter().take(limit).collect())
}

/// The newest rows of a topic, oldest first, for somebody who joins.
pub(crate) fn tail(conn: &Connection, topic: Topic, event_now: Timestamp) -> Result<Vec<LogRow>, Error> {
    let positions: Vec<u64> = match topic {
        Topic::EventAnnouncements(_)
        | Topic::EventParticipants(_)
        | Topic::EventStaff(_)
        | Topic::TeamAnnouncements(_) => {
            let active = all(
                conn,
                "SELECT a.last_pos, a.kind = 'EMERGENCY' OR a.priority = 'URGENT'
                 FROM announcement_topics t JOIN announcements a ON a.id = t.announcement_id
                 WHERE t.topic = ?1 AND (a.expires_at IS NULL OR a.expires_at > ?2)
                 ORDER BY a.last_pos DESC",
                params![Text(topic), Micros(event_now)],
                |row| Ok((unsigned(row.get(0)?), row.get::<_, bool>(1)?)),
            )?;
            let loud = active.iter().filter(|(_, loud)| *loud).count();
            let mut room = TAIL_ANNOUNCEMENTS.saturating_sub(loud);
            let mut shown = Vec::new();
            for (pos, loud) in active {
                if loud {
                    shown.push(pos);
                } else if room > 0 {
                    room -= 1;
                    shown.push(pos);
                }
            }
            shown
        }
        Topic::Event(_)
        | Topic::EventResults(_)
        | Topic::EventSchedule(_)
        | Topic::Team(_)
        | Topic::TeamResults(_)
        | Topic::TeamSchedule(_) => all(
            conn,
            "SELECT pos FROM change_topics WHERE topic = ?1 ORDER BY pos DESC LIMIT ?2",
            params![Text(topic), limit_column(TAIL_ROWS)],
            |row| Ok(unsigned(row.get(0)?)),
        )?,
    };
    let mut at = BTreeMap::new();
    for pos in positions {
        let seq: Option<i64> = one(
            conn,
            "SELECT seq FROM change_topics WHERE topic = ?1 AND pos = ?2",
            params![Text(topic), signed(pos)],
            |row| row.get(0),
        )?;
        if let Some(seq) = seq {
            at.insert(pos, vec![(topic, unsigned(seq))]);
        }
    }
    rows_at(conn, at)
}

/// Cursors of the event below this position are not replayed: more than `rows_max` rows of the event
/// are newer, or one that is older than `oldest`.
pub(crate) fn replay_floor(conn: &Connection, event: EventId, rows_max: u64, oldest: Timestamp) -> Result<u64, Error> {
    let by_count: Option<i64> = one(
        conn,
        "SELECT pos FROM change_log WHERE event_id = ?1 ORDER BY pos DESC LIMIT 1 OFFSET ?2",
        params![event.0, signed(rows_max)],
        |row| row.get(0),
    )?;
    let by_age: Option<i64> = one(
        conn,
        "SELECT pos FROM change_log WHERE event_id = ?1 AND pos <= ?2 ORDER BY pos DESC LIMIT 1",
        params![event.0, signed(older_than(conn, oldest)?)],
        |row| row.get(0),
    )?;
    Ok(unsigned(by_count.unwrap_or(0).max(by_age.unwrap_or(0))))
}

/// Cursors of the whole log below this position are not replayed: rows after it are older than
/// `oldest`, or no longer there.
pub(crate) fn log_floor(conn: &Connection, oldest: Timestamp) -> Result<u64, Error> {
    let first: Option<i64> = one(conn, "SELECT pos FROM change_log ORDER BY pos LIMIT 1", [], |row| row.get(0))?;
    let pruned = match first {
        Some(first) => unsigned(first).saturating_sub(1),
        None => last_pos(conn)?,
    };
    Ok(pruned.max(older_than(conn, oldest)?))
}

/// The last position that was committed before `oldest`; 0 if there is none.
fn older_than(conn: &Connection, oldest: Timestamp) -> Result<u64, Error> {
    // Times of commit grow with the position, so the boundary is found by halving; an index on them
    // would be paid for by every write.
    let (mut low, mut high) = (0, last_pos(conn)?);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let committed: Option<Micros> = one(
            conn,
            "SELECT committed_at FROM change_log WHERE pos >= ?1 ORDER BY pos LIMIT 1",
            [signed(middle)],
            |row| row.get(0),
        )?;
        if committed.is_some_and(|Micros(at)| at < oldest) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(low)
}

/// State lanes of an event that rows after `after` up to `upto` refresh.
pub(crate) fn refreshed(
    conn: &Connection,
    event: EventId,
    after: u64,
    upto: u64,
) -> Result<BTreeSet<StateLane>, Error> {
    let refreshes = all(
        conn,
        "SELECT refreshes FROM change_log WHERE event_id = ?1 AND pos > ?2 AND pos <= ?3 AND refreshes <> '[]'",
        params![event.0, signed(after), signed(upto)],
        |row| Ok(row.get::<_, Json<Vec<StateLane>>>(0)?.0),
    )?;
    Ok(refreshes.into_iter().flatten().collect())
}

/// When the rows after `after` up to `upto` were committed.
pub(crate) fn committed(conn: &Connection, after: u64, upto: u64) -> Result<Vec<Timestamp>, Error> {
    all(
        conn,
        "SELECT committed_at FROM change_log WHERE pos > ?1 AND pos <= ?2 ORDER BY pos",
        params![signed(after), signed(upto)],
        |row| Ok(row.get::<_, Micros>(0)?.0),
    )
}

/// Whether positions and the numbers of every lane are dense.
#[cfg(test)]
pub(crate) fn is_dense(conn: &Connection) -> Result<bool, Error> {
    use crate::store::columns::any;
    let gap_in_pos =
        any(conn, "SELECT 1 FROM change_log WHERE pos > 1 AND pos - 1 NOT IN (SELECT pos FROM change_log)", [])?;
    let gap_in_seq = any(
        conn,
        "SELECT 1 FROM change_topics GROUP BY topic, type
         HAVING count(*) <> max(seq) OR min(seq) <> 1 OR count(DISTINCT seq) <> count(*)",
        [],
    )?;
    Ok(!gap_in_pos && !gap_in_seq)
}

impl Store {
    /// Rows after `pos` in order, at most `limit`.
    pub async fn rows_after(&self, pos: u64, limit: usize) -> Result<Vec<LogRow>, Error> {
        self.read(move |conn| rows_after(conn, pos, limit)).await
    }

    /// One page of the rows of `topics` after `after` up to `upto`, in order. What an announcement
    /// said is left out once it was taken back; its removal stays.
    pub async fn replay(&self, topics: Vec<Topic>, after: u64, upto: u64, limit: usize) -> Result<Vec<LogRow>, Error> {
        self.read(move |conn| replay(conn, &topics, after, upto, limit)).await
    }
}
