//! Whether the server lives, and whether it can be used.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use timely_core::body::Health;
use timely_core::running::ServerKind;

use crate::App;
use crate::error::Error;

/// `GET /healthz`: the process answers. It asks nothing of the database.
pub async fn alive(State(app): State<App>) -> Json<Health> {
    Json(health("ok", &app))
}

/// `GET /readyz`: a write can be committed and the server is not about to stop.
pub async fn ready(State(app): State<App>) -> Result<(StatusCode, Json<Health>), Error> {
    if app.shutdown.is_cancelled() {
        return Err(Error::Unavailable("the server is stopping; connect again in a moment".to_owned()));
    }
    app.store.ready().await?;
    Ok((StatusCode::OK, Json(health("ready", &app))))
}

fn health(status: &str, app: &App) -> Health {
    Health {
        status: status.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        load_test: app.site.load_test,
        demo: app.site.kind == ServerKind::Demo,
    }
}
