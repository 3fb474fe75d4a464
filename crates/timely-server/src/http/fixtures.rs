//! `/api/events/{event}/fixtures/` and `/api/fixtures/{fixture}`: fixtures and their match state.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{MethodRouter, post};
use serde::Deserialize;
use timely_core::body::{EditFixture, NewFixture, Page};
use timely_core::fixture::{MatchCommand, ScheduleItem};
use timely_core::id::{EventId, FixtureId};

use crate::App;
use crate::auth::{MaybeSignedIn, SignedIn};
use crate::error::Error;
use crate::extract::{Ids, PageQuery, Query, Write};
use crate::http::{changed, created, deleted, shown};
use crate::store::{Thing, Wish};

/// A fixture by its id alone, or below its event.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct FixturePath {
    #[serde(default)]
    event: Option<EventId>,
    fixture: FixtureId,
}

/// `GET /api/events/{event}/fixtures`: by number.
pub async fn list(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Ids(event): Ids<EventId>,
    query: Query<PageQuery>,
) -> Result<Json<Page<ScheduleItem>>, Error> {
    let page = query.and_then(PageQuery::paging).of_event(&app, &actor, event).await?;
    app.store.fixtures(actor, event, page).await.map(Json)
}

/// `POST /api/events/{event}/fixtures`
pub async fn create(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(event): Ids<EventId>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, None, Thing::Event(event), Wish::Manage).await?;
    let request = write.body::<NewFixture>().await?;
    Ok(created(&app.store.create_fixture(request.caller, event, request.body).await?))
}

/// `GET /api/fixtures/{fixture}`
pub async fn show(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Ids(path): Ids<FixturePath>,
) -> Result<Response, Error> {
    if path.event.is_some() {
        app.store.authorise(actor.clone(), path.event, Thing::Fixture(path.fixture), Wish::Read).await?;
    }
    Ok(shown(&app.store.fixture(actor, path.fixture).await?))
}

/// `PATCH /api/fixtures/{fixture}`: another time, place, round or team.
pub async fn edit(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(path): Ids<FixturePath>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, path.event, Thing::Fixture(path.fixture), Wish::Manage).await?;
    let request = write.body::<EditFixture>().await?;
    Ok(changed(&app.store.edit_fixture(request.caller, path.fixture, request.expected, request.body).await?))
}

/// `DELETE /api/fixtures/{fixture}`
pub async fn delete(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(path): Ids<FixturePath>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, path.event, Thing::Fixture(path.fixture), Wish::Manage).await?;
    let request = write.no_body().await?;
    Ok(deleted(&app.store.delete_fixture(request.caller, path.fixture, request.expected).await?))
}

/// `POST /api/fixtures/{fixture}/start` and its kin: takes the match to another state.
pub fn command(command: MatchCommand) -> MethodRouter<App> {
    let wish = match command {
        MatchCommand::Start | MatchCommand::Pause | MatchCommand::Finish => Wish::Score,
        MatchCommand::Abandon | MatchCommand::Postpone | MatchCommand::Cancel | MatchCommand::Restore => Wish::Manage,
    };
    post(async move |State(app): State<App>, SignedIn(by): SignedIn, Ids(path): Ids<FixturePath>, write: Write| {
        let write = write.permitted(&app, by, path.event, Thing::Fixture(path.fixture), wish).await?;
        let request = write.no_body().await?;
        let done = app.store.command_fixture(request.caller, path.fixture, request.expected, command).await?;
        Ok::<_, Error>(changed(&done))
    })
}
