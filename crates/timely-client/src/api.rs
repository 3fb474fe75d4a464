//! One method per endpoint. Names are those of the server's own commands.

use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use timely_core::announcement::Announcement;
use timely_core::body::{
    EditAnnouncement, EditEvent, EditFixture, EditTeam, EditVenue, Health, Imported, Leaderboard, Me, NewAnnouncement,
    NewEvent, NewFixture, NewTeam, NewToken, NewVenue, PutResult, Schedule, TokenInfo,
};
use timely_core::event::{Count, Event};
use timely_core::fixture::{MatchCommand, ScheduleItem};
use timely_core::id::{AnnouncementId, EventId, FixtureId, TeamId, TokenId, VenueId};
use timely_core::result::FixtureResult;
use timely_core::team::Team;
use timely_core::tournament::Tournament;
use timely_core::venue::Venue;

use crate::client::{Answer, Client, Expected};
use crate::error::Error;

/// Every method fails with [`Error::Refused`] when the server says no, [`Error::Unreachable`] when
/// nothing was changed, and writes with [`Error::OutcomeUnknown`] when that cannot be told.
impl Client {
    // ---- the server

    /// Whether the server lives.
    pub async fn health(&self) -> Result<Health, Error> {
        self.get("healthz").await
    }

    /// Whether it can be used: a write can be committed.
    pub async fn ready(&self) -> Result<Health, Error> {
        self.get("readyz").await
    }

    /// Who the server takes the caller for.
    pub async fn me(&self) -> Result<Me, Error> {
        self.get("api/me/").await
    }

    pub async fn create_token(&self, new: &NewToken) -> Result<Answer<TokenInfo>, Error> {
        self.post("api/tokens/", new).await
    }

    pub async fn tokens(&self, event: Option<EventId>) -> Result<Vec<TokenInfo>, Error> {
        match event {
            Some(event) => self.list(&format!("api/tokens/?event_id={event}")).await,
            None => self.list("api/tokens/").await,
        }
    }

    pub async fn revoke_token(&self, id: TokenId) -> Result<Answer<()>, Error> {
        self.delete(&format!("api/tokens/{id}/"), Expected::Unsaid).await
    }

    /// Creates an event with all its teams, venues, fixtures and results, or nothing.
    pub async fn import(&self, tournament: &Tournament) -> Result<Answer<Imported>, Error> {
        self.post("api/events/import/", tournament).await
    }

    // ---- events

    pub async fn create_event(&self, new: &NewEvent) -> Result<Answer<Event>, Error> {
        self.post("api/events/", new).await
    }

    pub async fn events(&self) -> Result<Vec<Event>, Error> {
        self.list("api/events/").await
    }

    pub async fn event(&self, id: EventId) -> Result<Event, Error> {
        self.get(&format!("api/events/{id}/")).await
    }

    pub async fn edit_event(&self, id: EventId, edit: &EditEvent) -> Result<Answer<Event>, Error> {
        self.patch(&format!("api/events/{id}/"), Expected::Unsaid, edit).await
    }

    pub async fn cancel_event(&self, id: EventId) -> Result<Answer<Event>, Error> {
        self.command(&format!("api/events/{id}/cancel/"), Expected::Unsaid).await
    }

    pub async fn delete_event(&self, id: EventId) -> Result<Answer<()>, Error> {
        self.delete(&format!("api/events/{id}/"), Expected::Unsaid).await
    }

    // ---- teams

    pub async fn create_team(&self, event: EventId, new: &NewTeam) -> Result<Answer<Team>, Error> {
        self.post(&format!("api/events/{event}/teams/"), new).await
    }

    pub async fn teams(&self, event: EventId) -> Result<Vec<Team>, Error> {
        self.list(&format!("api/events/{event}/teams/")).await
    }

    pub async fn team(&self, id: TeamId) -> Result<Team, Error> {
        self.get(&format!("api/teams/{id}/")).await
    }

