//! What is computed: the boards of an event and its whole schedule, each true as of a `pos`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use timely_core::body::{Leaderboard, Schedule};
use timely_core::event::Count;
use timely_core::id::EventId;

use crate::App;
use crate::auth::MaybeSignedIn;
use crate::error::Error;
use crate::extract::{Ids, Query};

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
) -> Result<Json<Leaderboard>, Error> {
    let LeaderboardQuery { count } = query.of_event(&app, &actor, event).await?;
    app.store.leaderboard(actor, event, count).await.map(Json)
}

/// `GET /api/events/{event}/schedule`
pub async fn schedule(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Ids(event): Ids<EventId>,
) -> Result<Json<Schedule>, Error> {
    app.store.schedule(actor, event).await.map(Json)
}
