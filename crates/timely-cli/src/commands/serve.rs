//! `timely serve`: the server in the foreground, until Ctrl-C or SIGTERM.

use timely_server::ServeOptions;
use timely_server::config::Config;

use crate::error::CliError;
use crate::interrupt::Interrupt;
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
    let interrupt = Interrupt::listen();
    timely_server::run(ServeOptions { config: args.config, json: out.is_json() })
        .await
        .map_err(|error| CliError::failure(format!("{error:#}")))?;
    interrupt.ended()
}
