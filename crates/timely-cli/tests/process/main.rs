//! The program `timely` as people and scripts run it: arguments, output, exit codes, signals.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod bench;
mod crash;
mod dashboard;
mod demo;
mod desk;
mod program;
#[path = "../../../../tests/it/proxy.rs"]
#[allow(dead_code, reason = "the other tests use the rest of it")]
mod proxy;
mod terminal;
