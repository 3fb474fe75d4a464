//! `/api/events/{event}/venues/` and `/api/events/{event}/venues/{venue}`: places of an event.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use timely_core::body::{EditVenue, NewVenue, Page};
use timely_core::id::{EventId, VenueId};
use timely_core::venue::Venue;

use crate::App;
use crate::auth::{MaybeSignedIn, SignedIn};
use crate::error::Error;
use crate::extract::{Ids, PageQuery, Query, Write};
use crate::http::{changed, created, deleted, shown};
use crate::store::{Thing, Wish};

/// A venue below its event.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct VenuePath {
    event: EventId,
    venue: VenueId,
}

/// `GET /api/events/{event}/venues`
pub async fn list(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Ids(event): Ids<EventId>,
    query: Query<PageQuery>,
) -> Result<Json<Page<Venue>>, Error> {
    let page = query.and_then(PageQuery::paging).of_event(&app, &actor, event).await?;
    app.store.venues(actor, event, page).await.map(Json)
}

/// `POST /api/events/{event}/venues`
pub async fn create(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(event): Ids<EventId>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, None, Thing::Event(event), Wish::Manage).await?;
    let request = write.body::<NewVenue>().await?;
    Ok(created(&app.store.create_venue(request.caller, event, request.body).await?))
}

/// `GET /api/events/{event}/venues/{venue}`
pub async fn show(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Ids(path): Ids<VenuePath>,
) -> Result<Response, Error> {
    let venue = app.store.venue(actor, path.venue).await?;
    if path.event != venue.event_id {
        return Err(Error::NotFound);
    }
    Ok(shown(&venue))
}

/// `PATCH /api/events/{event}/venues/{venue}`
pub async fn edit(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(path): Ids<VenuePath>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, Some(path.event), Thing::Venue(path.venue), Wish::Manage).await?;
    let request = write.body::<EditVenue>().await?;
    Ok(changed(&app.store.edit_venue(request.caller, path.venue, request.body).await?))
}

/// `DELETE /api/events/{event}/venues/{venue}`
pub async fn delete(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(path): Ids<VenuePath>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, Some(path.event), Thing::Venue(path.venue), Wish::Manage).await?;
    let request = write.no_body().await?;
    Ok(deleted(&app.store.delete_venue(request.caller, path.venue).await?))
}
