//! `timely serve`: the server in the foreground, until Ctrl-C or SIGTERM.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use timely_server::ServeOptions;
use timely_server::config::Config;

use crate::error::CliError;
use crate::output::Output;

/// Run the event server until Ctrl-C
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  timely serve                             on this computer, data in ./timely-data
  timely serve --lan                       for phones and screens in the hall too
  timely serve --data cup --listen 127.0.0.1:9000")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    config: Config,
}

pub(crate) async fn run(args: ServeArgs, out: &Output) -> Result<(), CliError> {
    timely_server::logging::start();
    // The server closes everything by itself; here only how it was told matters.
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    let listening = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            flag.store(true, Ordering::Relaxed);
        }
    });
    let served = timely_server::run(ServeOptions { config: args.config, json: out.is_json() }).await;
    listening.abort();
    served.map_err(|error| CliError::failure(format!("{error:#}")))?;
    if interrupted.load(Ordering::Relaxed) { Err(CliError::interrupted()) } else { Ok(()) }
}
