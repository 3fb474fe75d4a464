//! Feeds: the change log over plain HTTP, one line of JSON at a time.
//!
//! `/api/events/{event}/feed/` has what its reader would see on the stream of the event, line by
//! line the same frames; `/api/feed/` has every row, for those who pass the log on. Both read page by
//! page at the speed of their reader: nothing is dropped, nothing waits in memory, and nobody else
//! notices. So a feed needs no session; the streams are for crowds, feeds are for programs. Each page
//! is judged anew, and a reader whose right has ended is cut off in the middle of the answer: what it
//! has must not look whole.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::try_unfold;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use timely_core::access::Actor;
use timely_core::cursor::{Cursor, NotRecovered};
use timely_core::id::EventId;
use timely_core::live::{Announced, Control, LogLine};
use timely_core::topic::StateLane;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error};

use crate::App;
use crate::auth::{MaybeSignedIn, SignedIn};
use crate::clock::real_now;
use crate::error::Error;
use crate::extract::Query;
use crate::live::frame::{Copy, Frame};
use crate::live::publisher::{LARGE_SCHEDULE_FIXTURES, LARGE_SCHEDULE_INTERVAL, STATE_INTERVAL};
use crate::live::session::STATUS_INTERVAL;
use crate::live::viewer_of_event;
use crate::store::{LogRow, RowKind, Shown};

/// Feeds of events that are read at a time.
const EVENT_FEEDS_MAX: usize = 256;
/// Feeds of the whole log that are read at a time. Counted apart: spectators cannot shut relays out.
const LOG_FEEDS_MAX: usize = 64;
/// Shortest time between two pages at the head of the log: what is committed within it comes together.
const PAGE_INTERVAL: Duration = STATE_INTERVAL;

/// A reader who has read to the end of the answer knows everything up to here.
const TIMELY_CURSOR: HeaderName = HeaderName::from_static("timely-cursor");

/// How many feeds may be read.
#[derive(Clone, Debug)]
pub struct Feeds {
    of_events: Arc<Semaphore>,
    of_log: Arc<Semaphore>,
}

impl Default for Feeds {
    fn default() -> Self {
        let room = |feeds| Arc::new(Semaphore::new(feeds));
        Self { of_events: room(EVENT_FEEDS_MAX), of_log: room(LOG_FEEDS_MAX) }
    }
}

fn room(feeds: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    Arc::clone(feeds)
        .try_acquire_owned()
        .map_err(|_| Error::Unavailable("as many feeds are read as may be; try again in a moment".to_owned()))
}

/// Query of a feed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedQuery {
    since: Option<String>,
    follow: Option<String>,
}

/// What the query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    since: Option<Cursor>,
    until: Until,
}

/// Where a feed ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Head,
    /// When the reader leaves or the server stops.
    Forever,
}

impl FeedQuery {
    fn read(self) -> Result<Asked, Error> {
        let since = match self.since.as_deref() {
            None | Some("") => None,
            Some(text) => Some(text.parse().map_err(|error| Error::Malformed(format!("since: {error}")))?),
        };
        let until = match self.follow.as_deref() {
            None | Some("0") => Until::Head,
            Some("1") => Until::Forever,
            Some(other) => return Err(Error::Malformed(format!("follow: `{other}` is neither 1 nor 0"))),
        };
        Ok(Asked { since, until })
    }
}

/// `GET /api/events/{event}/feed/`: what the caller would see on the stream of the event.
pub(super) async fn event(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Path(event): Path<String>,
    query: Query<FeedQuery>,
) -> Result<Response, Error> {
    let (viewer, _) = viewer_of_event(&app, actor, &event).await?;
    let asked = query.known()?.read()?;
    let floor = app.store.replay_floor(viewer.event, real_now()).await?;
    let (after, head) = start(&app, asked.since.as_ref(), floor)?;
    let feed = EventFeed {
        _permit: room(&app.feeds.of_events)?,
        actor: viewer.actor,
        event: viewer.event,
        after,
        until: asked.until,
        stage: Stage::CatchingUp,
        dirty: BTreeSet::new(),
        states_at: Instant::now(),
        pace: Pace::new(app),
    };
    Ok(answer(&head, Body::from_stream(try_unfold(feed, async |feed| told(feed.next().await)))))
}

/// `GET /api/feed/`: every row of the log.
pub(super) async fn log(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    query: Query<FeedQuery>,
) -> Result<Response, Error> {
    let actor = Some(by);
    let floor = app.store.log_floor(actor.clone(), real_now()).await?;
    let asked = query.known()?.read()?;
    let (after, head) = start(&app, asked.since.as_ref(), floor)?;
    let permit = room(&app.feeds.of_log)?;
    let feed =
        LogFeed { _permit: permit, actor, after, until: asked.until, stage: Stage::CatchingUp, pace: Pace::new(app) };
    Ok(answer(&head, Body::from_stream(try_unfold(feed, async |feed| told(feed.next().await)))))
}

