//! Pages of the change log for those who follow it over plain HTTP.
//!
//! A page is one read transaction: who may still read, what happened and, at the head, what stands
//! are all true at one position. Between two pages nothing is held, so a reader may take its time.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;
use timely_core::access::{Action, Actor, may_read_log, topics_of_event};
use timely_core::id::EventId;
use timely_core::topic::{StateLane, Stream, Topic};

use crate::error::{Error, permit};
use crate::store::change_log::{self, LogRow, committed, last_pos, log_floor, refreshed, rows_after};
use crate::store::standings::Tables;
use crate::store::state::Reader;
use crate::store::{Store, rights, tokens};

/// Rows read in one transaction.
const PAGE_ROWS_MAX: usize = 256;

/// Which state lanes the last page brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Every lane of the event.
    All,
    /// These, and those that its rows refresh.
    Refreshed(BTreeSet<StateLane>),
    /// None yet.
    Later,
}

/// A page of an event as one reader may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// Every row up to here was looked at.
    pub pos: u64,
    /// Rows with those of their topics that the reader may follow.
    pub rows: Vec<LogRow>,
    /// `pos` is the end of the log.
    pub at_head: bool,
    /// What the reader follows.
    pub topics: Vec<Topic>,
    /// At the head, as asked for: lanes with their `data`, `None` for one that shows nothing any more.
    pub states: Vec<(StateLane, Option<String>)>,
    /// At the head: lanes refreshed by the rows of the page, if they were not asked for.
    pub unread: BTreeSet<StateLane>,
}

/// A page of the whole log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// Dense in `pos`, each row with every topic, and when it was committed.
    pub rows: Vec<(LogRow, Timestamp)>,
    pub at_head: bool,
}

/// What a page is of: a reader, and where it is.
struct Reading<'a> {
    conn: &'a Connection,
    actor: &'a Actor,
    after: u64,
    real_now: Timestamp,
}

impl Reading<'_> {
    fn event(&self, tables: &Tables, event: EventId, shown: Shown, event_now: Timestamp) -> Result<EventPage, Error> {
        tokens::still_good(self.conn, self.actor, self.real_now)?;
        let visibility = rights::in_event(self.conn, self.actor, event, Action::Read)?.visibility;
        let streams = Stream::ALL.iter().copied();
        let mut topics: Vec<_> =
            streams.flat_map(|stream| topics_of_event(self.actor.as_ref(), event, visibility, stream)).collect();
        topics.push(Topic::Event(event));
        topics.sort();
        let head = last_pos(self.conn)?;
        let rows = change_log::replay(self.conn, &topics, self.after, head, PAGE_ROWS_MAX)?;
        let at_head = rows.len() < PAGE_ROWS_MAX;
        let pos = match rows.last() {
            Some(last) if !at_head => last.pos,
            _ => head,
        };
        let mut unread = refreshed(self.conn, event, self.after, pos)?;
        unread.retain(|lane| topics.contains(&lane.topic));
        let mut reader = Reader::new(self.conn, tables, event_now);
        let lanes = match shown {
            _ if !at_head => BTreeSet::new(),
            Shown::Later => BTreeSet::new(),
            Shown::All => {
                unread.clear();
                let mut lanes = BTreeSet::new();
                for topic in topics.iter().copied() {
                    lanes.extend(reader.keys(topic)?.into_iter().map(|key| StateLane { topic, key }));
                }
                lanes
            }
            Shown::Refreshed(mut lanes) => {
                lanes.append(&mut unread);
                lanes
            }
        };
        let mut states = Vec::with_capacity(lanes.len());
        for lane in lanes {
            let data = reader.data(&lane)?;
            states.push((lane, data));
        }
        Ok(EventPage { pos, rows, at_head, topics, states, unread })
    }

    fn log(&self) -> Result<LogPage, Error> {
        tokens::still_good(self.conn, self.actor, self.real_now)?;
        may_read(self.actor)?;
        let rows = rows_after(self.conn, self.after, PAGE_ROWS_MAX)?;
        let Some(last) = rows.last().map(|row| row.pos) else {
            return Ok(LogPage { rows: Vec::new(), at_head: true });
        };
        if rows.first().is_some_and(|row| row.pos != self.after + 1) {
            // Rows were pruned while this was read: never a silent hole.
            return Err(Error::Unavailable(format!("change {} is not in the log any more", self.after + 1)));
        }
        let at_head = last == last_pos(self.conn)?;
        let committed = committed(self.conn, self.after, last)?;
        Ok(LogPage { rows: rows.into_iter().zip(committed).collect(), at_head })
    }
}

