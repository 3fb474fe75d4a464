//! `timely-server`: the same server as `timely serve`.

use std::process::ExitCode;

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
async fn main() -> ExitCode {
    let Args { config, json } = Args::parse();
    timely_server::logging::start();
    match timely_server::run(ServeOptions { config, json }).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line that says what to do; the way through the code helps nobody here.
            eprintln!("timely-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}
