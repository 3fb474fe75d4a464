//! `timely bench`: what a server carries, measured with its own protocol.
//!
//! [`swarm`] holds the subscribers and reads what they receive ([`wire`]), each with a [`ledger`] of
//! what it should have had; [`publisher`] writes through the API; [`host`] starts a server of its own
//! and reads what processes cost; [`report`] says what came of it. The command itself is
//! `commands/bench.rs`.

pub(crate) mod host;
pub(crate) mod ledger;
pub(crate) mod publisher;
pub(crate) mod report;
pub(crate) mod swarm;
pub(crate) mod wire;
