//! stub
#![allow(clippy::all, clippy::pedantic, unused, missing_debug_implementations)]
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
#[derive(Clone)]
pub struct Live;
impl Live {
    pub fn start(store: crate::store::Store, clock: Arc<crate::clock::Clock>, shutdown: CancellationToken) -> Self {
        Self
    }
    pub async fn drained(&self) {}
}
pub fn routes() -> axum::Router<crate::App> {
    axum::Router::new()
}
