//! The loop: wait for one of the things that can happen, let the app take it in, do what it asks,
//! draw.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use crossterm::event::{Event as TerminalEvent, EventStream};
use futures_util::StreamExt as _;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::WatchOptions;
use crate::app::{App, Message, Request};
use crate::requests::Server;
use crate::terminal::Screen;

/// Ages and countdowns move by the second.
const TICK: Duration = Duration::from_secs(1);
/// Time between two frames: nobody reads faster, and a thin line to a remote terminal stays usable.
const FRAME_MIN: Duration = Duration::from_millis(100);

/// Shows the dashboard until somebody leaves it or a signal ends it.
pub(crate) async fn run(options: WatchOptions) -> anyhow::Result<()> {
    let mut stopped = pin!(stopped()?);
    let mut screen = Screen::enter(options.colour)?;
    let mut server = Server::new(options.client, options.event.id);
    let mut app = App::new(options.event, options.colour, options.signs, Instant::now());
    let mut events = EventStream::new();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut is_changed = true;
    let mut draw_at = tokio::time::Instant::now();
    loop {
        let message = tokio::select! {
            () = &mut stopped => return Ok(()),
            event = events.next() => match event {
                Some(Ok(TerminalEvent::Key(key))) => Message::Key(key),
                Some(Ok(TerminalEvent::Resize(..))) => {
                    // Some terminals move what they show, and the size may be back before it is drawn.
                    screen.forget();
                    Message::Resize
                }
                Some(Ok(
                    TerminalEvent::FocusGained
                    | TerminalEvent::FocusLost
                    | TerminalEvent::Mouse(_)
                    | TerminalEvent::Paste(_),
                )) => continue,
                Some(Err(error)) => return Err(error).context("cannot read the keyboard"),
                // Nobody can type any more: the terminal is gone.
                None => return Ok(()),
            },
            message = server.next() => message,
            _ = tick.tick() => Message::Tick,
            () = sleep_until(draw_at), if is_changed => {
                screen.draw(&app).context("cannot draw")?;
                is_changed = false;
                draw_at = tokio::time::Instant::now() + FRAME_MIN;
                continue;
            }
        };
        for request in app.update(message, Instant::now()) {
            match request {
                Request::Load { epoch } => server.load(epoch),
                Request::Reconnect => server.reconnect(),
                Request::Bell => screen.ring().context("cannot draw")?,
                Request::Redraw => screen.forget(),
                Request::Quit => return Ok(()),
            }
        }
        is_changed = true;
    }
}

/// Resolves when the process is told to end. The handlers are in place when this returns.
#[cfg(unix)]
fn stopped() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Resolves when the process is told to end.
#[cfg(not(unix))]
fn stopped() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
