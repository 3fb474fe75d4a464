//! `timely watch`: the dashboard.

use crate::context::Context;
use crate::discovery::Need;
use crate::error::CliError;
use crate::output::Output;

/// Show the event live on a dashboard
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  timely watch
  timely watch --event \"Harbour Cup\"")]
pub(crate) struct WatchArgs {}

pub(crate) async fn run(WatchArgs {}: WatchArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    if !out.is_terminal() {
        return Err(CliError::usage("the dashboard needs a terminal").hint("Off one: timely tail, timely standings"));
    }
    let client = context.client(Need::Read, out).await?;
    let event = context.event(&client, out).await?;
    let signs = timely_tui::Signs::of_environment();
    let options = timely_tui::WatchOptions { client, event, colour: out.is_coloured(), signs };
    timely_tui::run(options).await.map_err(|error| CliError::failure(format!("{error:#}")))
}