    pub async fn edit_team(&self, id: TeamId, edit: &EditTeam) -> Result<Answer<Team>, Error> {
        self.patch(&format!("api/teams/{id}/"), Expected::Unsaid, edit).await
    }

    pub async fn delete_team(&self, id: TeamId) -> Result<Answer<()>, Error> {
        self.delete(&format!("api/teams/{id}/"), Expected::Unsaid).await
    }

    // ---- venues

    pub async fn create_venue(&self, event: EventId, new: &NewVenue) -> Result<Answer<Venue>, Error> {
        self.post(&format!("api/events/{event}/venues/"), new).await
    }

    pub async fn venues(&self, event: EventId) -> Result<Vec<Venue>, Error> {
        self.list(&format!("api/events/{event}/venues/")).await
    }

    pub async fn venue(&self, event: EventId, id: VenueId) -> Result<Venue, Error> {
        self.get(&format!("api/events/{event}/venues/{id}/")).await
    }

    pub async fn edit_venue(&self, event: EventId, id: VenueId, edit: &EditVenue) -> Result<Answer<Venue>, Error> {
        self.patch(&format!("api/events/{event}/venues/{id}/"), Expected::Unsaid, edit).await
    }

    pub async fn delete_venue(&self, event: EventId, id: VenueId) -> Result<Answer<()>, Error> {
        self.delete(&format!("api/events/{event}/venues/{id}/"), Expected::Unsaid).await
    }

    // ---- fixtures

    pub async fn create_fixture(&self, event: EventId, new: &NewFixture) -> Result<Answer<ScheduleItem>, Error> {
        self.post(&format!("api/events/{event}/fixtures/"), new).await
    }

    /// By number.
    pub async fn fixtures(&self, event: EventId) -> Result<Vec<ScheduleItem>, Error> {
        self.list(&format!("api/events/{event}/fixtures/")).await
    }

    pub async fn fixture(&self, id: FixtureId) -> Result<ScheduleItem, Error> {
        self.get(&format!("api/fixtures/{id}/")).await
    }

    pub async fn edit_fixture(
        &self,
        id: FixtureId,
        edit: &EditFixture,
        expected: Expected,
    ) -> Result<Answer<ScheduleItem>, Error> {
        self.patch(&format!("api/fixtures/{id}/"), expected, edit).await
    }

    /// Starts, pauses, finishes, … the match.
    pub async fn command_fixture(
        &self,
        id: FixtureId,
        command: MatchCommand,
        expected: Expected,
    ) -> Result<Answer<ScheduleItem>, Error> {
        let word = match command {
            MatchCommand::Start => "start",
            MatchCommand::Pause => "pause",
            MatchCommand::Finish => "finish",
            MatchCommand::Abandon => "abandon",
            MatchCommand::Postpone => "postpone",
            MatchCommand::Cancel => "cancel",
            MatchCommand::Restore => "restore",
        };
        self.command(&format!("api/fixtures/{id}/{word}/"), expected).await
    }

    pub async fn delete_fixture(&self, id: FixtureId, expected: Expected) -> Result<Answer<()>, Error> {
        self.delete(&format!("api/fixtures/{id}/"), expected).await
    }

    // ---- results

    /// Enters, corrects or re-enters a result.
    pub async fn put_result(
        &self,
        fixture: FixtureId,
        body: &PutResult,
        expected: Expected,
    ) -> Result<Answer<FixtureResult>, Error> {
        self.write(Method::PUT, &format!("api/fixtures/{fixture}/result/"), expected, Some(body)).await
    }

    /// Removes a result; what stands afterwards is the annulled one.
    pub async fn annul_result(
        &self,
        fixture: FixtureId,
        expected: Expected,
        reason: Option<&str>,
    ) -> Result<Answer<FixtureResult>, Error> {
        let mut url = self.url(&format!("api/fixtures/{fixture}/result/"))?;
        if let Some(reason) = reason {
            url.query_pairs_mut().append_pair("reason", reason);
        }
        self.write(Method::DELETE, url.as_str(), expected, None::<&()>).await
    }

