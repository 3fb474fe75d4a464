//! `/api/events/{event}/teams/` and `/api/teams/{team}`: teams of an event.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use timely_core::body::{EditTeam, NewTeam, Page};
use timely_core::id::{EventId, TeamId};
use timely_core::team::Team;

use crate::App;
use crate::auth::{MaybeSignedIn, SignedIn};
use crate::error::Error;
use crate::extract::{Ids, PageQuery, Query, Write};
use crate::http::{changed, created, deleted, shown};
use crate::store::{Thing, Wish};

/// A team by its id alone, or below its event.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct TeamPath {
    #[serde(default)]
    event: Option<EventId>,
    team: TeamId,
}

/// `GET /api/events/{event}/teams`
pub async fn list(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Ids(event): Ids<EventId>,
    query: Query<PageQuery>,
) -> Result<Json<Page<Team>>, Error> {
    let page = query.and_then(PageQuery::paging).of_event(&app, &actor, event).await?;
    app.store.teams(actor, event, page).await.map(Json)
}

/// `POST /api/events/{event}/teams`
pub async fn create(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(event): Ids<EventId>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, None, Thing::Event(event), Wish::Manage).await?;
    let request = write.body::<NewTeam>().await?;
    Ok(created(&app.store.create_team(request.caller, event, request.body).await?))
}

/// `GET /api/teams/{team}`
pub async fn show(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Ids(path): Ids<TeamPath>,
) -> Result<Response, Error> {
    let team = app.store.team(actor, path.team).await?;
    if path.event.is_some_and(|event| event != team.event_id) {
        return Err(Error::NotFound);
    }
    Ok(shown(&team))
}

/// `PATCH /api/teams/{team}`
pub async fn edit(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(path): Ids<TeamPath>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, path.event, Thing::Team(path.team), Wish::Manage).await?;
    let request = write.body::<EditTeam>().await?;
    Ok(changed(&app.store.edit_team(request.caller, path.team, request.body).await?))
}

/// `DELETE /api/teams/{team}`
pub async fn delete(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(path): Ids<TeamPath>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, path.event, Thing::Team(path.team), Wish::Manage).await?;
    let request = write.no_body().await?;
    Ok(deleted(&app.store.delete_team(request.caller, path.team).await?))
}