/// Where to begin, and how far the log is.
fn start(app: &App, since: Option<&Cursor>, floor: u64) -> Result<(u64, Cursor), Error> {
    let current = Cursor { epoch: app.store.epoch().clone(), pos: *app.store.head().borrow() };
    let reason = match since {
        None => return Ok((floor, current)),
        Some(since) if since.epoch != current.epoch => NotRecovered::Epoch,
        Some(since) if since.pos > current.pos => NotRecovered::Ahead,
        Some(since) if since.pos < floor => NotRecovered::Expired,
        Some(since) => return Ok((since.pos, current)),
    };
    Err(Error::CursorGone { reason, current })
}

fn answer(head: &Cursor, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    // nginx would keep lines back until it has a page of them.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    // Letters, digits and a dot are always a header value.
    if let Ok(cursor) = HeaderValue::try_from(head.to_string()) {
        headers.insert(TIMELY_CURSOR, cursor);
    }
    response
}

/// Ends the connection before the end of the answer: the reader comes back and is told why.
fn told<T>(step: Result<T, Error>) -> io::Result<T> {
    step.map_err(|error| {
        match &error {
            Error::Sqlite(_) | Error::Pool(_) | Error::Internal(_) | Error::Unavailable(_) => {
                error!("a feed cannot be read on and is cut: {error}");
            }
            refusal => debug!("a feed is cut: {refusal}"),
        }
        io::Error::other(error)
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    CatchingUp,
    /// What was missed and the state have been written.
    Live,
    Ended,
}

/// When a feed at the head reads on.
struct Pace {
    app: App,
    head: watch::Receiver<u64>,
    page_at: Instant,
    status_at: Instant,
}

impl Pace {
    fn new(app: App) -> Self {
        let now = Instant::now();
        Self { head: app.store.head(), app, page_at: now, status_at: now + STATUS_INTERVAL }
    }

    /// A page is about to be read: what is committed from here on is another one.
    fn reads(&mut self) {
        self.head.borrow_and_update();
        self.page_at = Instant::now() + PAGE_INTERVAL;
    }

    /// Waits until there may be something to say, at `at` at the latest. `false`: the server stops.
    async fn wait(&mut self, at: Option<Instant>) -> bool {
        let at = at.map_or(self.status_at, |at| at.min(self.status_at));
        let page_at = self.page_at;
        let waiting = async {
            tokio::select! {
                changed = self.head.changed() => {
                    if changed.is_err() {
                        return false;
                    }
                }
                () = sleep_until(at) => {}
            }
            sleep_until(page_at).await;
            true
        };
        tokio::select! {
            goes_on = waiting => goes_on,
            () = self.app.shutdown.cancelled() => false,
        }
    }

    /// Says from time to time how far the reader is: silence would look like a cut connection.
    fn status(&mut self, pos: u64, lines: &mut Vec<u8>) -> Result<(), Error> {
        let now = Instant::now();
        if now < self.status_at {
            return Ok(());
        }
        self.status_at = now + STATUS_INTERVAL;
        let clock = &self.app.clock;
        let status = Control::Status { pos, server_time: clock.now(), clock_rate: clock.rate(), stale_since: None };
        put_json(lines, &status)
    }
}

/// The feed of an event, between two pages.
struct EventFeed {
    _permit: OwnedSemaphorePermit,
    actor: Actor,
    event: EventId,
    /// Everything up to here was written.
    after: u64,
    until: Until,
    stage: Stage,
    /// Lanes whose state is to be written.
    dirty: BTreeSet<StateLane>,
    /// Not before this time.
    states_at: Instant,
    pace: Pace,
}

impl EventFeed {
    /// The next lines, if there are any.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        while self.stage != Stage::Ended {
            let mut lines = Vec::new();
            self.page(&mut lines).await?;
            if self.stage == Stage::Live {
                self.pace.status(self.after, &mut lines)?;
            }
            if !lines.is_empty() {
                return Ok(Some((lines.into(), self)));
            }
            if self.stage == Stage::Live {
                let at = (!self.dirty.is_empty()).then_some(self.states_at);
                if !self.pace.wait(at).await {
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    async fn page(&mut self, lines: &mut Vec<u8>) -> Result<(), Error> {
        let shows_states = Instant::now() >= self.states_at;
        let shown = match self.stage {
            Stage::CatchingUp | Stage::Ended => Shown::All,
            Stage::Live if shows_states => Shown::Refreshed(self.dirty.clone()),
            Stage::Live => Shown::Later,
        };
        self.pace.reads();
        let app = &self.pace.app;
        let event_now = app.clock.now();
        let page =
            app.store.event_page(self.actor.clone(), self.event, self.after, shown, (event_now, real_now())).await?;
        for row in &page.rows {
            put_row(lines, row);
        }
        self.after = page.pos;
        let copy = if self.stage == Stage::CatchingUp { Copy::Replay } else { Copy::Live };
        if page.at_head && (self.stage == Stage::CatchingUp || shows_states) {
            self.dirty.clear();
        }
        let mut interval = STATE_INTERVAL;
        for (lane, data) in &page.states {
            let Some(frame) = data.as_deref().and_then(|data| Frame::state(lane, data, page.pos, event_now)) else {
                continue;
            };
            if frame.schedule_len() > LARGE_SCHEDULE_FIXTURES {
                interval = LARGE_SCHEDULE_INTERVAL;
            }
            put(lines, &frame.json(copy));
        }
        if !page.states.is_empty() {
            self.states_at = Instant::now() + interval;
        }
        match (self.stage, self.until) {
            (Stage::CatchingUp, Until::Head) if page.at_head => self.stage = Stage::Ended,
            (Stage::CatchingUp, Until::Forever) if page.at_head => {
                self.stage = Stage::Live;
                let cursor = Cursor { epoch: self.pace.app.store.epoch().clone(), pos: page.pos };
                put_json(lines, &Control::Live { topics: page.topics, cursor })?;
            }
            (Stage::Live, _) => self.dirty.extend(page.unread),
            _ => {}
        }
        Ok(())
    }
}

/// The feed of the whole log, between two pages.
struct LogFeed {
    _permit: OwnedSemaphorePermit,
    actor: Actor,
    after: u64,
    until: Until,
    stage: Stage,
    pace: Pace,
}

impl LogFeed {
    /// The next lines, if there are any.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        while self.stage != Stage::Ended {
            let mut lines = Vec::new();
            self.pace.reads();
            let page = self.pace.app.store.log_page(self.actor.clone(), self.after, real_now()).await?;
            for (row, committed_at) in &page.rows {
                put_log_line(&mut lines, row, *committed_at)?;
                self.after = row.pos;
            }
            if page.at_head {
                self.stage = if self.until == Until::Head { Stage::Ended } else { Stage::Live };
            }
            if self.stage == Stage::Live {
                self.pace.status(self.after, &mut lines)?;
            }
            if !lines.is_empty() {
                return Ok(Some((lines.into(), self)));
            }
            if self.stage == Stage::Live && !self.pace.wait(None).await {
                return Ok(None);
            }
        }
        Ok(None)
    }
}

/// The frame of a row, under the first topic that reaches the reader.
fn put_row(lines: &mut Vec<u8>, row: &LogRow) {
    let RowKind::Message(kind) = row.kind else { return };
    if let Some((topic, seq)) = row.topics.iter().min() {
        put(lines, &Frame::log(row, kind, *topic, *seq).json(Copy::Live));
    }
}

fn put_log_line(lines: &mut Vec<u8>, row: &LogRow, committed_at: jiff::Timestamp) -> Result<(), Error> {
    let data = match row.data.as_str() {
        "" => None,
        data => Some(serde_json::from_str::<&RawValue>(data).map_err(|error| unwritten(&error))?),
    };
    let access = match &row.kind {
        RowKind::Access(change) => Some(change),
        RowKind::Message(_) | RowKind::Changed => None,
    };
    put_json(
        lines,
        &LogLine {
            pos: row.pos,
            kind: row.kind.as_str().into(),
            event_id: row.event,
            group: row.group.as_deref().map(Into::into),
            topics: row.topics.iter().map(|(topic, seq)| Announced { topic: *topic, seq: *seq }).collect(),
            refreshes: row.refreshes.clone(),
            access: access.cloned(),
            data,
            timestamp: row.timestamp,
            committed_at,
        },
    )
}

fn put(lines: &mut Vec<u8>, json: &[u8]) {
    lines.extend_from_slice(json);
    lines.push(b'\n');
}

fn put_json(lines: &mut Vec<u8>, value: &impl Serialize) -> Result<(), Error> {
    put(lines, &serde_json::to_vec(value).map_err(|error| unwritten(&error))?);
    Ok(())
}

fn unwritten(error: &serde_json::Error) -> Error {
    Error::Internal(format!("a line of a feed cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_says_from_where_and_whether_it_ends() {
        let query = |since: Option<&str>, follow: Option<&str>| FeedQuery {
            since: since.map(str::to_owned),
            follow: follow.map(str::to_owned),
        };
        let cursor: Cursor = "k3.7".parse().unwrap();
        for (asked, since, until) in [
            (query(None, None), None, Until::Head),
            (query(Some(""), Some("0")), None, Until::Head),
            (query(Some("k3.7"), Some("1")), Some(cursor), Until::Forever),
        ] {
            assert_eq!(asked.read().unwrap(), Asked { since, until });
        }
        for (asked, says) in [(query(Some("yesterday"), None), "since"), (query(None, Some("yes")), "follow")] {
            let error = asked.read().unwrap_err();
            assert!(matches!(&error, Error::Malformed(text) if text.starts_with(says)), "{error}");
        }
    }

    #[test]
    fn there_is_room_for_so_many_feeds_and_relays_have_their_own() {
        let feeds = Feeds::default();
        let taken: Vec<_> = (0..EVENT_FEEDS_MAX).map(|_| room(&feeds.of_events).unwrap()).collect();
        assert!(matches!(room(&feeds.of_events), Err(Error::Unavailable(_))));
        assert!(room(&feeds.of_log).is_ok());
        drop(taken);
        assert!(room(&feeds.of_events).is_ok());
    }
}
