//! Live streams: from committed changes to every open connection.
//!
//! [`publisher`], [`hub`] and [`session`] decide; they are state machines without threads, clocks or
//! sockets. [`driver`] feeds the first two from the store, [`ws`] and [`sse`] carry the bytes of the
//! third. [`feed`] has the same frames for programs that read at their own speed. Handlers that write know nothing of all this: what they commit arrives here by itself.

pub mod driver;
mod feed;
pub mod followers;
pub mod frame;
pub mod hub;
#[cfg(test)]
mod model;
pub mod publisher;
pub mod reactor;
pub mod session;
mod sse;
#[cfg(test)]
mod testing;
pub mod websocket;
#[cfg(test)]
mod wire;
mod ws;

use axum::Router;
use axum::extract;
use axum::extract::rejection::QueryRejection;
use axum::routing::get;
use serde::Deserialize;
use timely_core::access::{Action, Actor, judge};
use timely_core::cursor::Cursor;
use timely_core::id::{EventId, TeamId};
use timely_core::topic::Stream;

use crate::App;
use crate::error::{Error, permit};
pub use crate::live::driver::Live;
pub use crate::live::feed::Feeds;
use crate::live::hub::{Boards, Viewer};
use crate::live::session::{About, Speaks};
use crate::store::StreamOf;

/// The addresses of the streams. Paths arrive without their trailing slash.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/ws/events/{event}/stream", get(ws::event))
        .route("/ws/teams/{team}", get(ws::team))
        .route("/api/events/{event}/stream", get(sse::event))
        .route("/api/events/{event}/stream/results", get(sse::results))
        .route("/api/events/{event}/results/stream", get(sse::results))
        .route("/api/events/{event}/stream/schedule", get(sse::schedule))
        .route("/api/events/{event}/stream/announcements", get(sse::announcements))
        .route("/api/teams/{team}/stream", get(sse::team))
        .route("/api/events/{event}/feed", get(feed::event))
        .route("/api/feed", get(feed::log))
}

/// The query of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Query {
    /// `results,schedule,announcements`, or some of them.
    topics: Option<String>,
    since: Option<String>,
    v: Option<String>,
}

/// What the query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    topics: Option<Vec<Stream>>,
    since: Option<Cursor>,
    speaks: Speaks,
}

impl Query {
    fn read(self) -> Result<Wanted, Error> {
        let topics = self.topics.map(|list| streams(&list)).transpose()?;
        let since = match self.since.as_deref() {
            None | Some("") => None,
            Some(text) => Some(text.parse::<Cursor>().map_err(|error| Error::Malformed(format!("since: {error}")))?),
        };
        let speaks = match self.v.as_deref() {
            None | Some("1") => Speaks::V1,
            Some("2") => Speaks::V2,
            Some(other) => {
                return Err(Error::Malformed(format!("v: there is no version `{other}` of the streams; use 1 or 2")));
            }
        };
        Ok(Wanted { topics, since, speaks })
    }
}

fn query(asked: Result<extract::Query<Query>, QueryRejection>) -> Result<Query, Error> {
    asked.map(|extract::Query(query)| query).map_err(|rejection| Error::Malformed(rejection.body_text()))
}

fn streams(list: &str) -> Result<Vec<Stream>, Error> {
    let named: Vec<Stream> = list
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().map_err(|error| Error::Malformed(format!("topics: {error}"))))
        .collect::<Result<_, _>>()?;
    if named.is_empty() {
        return Err(Error::Malformed("topics: name some of results, schedule, announcements".to_owned()));
    }
    Ok(session::distinct(&named))
}

/// Whether this viewer finds room for a stream: who is signed in also in the reserve.
fn has_room(app: &App, viewer: &Viewer) -> bool {
    viewer.actor.is_some() || !app.gate.is_full()
}

/// Lets somebody in to the stream of an event, or refuses as if it did not exist.
async fn viewer_of_event(app: &App, actor: Actor, event: &str) -> Result<(Viewer, About), Error> {
    let event: EventId = event.parse().map_err(|_| Error::NotFound)?;
    let facts = app.store.stream_facts(StreamOf::Event(event)).await?.ok_or(Error::NotFound)?;
    permit(judge(actor.as_ref(), event, facts.visibility, Action::Read), "follow this event")?;
    let viewer = Viewer {
        actor,
        event,
        team: None,
        visibility: facts.visibility,
        judged_at: facts.judged_at,
        boards: Boards::Apart,
    };
    Ok((viewer, About::Event(event)))
}

/// The same for a team. Nobody follows one anonymously: that is said before the id is looked at.
async fn viewer_of_team(app: &App, actor: Actor, team: &str) -> Result<(Viewer, About), Error> {
    if actor.is_none() {
        return Err(Error::Unauthenticated);
    }
    let id: TeamId = team.parse().map_err(|_| Error::NotFound)?;
    let facts = app.store.stream_facts(StreamOf::Team(id)).await?.ok_or(Error::NotFound)?;
    let (team, name) = facts.team.ok_or(Error::NotFound)?;
    permit(judge(actor.as_ref(), facts.event, facts.visibility, Action::ReadTeam(team)), "follow this team")?;
    let viewer = Viewer {
        actor,
        event: facts.event,
        team: Some(team),
        visibility: facts.visibility,
        judged_at: facts.judged_at,
        boards: Boards::Apart,
    };
    Ok((viewer, About::Team(team, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(topics: Option<&str>, since: Option<&str>, v: Option<&str>) -> Query {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Query { topics: owned(topics), since: owned(since), v: owned(v) }
    }

    #[test]
    fn the_query_says_what_to_join_and_from_where() {
        use Stream::{Announcements, Results, Schedule};
        for (why, given, topics, since, speaks) in [
            ("nothing", query(None, None, None), None, None, Speaks::V1),
            (
                "all",
                query(Some("schedule,results, announcements"), None, None),
                Some(vec![Results, Schedule, Announcements]),
                None,
                Speaks::V1,
            ),
            ("twice", query(Some("results,RESULTS"), None, None), Some(vec![Results]), None, Speaks::V1),
            ("since", query(None, Some("k3.7"), Some("2")), None, Some("k3.7"), Speaks::V2),
            ("an empty cursor is none", query(None, Some(""), Some("1")), None, None, Speaks::V1),
        ] {
            let since = since.map(|cursor| cursor.parse().unwrap());
            assert_eq!(given.read().unwrap(), Wanted { topics, since, speaks }, "{why}");
        }
    }

    #[test]
    fn a_query_that_cannot_be_meant_is_refused_by_name() {
        for (given, says) in [
            (query(Some("scores"), None, None), "topics"),
            (query(Some(","), None, None), "topics"),
            (query(None, Some("yesterday"), None), "since"),
            (query(None, None, Some("3")), "v:"),
        ] {
            let error = given.clone().read().unwrap_err();
            assert!(matches!(&error, Error::Malformed(text) if text.contains(says)), "{given:?}: {error}");
        }
    }
}