    /// Records that somebody checked the result; its state stays.
    pub async fn verify_result(&self, fixture: FixtureId, expected: Expected) -> Result<Answer<FixtureResult>, Error> {
        self.command(&format!("api/fixtures/{fixture}/result/verify/"), expected).await
    }

    /// Makes the result official.
    pub async fn finalise_result(
        &self,
        fixture: FixtureId,
        expected: Expected,
    ) -> Result<Answer<FixtureResult>, Error> {
        self.command(&format!("api/fixtures/{fixture}/result/finalise/"), expected).await
    }

    /// Makes an official result provisional again.
    pub async fn reopen_result(&self, fixture: FixtureId, expected: Expected) -> Result<Answer<FixtureResult>, Error> {
        self.command(&format!("api/fixtures/{fixture}/result/reopen/"), expected).await
    }

    pub async fn result(&self, fixture: FixtureId) -> Result<FixtureResult, Error> {
        self.get(&format!("api/fixtures/{fixture}/result/")).await
    }

    pub async fn results(&self, event: EventId) -> Result<Vec<FixtureResult>, Error> {
        self.list(&format!("api/events/{event}/results/")).await
    }

    // ---- announcements

    pub async fn create_announcement(
        &self,
        event: EventId,
        new: &NewAnnouncement,
    ) -> Result<Answer<Announcement>, Error> {
        self.post(&format!("api/events/{event}/announcements/"), new).await
    }

    pub async fn announcements(&self, event: EventId) -> Result<Vec<Announcement>, Error> {
        self.list(&format!("api/events/{event}/announcements/")).await
    }

    pub async fn announcement(&self, id: AnnouncementId) -> Result<Announcement, Error> {
        self.get(&format!("api/announcements/{id}/")).await
    }

    pub async fn edit_announcement(
        &self,
        id: AnnouncementId,
        edit: &EditAnnouncement,
        expected: Expected,
    ) -> Result<Answer<Announcement>, Error> {
        self.patch(&format!("api/announcements/{id}/"), expected, edit).await
    }

    /// Takes it off every screen.
    pub async fn withdraw_announcement(
        &self,
        id: AnnouncementId,
        expected: Expected,
    ) -> Result<Answer<Announcement>, Error> {
        self.command(&format!("api/announcements/{id}/withdraw/"), expected).await
    }

    /// Says it again.
    pub async fn broadcast_announcement(&self, id: AnnouncementId) -> Result<Answer<Announcement>, Error> {
        self.command(&format!("api/announcements/{id}/broadcast/"), Expected::Unsaid).await
    }

    // ---- computed

    /// Every table of the event; `count` is the event's own choice unless given.
    pub async fn leaderboard(&self, event: EventId, count: Option<Count>) -> Result<Leaderboard, Error> {
        match count {
            Some(count) => self.get(&format!("api/events/{event}/leaderboard/?count={count}")).await,
            None => self.get(&format!("api/events/{event}/leaderboard/")).await,
        }
    }

    pub async fn schedule(&self, event: EventId) -> Result<Schedule, Error> {
        self.get(&format!("api/events/{event}/schedule/")).await
    }

    // ---- shapes of writes

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<Answer<T>, Error> {
        self.write(Method::POST, path, Expected::Unsaid, Some(body)).await
    }

    async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        expected: Expected,
        body: &(impl Serialize + Sync),
    ) -> Result<Answer<T>, Error> {
        self.write(Method::PATCH, path, expected, Some(body)).await
    }

    async fn command<T: DeserializeOwned>(&self, path: &str, expected: Expected) -> Result<Answer<T>, Error> {
        self.write(Method::POST, path, expected, None::<&()>).await
    }

    async fn delete(&self, path: &str, expected: Expected) -> Result<Answer<()>, Error> {
        self.write(Method::DELETE, path, expected, None::<&()>).await
    }
}
