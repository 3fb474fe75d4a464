//! `timely-server`: the same server as `timely serve`.

use clap::Parser;
use timely_server::ServeOptions;
use timely_server::config::Config;

/// Run a Timely event server
#[derive(Debug, Parser)]
#[command(name = "timely-server", version)]
struct Args {
    #[command(flatten)]
    config: Config,

    /// Print one JSON object once the server answers
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Args { config, json } = Args::parse();
    timely_server::logging::start();
    timely_server::run(ServeOptions { config, json }).await
}
