//! Stories told from outside: a real server, a real file, real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod access;
mod announcements;
mod bad_input;
mod browser;
mod cuts;
mod defects;
mod feed;
mod golden;
mod guide;
mod handover;
mod layering;
mod metrics;
mod network;
mod order;
mod page;
mod progression;
mod proxy;
mod resume;
mod server;
mod slow;
mod stopping;
mod stream;
mod versions;
