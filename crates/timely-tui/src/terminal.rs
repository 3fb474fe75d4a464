//! The terminal, taken over and given back.
//!
//! It is given back on every way out: the end, an error, a panic, a signal (which ends the loop). A
//! shell left in raw mode on a venue's machine costs a reboot.

use std::io::{self, IsTerminal as _, Stdout, Write};
use std::panic;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, ThreadId};

use crossterm::cursor::{Hide, Show};
use crossterm::style::{Attribute, SetAttribute, force_color_output};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::view;

/// Panics of other threads that are kept until the terminal is free; what follows them is noise.
const PANICS_MAX: usize = 8;

/// Who has taken the terminal, and what has to wait for it.
#[derive(Debug)]
struct Taken {
    by: Option<ThreadId>,
    /// Words of panics in threads that do not end the dashboard, such as those of an embedded server:
    /// they would be written across the screen.
    panics: Vec<String>,
}

static TAKEN: Mutex<Taken> = Mutex::new(Taken { by: None, panics: Vec::new() });
static HOOK: Once = Once::new();

fn taken() -> MutexGuard<'static, Taken> {
    // Every value is whole: nothing panics while it is held.
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Brings the state on the screen, and writes no more than what differs from what is there.
#[derive(Debug)]
struct Painter<W> {
    out: W,
    /// What is on the screen; `None` when that is not known.
    shown: Option<Buffer>,
}

impl<W: Write> Painter<W> {
    const fn new(out: W) -> Self {
        Self { out, shown: None }
    }

    fn paint(&mut self, app: &App, area: Rect) -> io::Result<()> {
        let mut wanted = Buffer::empty(area);
        view::draw(&mut wanted, app);
        let shown = self.shown.take().filter(|shown| shown.area == area);
        let is_anew = shown.is_none();
        let shown = shown.unwrap_or_else(|| Buffer::empty(area));
        let changes = shown.diff(&wanted);
        if is_anew || !changes.is_empty() {
            // Collected first, shown at once: half a frame is never seen, and after a panic or a failure
            // nothing of it is left that could reach a terminal that has been given back.
            let mut frame = Vec::new();
            queue!(frame, BeginSynchronizedUpdate)?;
            if is_anew {
                queue!(frame, Clear(ClearType::All))?;
            }
            CrosstermBackend::new(&mut frame).draw(changes.into_iter())?;
            queue!(frame, EndSynchronizedUpdate)?;
            self.send(&frame)?;
        }
        self.shown = Some(wanted);
        Ok(())
    }

    fn ring(&mut self) -> io::Result<()> {
        self.send(b"\x07")
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }
}

/// The terminal while the dashboard has it.
#[derive(Debug)]
pub(crate) struct Screen {
    painter: Painter<Stdout>,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When there is none, or it does not obey.
    pub(crate) fn enter(colour: bool) -> io::Result<Self> {
        if !io::stdout().is_terminal() {
            return Err(io::Error::other(
                "the dashboard needs a terminal; for a pipe or a file use `timely tail` or `timely standings`",
            ));
        }
        // Whoever starts the dashboard has decided; the library would look at NO_COLOR again.
        force_color_output(colour);
        HOOK.call_once(|| {
            let previous = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                let by = taken().by;
                if by == Some(thread::current().id()) {
                    give_back();
                    previous(info);
                } else if by.is_some() {
                    let panics = &mut taken().panics;
                    if panics.len() < PANICS_MAX {
                        panics.push(info.to_string());
                    }
                } else {
                    previous(info);
                }
            }));
        });
        taken().by = Some(thread::current().id());
        // Made before anything is changed: from here on, dropping it gives everything back.
        let screen = Self { painter: Painter::new(io::stdout()) };
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Draws the state.
    pub(crate) fn draw(&mut self, app: &App) -> io::Result<()> {
        let (width, height) = size()?;
        self.painter.paint(app, Rect::new(0, 0, width, height))
    }

    /// Draws everything anew with the next frame: what is on the screen is not known any more.
    pub(crate) fn forget(&mut self) {
        self.painter.shown = None;
    }

    /// Rings the terminal's bell.
    pub(crate) fn ring(&mut self) -> io::Result<()> {
        self.painter.ring()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
        for words in std::mem::take(&mut taken().panics) {
            // As `eprintln!`, which would panic where there is nobody left to read it.
            let _ = writeln!(io::stderr(), "{words}");
        }
    }
}

fn give_back() {
    if taken().by.take().is_some() {
        // Nothing is left to do about a terminal that does not take this: it is gone.
        let _ =
            execute!(io::stdout(), EndSynchronizedUpdate, SetAttribute(Attribute::Reset), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{Desk, NOW, result, status};

    const AREA: Rect = Rect::new(0, 0, 160, 50);

    fn written(painter: &mut Painter<Vec<u8>>, desk: &Desk) -> String {
        painter.paint(&desk.app, AREA).unwrap();
        String::from_utf8(std::mem::take(&mut painter.out)).unwrap()
    }

    #[test]
    fn only_what_differs_is_written() {
        let mut desk = Desk::of_the_evening();
        let mut painter = Painter::new(Vec::new());
        let first = written(&mut painter, &desk);
        assert!(first.starts_with("\x1b[?2026h\x1b[2J") && first.ends_with("\x1b[?2026l"), "in one piece");
        assert_eq!(written(&mut painter, &desk), "", "the same again");
        desk.hear(&result(96, 44, (2, 2), "LIVE", &[], NOW));
        let goal = written(&mut painter, &desk);
        assert!(!goal.contains("\x1b[2J") && goal.contains('2') && goal.len() < first.len() / 4, "{goal:?}");
        painter.shown = None;
        assert!(written(&mut painter, &desk).contains("\x1b[2J"), "what is on the screen is not known any more");
        painter.ring().unwrap();
        assert_eq!(painter.out, b"\x07");
    }

    #[test]
    fn an_idle_minute_writes_next_to_nothing() {
        let mut desk = Desk::of_the_evening();
        desk.hear(&status(NOW, 1.0));
        let mut painter = Painter::new(Vec::new());
        let first = written(&mut painter, &desk);
        let (mut bytes, mut frames) = (0, 0);
        for second in 1..=60_i64 {
            desk.wait(1);
            if second % 5 == 0 {
                let time: jiff::Timestamp = NOW.parse().unwrap();
                let time = time + jiff::SignedDuration::from_secs(second);
                desk.hear(&status(&time.to_string(), 1.0));
                desk.update(crate::app::Message::Live(crate::app::Live::RoundTrip(Duration::from_millis(220))));
            }
            let frame = written(&mut painter, &desk);
            bytes += frame.len();
            frames += usize::from(!frame.is_empty());
        }
        // The round trip once, the banner of two announcements in turn, the clock and the waits once.
        assert!(frames <= 12, "{frames} frames");
        assert!(bytes < 4_096, "{bytes} bytes in {frames} frames; the first one had {}", first.len());
        assert!(bytes > 0, "the clock has gone on by a minute");
    }

    #[test]
    fn a_terminal_that_fails_is_told_and_drawn_anew_later() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut painter = Painter::new(Broken);
        let error = painter.paint(&Desk::of_the_evening().app, AREA).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(painter.shown.is_none(), "nobody knows what has arrived");
    }
}
