//! `timely watch`: the dashboard that stands on a desk all day.
//!
//! [`app::App`] is everything known and changes only in its `update`; [`view::draw`] is a function of
//! it. [`run`] connects the two to a terminal and to a server. What a message means is settled in
//! `timely-core`, how a stream goes on after a cut in `timely-client`.

pub mod app;
pub mod keys;
pub mod terminal;
pub mod view;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use crossterm::event::{Event as TerminalEvent, EventStream, KeyEventKind};
use futures_util::StreamExt as _;
use timely_client::live::{About, Subscription, Target, Version};
use timely_client::{Client, Error};
use timely_core::event::Event;
use timely_core::topic::Stream;

use crate::app::{App, Message};

/// How often the screen is drawn although nothing happened: ages and clocks go on.
const TICK: Duration = Duration::from_secs(1);
/// Shortest time between two drawings.
const FRAME: Duration = Duration::from_millis(100);

/// What to watch.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// A client with the viewer's credential.
    pub client: Client,
    pub event: Event,
    /// Whether colours may be used; words carry every meaning without them.
    pub colour: bool,
}

/// Shows the dashboard until `q`, Ctrl-C, or the server's final word.
///
/// # Errors
/// When there is no terminal, or the server does not want this viewer.
pub async fn run(options: WatchOptions) -> anyhow::Result<()> {
    let WatchOptions { client, event, colour } = options;
    crossterm::style::force_color_output(colour);
    let streams = vec![Stream::Results, Stream::Schedule, Stream::Announcements];
    let target = Target { about: About::Event(event.id), streams, since: None, version: Version::V2 };
    let mut subscription = Subscription::new(&client, target);
    let began = Instant::now();
    let mut app = App::new(event);
    let mut screen = terminal::Screen::open().context("the dashboard needs a terminal")?;
    let mut input = EventStream::new();
    let mut tick = tokio::time::interval(TICK);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut drawn: Option<Instant> = None;
    let mut is_stale = true;
    while !app.is_over() {
        let may_draw_in = drawn.map_or(Duration::ZERO, |drawn| FRAME.saturating_sub(drawn.elapsed()));
        tokio::select! {
            () = tokio::time::sleep(may_draw_in), if is_stale => {
                screen.draw(|frame| view::draw(frame, &app))?;
                drawn = Some(Instant::now());
                is_stale = false;
                continue;
            }
            update = subscription.next() => {
                let message = match update {
                    Ok(update) => Message::Live(update),
                    Err(error) => return Err(last_word(error)),
                };
                app.update(message, began.elapsed());
            }
            typed = input.next() => match typed {
                Some(Ok(TerminalEvent::Key(key))) if key.kind != KeyEventKind::Release => {
                    if let Some(intent) = keys::intent(key) {
                        if intent == keys::Intent::Retry {
                            subscription.retry_now();
                        }
                        app.update(Message::Intent(intent), began.elapsed());
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error).context("the terminal cannot be read"),
                None => return Ok(()),
            },
            _ = tick.tick() => app.update(Message::Tick, began.elapsed()),
            _ = terminate.recv() => return Ok(()),
        }
        is_stale = true;
    }
    Ok(())
}

fn last_word(error: Error) -> anyhow::Error {
    anyhow::Error::new(error).context("the server does not show this event (any more)")
}
