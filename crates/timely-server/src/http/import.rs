//! `POST /api/events/import/`: a whole tournament in one transaction.

use axum::extract::State;
use axum::response::Response;
use timely_core::tournament::Tournament;

use crate::App;
use crate::auth::SignedIn;
use crate::config::IMPORT_BYTES_MAX;
use crate::error::Error;
use crate::extract::Write;
use crate::http::created;
use crate::store::{Thing, Wish};

/// Creates the event with its venues, teams, fixtures and results, or nothing at all.
pub async fn import(State(app): State<App>, SignedIn(by): SignedIn, write: Write) -> Result<Response, Error> {
    let write = write.permitted(&app, by, None, Thing::Server, Wish::Manage).await?;
    let request = write.body_up_to::<Tournament>(IMPORT_BYTES_MAX).await?;
    Ok(created(&app.store.import(request.caller, request.body).await?))
}
