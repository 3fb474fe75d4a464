//! A store in a directory of its own, with an owner, for the tests of the store.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use timely_core::access::{Bearer, Role};
use timely_core::body::{NewEvent, NewFixture, NewTeam, PutResult};
use timely_core::event::{Count, Event, Visibility};
use timely_core::fixture::{Phase, ScheduleItem};
use timely_core::id::{EventId, FixtureId, OWNER, TeamId, TokenId};
use timely_core::result::{Outcome, ResultState, Score};
use timely_core::slot::Slot;
use timely_core::team::Team;

use crate::error::Error;
use crate::store::{Caller, Done, Expected, LogRow, Paging, RequestKey, Store, StoreOptions};

/// All of a list that a test can have.
pub(crate) const ALL: Paging = Paging { after: 0, limit: 500 };

/// A store and what tests do with it most.
pub(crate) struct Ground {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
}

/// When tests take place, plus some seconds.
pub(crate) fn time(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
    start + SignedDuration::from_secs(seconds)
}

pub(crate) fn options() -> StoreOptions {
    StoreOptions { fatal: Arc::new(|why| panic!("the store gave up: {why}")), ..StoreOptions::default() }
}

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(dir, options()).unwrap()
}

pub(crate) fn bearer(role: Role, event: Option<EventId>) -> Bearer {
    Bearer {
        user: OWNER,
        name: "Kim".to_owned(),
        token: TokenId(1),
        role,
        event,
        area: None,
        team: None,
        expires_at: None,
    }
}

pub(crate) fn owner() -> Caller {
    by(Some(bearer(Role::Owner, None)))
}

pub(crate) fn by(actor: Option<Bearer>) -> Caller {
    Caller { actor, key: None, at: time(0), real: time(0) }
}

pub(crate) fn keyed(key: &str, request: &str) -> Caller {
    let key = RequestKey { key: key.to_owned(), request: request.to_owned() };
    Caller { key: Some(key), ..owner() }
}

pub(crate) fn new_event(name: &str) -> NewEvent {
    NewEvent {
        name: name.to_owned(),
        starts_on: "2026-06-01".parse().unwrap(),
        ends_on: None,
        timezone: None,
        visibility: Visibility::Public,
        rules: None,
        count: Count::Live,
    }
}

pub(crate) fn new_fixture(home: TeamId, away: TeamId) -> NewFixture {
    NewFixture {
        home_team_id: Some(home),
        away_team_id: Some(away),
        home_slot: None,
        away_slot: None,
        start_at: time(3600),
        venue_id: None,
        area: None,
        group: None,
        round: None,
        phase: Phase::RoundRobin,
    }
}

pub(crate) fn score(text: &str) -> PutResult {
    let score: Score = text.parse().unwrap();
    PutResult::from(&Outcome::plain(score, ResultState::Provisional))
}

pub(crate) fn live(text: &str) -> PutResult {
    PutResult { state: ResultState::Live, ..score(text) }
}

/// Asks a future once, so that its write is queued; answers whether it is done.
pub(crate) fn queue<F: Future + Unpin>(write: &mut F) -> bool {
    Pin::new(write).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

impl Ground {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path());
        Self { dir, store }
    }

    /// Closes the store and opens it again.
    pub(crate) async fn reopened(self) -> Self {
        self.store.close().await;
        let store = open(self.dir.path());
        Self { store, ..self }
    }

    pub(crate) async fn event(&self) -> Event {
        self.store.create_event(owner(), new_event("Harbour Cup")).await.unwrap().value
    }

    pub(crate) async fn team(&self, event: EventId, name: &str, group: Option<&str>) -> Team {
        let new = NewTeam { name: name.to_owned(), code: None, group: group.map(str::to_owned) };
        self.store.create_team(owner(), event, new).await.unwrap().value
    }

    pub(crate) async fn teams<const N: usize>(
        &self,
        event: EventId,
        names: [&str; N],
        group: Option<&str>,
    ) -> [TeamId; N] {
        let mut ids = [TeamId(0); N];
        for (id, name) in ids.iter_mut().zip(names) {
            *id = self.team(event, name, group).await.id;
        }
        ids
    }

    pub(crate) async fn fixture(&self, event: EventId, home: TeamId, away: TeamId) -> ScheduleItem {
        self.store.create_fixture(owner(), event, new_fixture(home, away)).await.unwrap().value
    }

    /// A knockout between slots.
    pub(crate) async fn knockout(&self, event: EventId, home: &str, away: &str) -> ScheduleItem {
        let slot = |text: &str| Some(text.parse::<Slot>().unwrap());
        let new = NewFixture {
            home_team_id: None,
            away_team_id: None,
            home_slot: slot(home),
            away_slot: slot(away),
            phase: Phase::Knockout,
            ..new_fixture(TeamId(0), TeamId(0))
        };
        self.store.create_fixture(owner(), event, new).await.unwrap().value
    }

    /// Enters or replaces a result, whatever stands.
    pub(crate) async fn put(
        &self,
        fixture: FixtureId,
        result: PutResult,
    ) -> Result<Done<timely_core::result::FixtureResult>, Error> {
        self.store.put_result(owner(), fixture, Expected::Any, result).await
    }

    /// The table as text: `Reds 3 1-0, Blues 0 1-0` has name, points, won and lost.
    pub(crate) async fn table(&self, event: EventId) -> String {
        let boards = self.store.leaderboard(None, event, None).await.unwrap().boards;
        let rows = boards.iter().flat_map(|board| &board.leaderboard);
        rows.map(|row| format!("{} {} {}/{}/{}", row.team_name, row.points, row.won, row.drawn, row.lost))
            .collect::<Vec<_>>()
            .join(", ")
    }

    pub(crate) async fn log(&self) -> Vec<LogRow> {
        self.store.rows_after(0, 100_000).await.unwrap()
    }

    /// The log after `pos`, a line a row: type, topics, state lanes left out.
    pub(crate) async fn news(&self, pos: u64) -> Vec<String> {
        use crate::store::RowKind;
        let rows = self.store.rows_after(pos, 1000).await.unwrap();
        rows.iter()
            .map(|row| {
                let kind = match &row.kind {
                    RowKind::Message(kind) => kind.to_string(),
                    RowKind::Changed => "changed".to_owned(),
                    RowKind::Access(_) => "access".to_owned(),
                };
                let topics = row.topics.iter().map(|(topic, _)| topic.to_string());
                std::iter::once(kind).chain(topics).collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    pub(crate) fn head(&self) -> u64 {
        *self.store.head().borrow()
    }

    /// Whether positions and the numbers of all lanes are dense, and the head is the last row.
    pub(crate) async fn assert_dense(&self) {
        let dense = self.store.read(crate::store::change_log::is_dense).await.unwrap();
        assert!(dense, "the log has gaps");
        assert_eq!(self.head(), self.log().await.last().map_or(0, |row| row.pos));
    }
}
