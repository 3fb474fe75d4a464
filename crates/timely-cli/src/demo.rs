//! `timely demo`: a real tournament, live, on a throw-away data file.

use crate::error::CliError;
use crate::output::Output;

/// Show a real tournament, live
#[derive(clap::Args, Clone, Debug)]
#[command(before_help = "Examples:\n  timely demo")]
pub struct DemoArgs {}

pub async fn run(_args: DemoArgs, _out: &mut Output) -> Result<(), CliError> {
    Ok(())
}
