//! `/api/events/{event}/results/` and `/api/fixtures/{fixture}/result`: what was played.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{MethodRouter, post};
use serde::Deserialize;
use timely_core::body::PutResult;
use timely_core::id::{EventId, FixtureId};

use crate::App;
use crate::auth::{MaybeSignedIn, SignedIn};
use crate::error::Error;
use crate::extract::{Ids, PageQuery, Query, Write};
use crate::http::{Tag, changed, shown, tagged};
use crate::store::{AsOf, Judgement, Thing, Wish};

/// `GET /api/events/{event}/results`
pub async fn list(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Ids(event): Ids<EventId>,
    query: Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let page = query.and_then(PageQuery::paging).of_event(&app, &actor, event).await?;
    let AsOf { pos, value } = app.store.results(actor, event, page).await?;
    Ok(tagged(&headers, &Tag::new(app.store.epoch(), pos).which(Some(page.named())), &value))
}

/// `GET /api/fixtures/{fixture}/result`
pub async fn show(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Ids(fixture): Ids<FixtureId>,
) -> Result<Response, Error> {
    Ok(shown(&app.store.result(actor, fixture).await?))
}

/// `PUT /api/fixtures/{fixture}/result`: enters or corrects a result.
pub async fn put(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(fixture): Ids<FixtureId>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, None, Thing::Fixture(fixture), Wish::Score).await?;
    let request = write.body::<PutResult>().await?;
    Ok(changed(&app.store.put_result(request.caller, fixture, request.expected, request.body).await?))
}

/// Query of the removal of a result.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovalQuery {
    /// Why; kept with the history.
    reason: Option<String>,
}

/// `DELETE /api/fixtures/{fixture}/result`: answers with the annulled result, not with 204.
pub async fn annul(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(fixture): Ids<FixtureId>,
    query: Query<RemovalQuery>,
    write: Write,
) -> Result<Response, Error> {
    let write = write.permitted(&app, by, None, Thing::Fixture(fixture), Wish::Manage).await?;
    let request = write.no_body().await?;
    let reason = query.known()?.reason;
    Ok(changed(&app.store.annul_result(request.caller, fixture, request.expected, reason).await?))
}

/// `POST /api/fixtures/{fixture}/result/verify` (somebody checked it; the state stays), `finalise`
/// (it is official) and `reopen` (it is provisional again).
pub fn judge(verdict: Judgement) -> MethodRouter<App> {
    let wish = match verdict {
        Judgement::Verify => Wish::Score,
        Judgement::Finalise | Judgement::Reopen => Wish::Manage,
    };
    post(async move |State(app): State<App>, SignedIn(by): SignedIn, Ids(fixture): Ids<FixtureId>, write: Write| {
        let write = write.permitted(&app, by, None, Thing::Fixture(fixture), wish).await?;
        let request = write.no_body().await?;
        let done = app.store.judge_result(request.caller, fixture, request.expected, verdict).await?;
        Ok::<_, Error>(changed(&done))
    })
}
