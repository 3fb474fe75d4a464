//! stub
#![allow(clippy::all, clippy::pedantic, unused, missing_debug_implementations)]
use crate::error::Error;
use jiff::{SignedDuration, Timestamp};
use std::path::Path;
use std::sync::Arc;
use timely_core::access::*;
use timely_core::announcement::*;
use timely_core::body::*;
use timely_core::cursor::Epoch;
use timely_core::event::*;
use timely_core::fixture::*;
use timely_core::id::*;
use timely_core::result::*;
use timely_core::team::*;
use timely_core::tournament::*;
use timely_core::venue::*;

#[derive(Clone)]
pub struct Store {
    epoch: Epoch,
    head: tokio::sync::watch::Receiver<u64>,
    tx: Arc<tokio::sync::watch::Sender<u64>>,
}
#[derive(Clone, Default)]
pub struct StoreOptions {}
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("stub {0}")]
    Locked(String),
}
pub struct Caller {
    pub actor: Actor,
    pub key: Option<RequestKey>,
    pub at: Timestamp,
    pub real: Timestamp,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    pub key: String,
    pub request: String,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Unsaid,
    Any,
    Version(i64),
}
#[derive(Clone, Debug)]
pub struct Done<T> {
    pub value: T,
    pub pos: u64,
    pub effect: Effect,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Created,
    Changed,
    Unchanged,
    Replayed { status: u16, pos: u64, version: Option<i64> },
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    pub after: i64,
    pub limit: usize,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    Verify,
    Finalise,
    Reopen,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    Server,
    Tokens,
    Event(EventId),
    Team(TeamId),
    Venue(VenueId),
    Fixture(FixtureId),
    Announcement(AnnouncementId),
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Read,
    Score,
    Manage,
}
fn no<T>() -> Result<T, Error> {
    Err(Error::Internal("stub".into()))
}
impl Store {
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        std::fs::create_dir_all(dir).ok();
        let (tx, head) = tokio::sync::watch::channel(0);
        Ok(Self { epoch: Epoch("stub".into()), head, tx: Arc::new(tx) })
    }
    pub fn owner_token(&self) -> Result<String, Error> {
        Ok("tml_stub".into())
    }
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }
    pub fn head(&self) -> tokio::sync::watch::Receiver<u64> {
        self.head.clone()
    }
    pub fn set_holder(&self, text: &str) -> std::io::Result<()> { Ok(()) }
    pub async fn close(&self) {}
    pub async fn ready(&self) -> Result<(), Error> {
        Ok(())
    }
    pub async fn bearer(&self, token: &str, real_now: Timestamp) -> Result<Option<Bearer>, Error> {
        Ok((token == "tml_stub").then(|| Bearer {
            user: OWNER,
            name: "owner".into(),
            token: TokenId(1),
            role: Role::Owner,
            event: None,
            area: None,
            team: None,
            expires_at: None,
        }))
    }
    pub async fn authorise(
        &self,
        actor: Actor,
        within: Option<EventId>,
        thing: Thing,
        wish: Wish,
    ) -> Result<(), Error> {
        Ok(())
    }
    pub async fn create_token(&self, c: Caller, new: NewToken) -> Result<Done<TokenInfo>, Error> {
        no()
    }
    pub async fn tokens(&self, actor: Actor, event: Option<EventId>, page: Paging) -> Result<Page<TokenInfo>, Error> {
        no()
    }
    pub async fn revoke_token(&self, c: Caller, id: TokenId) -> Result<Done<()>, Error> {
        no()
    }
    pub async fn end_expired_tokens(&self, real_now: Timestamp) -> Result<Option<Timestamp>, Error> {
        Ok(None)
    }
    pub async fn create_event(&self, c: Caller, new: NewEvent) -> Result<Done<Event>, Error> {
        no()
    }
    pub async fn events(&self, actor: Actor, page: Paging) -> Result<Page<Event>, Error> {
        no()
    }
    pub async fn event(&self, actor: Actor, id: EventId) -> Result<Event, Error> {
        no()
    }
    pub async fn edit_event(&self, c: Caller, id: EventId, edit: EditEvent) -> Result<Done<Event>, Error> {
        no()
    }
    pub async fn cancel_event(&self, c: Caller, id: EventId) -> Result<Done<Event>, Error> {
        no()
    }
    pub async fn delete_event(&self, c: Caller, id: EventId) -> Result<Done<()>, Error> {
        no()
    }
    pub async fn create_team(&self, c: Caller, event: EventId, new: NewTeam) -> Result<Done<Team>, Error> {
        no()
    }
    pub async fn teams(&self, actor: Actor, event: EventId, page: Paging) -> Result<Page<Team>, Error> {
        no()
    }
    pub async fn team(&self, actor: Actor, id: TeamId) -> Result<Team, Error> {
        no()
    }
    pub async fn edit_team(&self, c: Caller, id: TeamId, edit: EditTeam) -> Result<Done<Team>, Error> {
        no()
    }
    pub async fn delete_team(&self, c: Caller, id: TeamId) -> Result<Done<()>, Error> {
        no()
    }
    pub async fn create_venue(&self, c: Caller, event: EventId, new: NewVenue) -> Result<Done<Venue>, Error> {
        no()
    }
    pub async fn venues(&self, actor: Actor, event: EventId, page: Paging) -> Result<Page<Venue>, Error> {
        no()
    }
    pub async fn venue(&self, actor: Actor, id: VenueId) -> Result<Venue, Error> {
        no()
    }
    pub async fn edit_venue(&self, c: Caller, id: VenueId, edit: EditVenue) -> Result<Done<Venue>, Error> {
        no()
    }
    pub async fn delete_venue(&self, c: Caller, id: VenueId) -> Result<Done<()>, Error> {
        no()
    }
    pub async fn create_fixture(
        &self,
        c: Caller,
        event: EventId,
        new: NewFixture,
    ) -> Result<Done<ScheduleItem>, Error> {
        no()
    }
    pub async fn fixtures(&self, actor: Actor, event: EventId, page: Paging) -> Result<Page<ScheduleItem>, Error> {
        no()
    }
    pub async fn fixture(&self, actor: Actor, id: FixtureId) -> Result<ScheduleItem, Error> {
        no()
    }
    pub async fn edit_fixture(
        &self,
        c: Caller,
        id: FixtureId,
        expected: Expected,
        edit: EditFixture,
    ) -> Result<Done<ScheduleItem>, Error> {
        no()
    }
    pub async fn command_fixture(
        &self,
        c: Caller,
        id: FixtureId,
        expected: Expected,
        command: MatchCommand,
    ) -> Result<Done<ScheduleItem>, Error> {
        no()
    }
    pub async fn delete_fixture(&self, c: Caller, id: FixtureId, expected: Expected) -> Result<Done<()>, Error> {
        no()
    }
    pub async fn put_result(
        &self,
        c: Caller,
        fixture: FixtureId,
        expected: Expected,
        body: PutResult,
    ) -> Result<Done<FixtureResult>, Error> {
        no()
    }
    pub async fn annul_result(
        &self,
        c: Caller,
        fixture: FixtureId,
        expected: Expected,
        reason: Option<String>,
    ) -> Result<Done<FixtureResult>, Error> {
        no()
    }
    pub async fn judge_result(
        &self,
        c: Caller,
        fixture: FixtureId,
        expected: Expected,
        verdict: Judgement,
    ) -> Result<Done<FixtureResult>, Error> {
        no()
    }
    pub async fn result(&self, actor: Actor, fixture: FixtureId) -> Result<FixtureResult, Error> {
        no()
    }
    pub async fn results(&self, actor: Actor, event: EventId, page: Paging) -> Result<Page<FixtureResult>, Error> {
        no()
    }
    pub async fn create_announcement(
        &self,
        c: Caller,
        event: EventId,
        new: NewAnnouncement,
    ) -> Result<Done<Announcement>, Error> {
        no()
    }
    pub async fn announcements(&self, actor: Actor, event: EventId, page: Paging) -> Result<Page<Announcement>, Error> {
        no()
    }
    pub async fn announcement(&self, actor: Actor, id: AnnouncementId) -> Result<Announcement, Error> {
        no()
    }
    pub async fn edit_announcement(
        &self,
        c: Caller,
        id: AnnouncementId,
        expected: Expected,
        edit: EditAnnouncement,
    ) -> Result<Done<Announcement>, Error> {
        no()
    }
    pub async fn withdraw_announcement(
        &self,
        c: Caller,
        id: AnnouncementId,
        expected: Expected,
    ) -> Result<Done<Announcement>, Error> {
        no()
    }
    pub async fn broadcast_announcement(&self, c: Caller, id: AnnouncementId) -> Result<Done<Announcement>, Error> {
        no()
    }
    pub async fn expire_announcements(&self, event_now: Timestamp) -> Result<Option<Timestamp>, Error> {
        Ok(None)
    }
    pub async fn leaderboard(&self, actor: Actor, event: EventId, count: Option<Count>) -> Result<Leaderboard, Error> {
        no()
    }
    pub async fn schedule(&self, actor: Actor, event: EventId) -> Result<Schedule, Error> {
        no()
    }
    pub async fn import(&self, c: Caller, t: Tournament) -> Result<Done<Imported>, Error> {
        no()
    }
}
