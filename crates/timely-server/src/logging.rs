//! Logs on stderr, for the person on duty: one line where a failure is handled.

use std::io::IsTerminal as _;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Names what is logged, for example `warn` or `info,timely_server::store=debug`.
const VARIABLE: &str = "TIMELY_LOG";

/// Starts logging. Once per process; a program that has its own subscriber keeps it.
pub fn start() {
    let wanted = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let parsed = wanted.as_deref().map(str::parse::<Targets>).transpose();
    let targets = match &parsed {
        Ok(Some(targets)) => targets.clone(),
        Ok(None) | Err(_) => Targets::new().with_default(LevelFilter::from_level(Level::INFO)),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let started = tracing_subscriber::registry().with(targets).with(lines).try_init().is_ok();
    if started && let Err(error) = parsed {
        tracing::warn!("{VARIABLE} is not understood ({error}); write for example {VARIABLE}=info,timely_server=debug");
    }
}
