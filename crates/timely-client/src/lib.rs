//! Typed HTTP client and live stream of a Timely server.
//!
//! One method per endpoint on [`Client`], one [`live::Subscription`] per stream; the bodies are those
//! of `timely_core::body`. Nothing is retried behind the caller's back: a write that may have
//! happened answers [`Error::OutcomeUnknown`], and the same [`Client::with_key`] makes a second try safe.
//! What is asked, shown or queued is left to the command line and the dashboard.

mod api;
mod client;
mod error;
pub mod live;

pub use crate::client::{Answer, CONNECT_TIMEOUT, Client, Expected, REQUEST_TIMEOUT, new_key};
pub use crate::error::Error;
