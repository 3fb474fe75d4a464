//! Words and rules of a sports event.
//!
//! An *event* is the sports event with its teams, venues and *fixtures*; a fixture has a *result*;
//! the *standings* are computed from results and never kept by hand. What was committed is a
//! *change* in the change log, announced on *topics* and carried to screens as *frames*.
//!
//! Absent on purpose: files, sockets, clocks, threads, async, SQL. Time comes in as an argument,
//! so that every rule can be tested without waiting and used by server, command line and dashboard
//! alike.

pub mod access;
pub mod announcement;
pub mod body;
pub mod cursor;
pub mod event;
pub mod fixture;
pub mod id;
pub mod live;
pub mod problem;
pub mod progression;
pub mod reference;
pub mod result;
pub mod running;
pub mod slot;
pub mod standings;
pub mod team;
pub mod text;
pub mod topic;
pub mod tournament;
pub mod venue;
mod word;