fn may_read(actor: &Actor) -> Result<(), Error> {
    permit(may_read_log(actor.as_ref()), "read the log of every event")
}

impl Store {
    /// The next page of an event after `after`, as the reader may see it now.
    ///
    /// # Errors
    /// [`Error::BadCredential`] when the token has ended, else as every read of the event.
    pub async fn event_page(
        &self,
        actor: Actor,
        event: EventId,
        after: u64,
        shown: Shown,
        (event_now, real_now): (Timestamp, Timestamp),
    ) -> Result<EventPage, Error> {
        let tables = Arc::clone(&self.0.tables);
        self.read(move |conn| Reading { conn, actor: &actor, after, real_now }.event(&tables, event, shown, event_now))
            .await
    }

    /// The next page of the whole log after `after`.
    ///
    /// # Errors
    /// [`Error::BadCredential`] when the token has ended, [`Error::Forbidden`] for everybody but the
    /// owner and relays.
    pub async fn log_page(&self, actor: Actor, after: u64, real_now: Timestamp) -> Result<LogPage, Error> {
        self.read(move |conn| Reading { conn, actor: &actor, after, real_now }.log()).await
    }

    /// Cursors of the whole log below this position have expired; asked by somebody who may read it.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] or [`Error::Forbidden`] for everybody else.
    pub async fn log_floor(&self, actor: Actor, real_now: Timestamp) -> Result<u64, Error> {
        may_read(&actor)?;
        let oldest = real_now.saturating_sub(self.0.options.replay_age).unwrap_or(Timestamp::MIN);
        self.read(move |conn| log_floor(conn, oldest)).await
    }
}

#[cfg(test)]
mod tests {
    use timely_core::access::Role;

    use super::*;
    use crate::store::testing::{Ground, bearer, time};

    #[tokio::test]
    async fn the_whole_log_is_dense_and_only_for_owner_and_relays() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let owner = Some(bearer(Role::Owner, None));
        let mut after = 0;
        loop {
            let page = ground.store.log_page(owner.clone(), after, time(0)).await.unwrap();
            for (row, _) in &page.rows {
                assert_eq!(row.pos, after + 1);
                after = row.pos;
            }
            if page.at_head {
                break;
            }
        }
        assert_eq!(after, ground.head());
        assert!(after > 0);
        for (actor, refusal) in [
            (None, "Unauthenticated"),
            (Some(bearer(Role::Organiser, Some(event))), "Forbidden"),
            (Some(bearer(Role::Viewer, Some(event))), "Forbidden"),
        ] {
            for refused in [
                ground.store.log_page(actor.clone(), 0, time(0)).await.map(drop),
                ground.store.log_floor(actor, time(0)).await.map(drop),
            ] {
                let said = format!("{:?}", refused.unwrap_err());
                assert!(said.starts_with(refusal), "{said}");
            }
        }
    }

    #[tokio::test]
    async fn a_page_of_an_event_brings_the_state_at_its_head_once() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let head = ground.head();
        let page = |after, shown| ground.store.event_page(None, event, after, shown, (time(0), time(0)));
        let first = page(0, Shown::All).await.unwrap();
        assert!(first.at_head);
        assert_eq!(first.pos, head);
        let shown: Vec<_> = first.states.iter().map(|(lane, _)| lane.topic).collect();
        assert!(shown.contains(&Topic::Event(event)) && shown.contains(&Topic::EventSchedule(event)), "{shown:?}");
        assert!(first.unread.is_empty());
        let later = page(0, Shown::Later).await.unwrap();
        assert!(later.states.is_empty());
        assert!(later.unread.contains(&StateLane::new(Topic::Event(event))), "{:?}", later.unread);
        let caught_up = page(head, Shown::Refreshed(later.unread.clone())).await.unwrap();
        assert_eq!(caught_up.states.iter().map(|(lane, _)| lane.clone()).collect::<BTreeSet<_>>(), later.unread);
        assert!(caught_up.rows.is_empty());
    }
}
