//! What is computed: the boards of an event and its whole schedule, each true as of a `pos`.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use timely_core::event::Count;
use timely_core::id::EventId;

use crate::App;
use crate::auth::MaybeSignedIn;
use crate::error::Error;
use crate::extract::{Ids, Query};
use crate::http::{Tag, tagged};

/// Query of a leaderboard.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaderboardQuery {
    /// Which results count; the event's own choice if left out.
    count: Option<Count>,
}

/// `GET /api/events/{event}/leaderboard`
pub async fn leaderboard(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Ids(event): Ids<EventId>,
    query: Query<LeaderboardQuery>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let LeaderboardQuery { count } = query.of_event(&app, &actor, event).await?;
    let leaderboard = app.store.leaderboard(actor, event, count).await?;
    Ok(tagged(&headers, &Tag::new(app.store.epoch(), leaderboard.pos).which(count), &leaderboard))
}

/// `GET /api/events/{event}/schedule`
pub async fn schedule(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Ids(event): Ids<EventId>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let schedule = app.store.schedule(actor, event).await?;
    Ok(tagged(&headers, &Tag::new(app.store.epoch(), schedule.pos), &schedule))
}
