//! `/api/events/`: the sports events.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use timely_core::body::{EditEvent, NewEvent, Page};
use timely_core::event::Event;
use timely_core::id::EventId;

use crate::App;
use crate::auth::{MaybeSignedIn, SignedIn};
use crate::error::Error;
use crate::extract::{Ids, PageQuery, Query, Write};
use crate::http::{changed, created, deleted, shown};
use crate::store::{Thing, Wish};

/// `GET /api/events/`: those the caller may read.
pub async fn list(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    query: Query<PageQuery>,
) -> Result<Json<Page<Event>>, Error> {
    let page = query.and_then(PageQuery::paging).known()?;
    app.store.events(actor, page).await.map(Json)
}

/// `POST /api/events/`
pub async fn create(State(app): State<App>, SignedIn(by): SignedIn, write: Write) -> Result<Response, Error> {
    let write = write.permitted(&app, by, None, Thing::Server, Wish::Manage).await?;
    let request = write.body::<NewEvent>().await?;
    Ok(created(&app.store.create_event(request.caller, request.body).await?))
}

/// `GET /api/events/{event}`
pub async fn show(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Ids(event): Ids<EventId>,
) -> Result<Response, Error> {
    Ok(shown(&app.store.event(actor, event).await?))
}

/// `PATCH /api/events/{event}`
pub async fn edit(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(event): Ids<EventId>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, None, Thing::Event(event), Wish::Manage).await?;
    let request = write.body::<EditEvent>().await?;
    Ok(changed(&app.store.edit_event(request.caller, event, request.body).await?))
}

/// `POST /api/events/{event}/cancel`
pub async fn cancel(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(event): Ids<EventId>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, None, Thing::Event(event), Wish::Manage).await?;
    let request = write.no_body().await?;
    Ok(changed(&app.store.cancel_event(request.caller, event).await?))
}

/// `DELETE /api/events/{event}`
pub async fn delete(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(event): Ids<EventId>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, None, Thing::Event(event), Wish::Manage).await?;
    let request = write.no_body().await?;
    Ok(deleted(&app.store.delete_event(request.caller, event).await?))
}
