//! `timely-tui`: the same dashboard as `timely watch`, for machines that only show.

use clap::Parser;
use timely_client::Client;
use timely_core::id::EventId;
use timely_tui::WatchOptions;

/// Watch an event live
#[derive(Debug, Parser)]
#[command(name = "timely-tui", version)]
struct Args {
    /// Address of the server
    #[arg(long, env = "TIMELY_SERVER", default_value = "http://127.0.0.1:8000", value_name = "URL")]
    server: String,

    /// File with a token, for an event that is not public
    #[arg(long, env = "TIMELY_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<std::path::PathBuf>,

    /// Id of the event
    #[arg(long, env = "TIMELY_EVENT", default_value = "1", value_name = "ID")]
    event: EventId,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Args { server, token_file, event } = Args::parse();
    let token = token_file.map(std::fs::read_to_string).transpose()?.map(|token| token.trim().to_owned());
    let client = Client::new(&server, token.as_deref())?;
    let event = client.event(event).await?;
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    timely_tui::run(WatchOptions { client, event, colour }).await
}
