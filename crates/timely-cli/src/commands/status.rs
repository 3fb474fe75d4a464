//! `timely status`: which servers run, who we are to them, and where their events stand.

use serde::Serialize;
use timely_client::Client;
use timely_core::body::{Health, Me};
use timely_core::event::Event;
use timely_core::fixture::{FixtureStatus, ScheduleItem};

use crate::commands::event::days;
use crate::context::Context;
use crate::discovery::{self, Need};
use crate::error::CliError;
use crate::output::{Output, Table};

/// Show the servers running here and where their events stand
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  timely status
  timely status --server http://127.0.0.1:8000 --json")]
pub(crate) struct StatusArgs {}

#[derive(Serialize)]
struct Server {
    address: String,
    health: Health,
    /// Null without a credential.
    me: Option<Me>,
    events: Vec<EventStatus>,
}

#[derive(Serialize)]
struct EventStatus {
    event: Event,
    fixtures: usize,
    live: usize,
    finished: usize,
}

pub(crate) async fn run(StatusArgs {}: StatusArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let mut servers = Vec::new();
    let is_named = context.globals.server.is_some() || discovery::text(&context.env, "TIMELY_SERVER").is_some();
    let running = discovery::running(&context.env);
    if is_named || running.is_empty() {
        servers.push(look(&context.client(Need::Read, out).await?).await?);
    } else {
        for server in &running {
            let client = Client::new(&server.address, Some(&server.token))?;
            match look(&client).await {
                Ok(server) => servers.push(server),
                Err(error) if running.len() == 1 => return Err(error),
                // One that hangs does not hide the others.
                Err(error) => out.note(&error.message)?,
            }
        }
    }
    if out.is_json() {
        return out.json(&serde_json::json!({ "servers": servers }));
    }
    let mut table =
        Table::new(&["server", "version", "as", "event", "name", "dates", ">fixtures", ">live", ">finished"]);
    for server in &servers {
        let kind = match (server.health.demo, server.health.load_test) {
            (true, _) => " DEMO",
            (false, true) => " LOAD TEST",
            (false, false) => "",
        };
        let version = format!("{}{kind}", server.health.version);
        let role = server.me.as_ref().map_or_else(|| "anonymous".to_owned(), |me| me.role.to_string());
        if server.events.is_empty() {
            let none = ["-", "no event yet", "-", "0", "0", "0"].map(str::to_owned);
            let [event, name, dates, fixtures, live, finished] = none;
            table.row([
                server.address.clone(),
                version.clone(),
                role.clone(),
                event,
                name,
                dates,
                fixtures,
                live,
                finished,
            ]);
        }
        for EventStatus { event, fixtures, live, finished } in &server.events {
            table.row([
                server.address.clone(),
                version.clone(),
                role.clone(),
                event.id.to_string(),
                event.name.clone(),
                days(event),
                fixtures.to_string(),
                live.to_string(),
                finished.to_string(),
            ]);
        }
    }
    out.table(&table)
}

async fn look(client: &Client) -> Result<Server, CliError> {
    let health = client.health().await?;
    let me = if client.has_token() { Some(client.me().await?) } else { None };
    let mut events = Vec::new();
    for event in client.events().await? {
        let fixtures = client.fixtures(event.id).await?;
        let count = |is: fn(&ScheduleItem) -> bool| fixtures.iter().filter(|fixture| is(fixture)).count();
        events.push(EventStatus {
            event,
            fixtures: fixtures.len(),
            live: count(|fixture| matches!(fixture.status, FixtureStatus::Live | FixtureStatus::Paused)),
            finished: count(|fixture| fixture.status == FixtureStatus::Finished),
        });
    }
    Ok(Server { address: client.address().to_owned(), health, me, events })
}
