//! tui
#![expect(missing_debug_implementations, reason = "stands in until the dashboard is merged")]

pub struct WatchOptions {
    pub client: timely_client::Client,
    pub event: timely_core::event::Event,
    pub colour: bool,
}

pub async fn run(_: WatchOptions) -> anyhow::Result<()> {
    Ok(())
}
