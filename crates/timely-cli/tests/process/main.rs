//! The program `timely` as people and scripts run it: arguments, output, exit codes, signals.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod crash;
mod demo;
mod desk;
mod program;
