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
            let client = Client::with_timeout(&server.address, Some(&server.token), context.timeout())?;
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
    if out.is_terminal() {
        for server in &servers {
            out.line(&format!("{}  {}  you are {}", server.address, server.version(), server.role()))?;
            let mut table = Table::new(&EVENT_COLUMNS);
            for event in &server.events {
                table.row(event.cells());
            }
            out.table(&table)?;
        }
        return Ok(());
    }
    let mut table = Table::new(&["server", "version", "as", "event", "name", "days", "fixtures", "live", "finished"]);
    for server in &servers {
        // A server without events is a row too.
        let none = server.events.is_empty().then(|| ["-", "-", "-", "0", "0", "0"].map(str::to_owned));
        for [id, name, days, fixtures, live, finished] in server.events.iter().map(EventStatus::cells).chain(none) {
            let (address, version, role) = (server.address.clone(), server.version(), server.role());
            table.row([address, version, role, id, name, days, fixtures, live, finished]);
        }
    }
    out.table(&table)
}

const EVENT_COLUMNS: [&str; 6] = [">event", "name", "days", ">fixtures", ">live", ">finished"];

impl Server {
    fn version(&self) -> String {
        let kind = match (self.health.demo, self.health.load_test) {
            (true, _) => " DEMO",
            (false, true) => " LOAD TEST",
            (false, false) => "",
        };
        format!("{}{kind}", self.health.version)
    }

    fn role(&self) -> String {
        self.me.as_ref().map_or_else(|| "anonymous".to_owned(), |me| me.role.to_string())
    }
}

impl EventStatus {
    fn cells(&self) -> [String; 6] {
        let Self { event, fixtures, live, finished } = self;
        let count = |count: &usize| count.to_string();
        [event.id.to_string(), event.name.clone(), days(event), count(fixtures), count(live), count(finished)]
    }
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
