//! The event server: one SQLite file, an HTTP API, and live streams over WebSocket and SSE.
//!
//! A change goes one way: handler → store (one transaction, rows and change-log rows) → publisher
//! → hub → session → socket. Handlers never publish, the hub never reads tables, the store never
//! sees axum.

pub mod clock;
pub mod config;
pub mod error;
pub mod store;
