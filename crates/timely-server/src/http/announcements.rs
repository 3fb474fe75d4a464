//! `/api/events/{event}/announcements/` and `/api/announcements/{announcement}`: what is said.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use timely_core::body::{EditAnnouncement, NewAnnouncement};
use timely_core::id::{AnnouncementId, EventId};

use crate::App;
use crate::auth::{MaybeSignedIn, SignedIn};
use crate::error::Error;
use crate::extract::{Ids, PageQuery, Query, Write};
use crate::http::{Tag, changed, created, deleted, shown, tagged};
use crate::store::{AsOf, Thing, Wish};

/// An announcement by its id alone, or below its event.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct AnnouncementPath {
    #[serde(default)]
    event: Option<EventId>,
    announcement: AnnouncementId,
}

/// `GET /api/events/{event}/announcements`: those meant for the caller.
pub async fn list(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Ids(event): Ids<EventId>,
    query: Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let page = query.and_then(PageQuery::paging).of_event(&app, &actor, event).await?;
    let AsOf { pos, value } = app.store.announcements(actor.clone(), event, page).await?;
    let tag = Tag::new(app.store.epoch(), pos).made_for(&actor).which(Some(page.named()));
    Ok(tagged(&headers, &tag, &value))
}

/// `POST /api/events/{event}/announcements`
pub async fn create(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(event): Ids<EventId>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, None, Thing::Event(event), Wish::Manage).await?;
    let request = write.body::<NewAnnouncement>().await?;
    Ok(created(&app.store.create_announcement(request.caller, event, request.body).await?))
}

/// `GET /api/announcements/{announcement}`
pub async fn show(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Ids(path): Ids<AnnouncementPath>,
) -> Result<Response, Error> {
    if path.event.is_some() {
        app.store.authorise(actor.clone(), path.event, Thing::Announcement(path.announcement), Wish::Read).await?;
    }
    Ok(shown(&app.store.announcement(actor, path.announcement).await?))
}

/// `PATCH /api/announcements/{announcement}`
pub async fn edit(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(path): Ids<AnnouncementPath>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, path.event, Thing::Announcement(path.announcement), Wish::Manage).await?;
    let request = write.body::<EditAnnouncement>().await?;
    let done = app.store.edit_announcement(request.caller, path.announcement, request.expected, request.body).await?;
    Ok(changed(&done))
}

/// `POST /api/announcements/{announcement}/withdraw`: takes it off every screen.
pub async fn withdraw(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(path): Ids<AnnouncementPath>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, path.event, Thing::Announcement(path.announcement), Wish::Manage).await?;
    let request = write.no_body().await?;
    Ok(changed(&app.store.withdraw_announcement(request.caller, path.announcement, request.expected).await?))
}

/// `DELETE /api/announcements/{announcement}`: the same as a withdrawal; what was said stays in the
/// history.
pub async fn delete(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(path): Ids<AnnouncementPath>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, path.event, Thing::Announcement(path.announcement), Wish::Manage).await?;
    let request = write.no_body().await?;
    Ok(deleted(&app.store.withdraw_announcement(request.caller, path.announcement, request.expected).await?))
}

/// `POST /api/announcements/{announcement}/broadcast`: says it again.
pub async fn broadcast(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(path): Ids<AnnouncementPath>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, path.event, Thing::Announcement(path.announcement), Wish::Manage).await?;
    let request = write.no_body().await?;
    Ok(changed(&app.store.broadcast_announcement(request.caller, path.announcement).await?))
}
