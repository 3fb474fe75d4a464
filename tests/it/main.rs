//! Stories told from outside: a real server, a real file, real sockets.

mod access;
mod announcements;
mod bad_input;
mod defects;
mod golden;
mod guide;
mod layering;
mod order;
mod progression;
mod resume;
mod server;
mod stopping;
mod stream;
mod versions;
