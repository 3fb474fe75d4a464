//! `/api/tokens/` and `/api/me/`: credentials, and who the caller is.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use timely_core::body::{Me, NewToken, Page, TokenInfo};
use timely_core::id::{EventId, TokenId};

use crate::App;
use crate::auth::SignedIn;
use crate::error::Error;
use crate::extract::{Ids, Query, Write, paging};
use crate::http::{created, deleted};
use crate::store::{Thing, Wish};

/// Query of the list of tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokensQuery {
    event_id: Option<EventId>,
    limit: Option<usize>,
    after: Option<i64>,
}

/// `GET /api/tokens/`: without their secrets.
pub async fn list(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    query: Query<TokensQuery>,
) -> Result<Json<Page<TokenInfo>>, Error> {
    // 403 comes before a word about the query.
    app.store.authorise(Some(by.clone()), None, Thing::Tokens, Wish::Manage).await?;
    let TokensQuery { event_id, limit, after } = query.known()?;
    app.store.tokens(Some(by), event_id, paging(limit, after)?).await.map(Json)
}

/// `POST /api/tokens/`: the only answer that ever holds the secret.
pub async fn create(State(app): State<App>, SignedIn(by): SignedIn, write: Write) -> Result<Response, Error> {
    let write = write.permitted(&app, by, None, Thing::Tokens, Wish::Manage).await?;
    let request = write.body::<NewToken>().await?;
    Ok(created(&app.store.create_token(request.caller, request.body).await?))
}

/// `DELETE /api/tokens/{token}`: ends the token and every stream that was opened with it.
pub async fn revoke(
    State(app): State<App>,
    SignedIn(by): SignedIn,
    Ids(token): Ids<TokenId>,
    write: Write,
) -> Result<Response, Error> {
    // Whose token it is decides, and that the store knows: there is no body that could be judged first.
    let request = write.unjudged(&app, by).no_body().await?;
    Ok(deleted(&app.store.revoke_token(request.caller, token).await?))
}

/// `GET /api/me/`
pub async fn me(SignedIn(by): SignedIn) -> Json<Me> {
    Json(Me {
        user_id: by.user,
        name: by.name,
        role: by.role,
        token_id: by.token,
        event_id: by.event,
        area: by.area,
        team_id: by.team,
        expires_at: by.expires_at,
    })
}
