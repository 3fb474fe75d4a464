//! The terminal, taken over and given back.
//!
//! It is given back on every way out: the end, an error, a panic, a signal (which ends the loop). A
//! shell left in raw mode on a venue's machine costs a reboot.

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};
use std::panic;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, ThreadId};

use crossterm::cursor::Show;
use crossterm::execute;
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;

use crate::app::App;
use crate::view;

/// A frame is written in one piece if it fits.
const FRAME_BYTES: usize = 64 * 1024;
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

/// The terminal while the dashboard has it.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When there is none, or it does not obey.
    pub(crate) fn enter() -> io::Result<Self> {
        if !io::stdout().is_terminal() {
            return Err(io::Error::other(
                "the dashboard needs a terminal; for a pipe or a file use `timely tail` or `timely standings`",
            ));
        }
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
        let backend = CrosstermBackend::new(BufWriter::with_capacity(FRAME_BYTES, io::stdout()));
        let mut screen = Self { terminal: Terminal::new(backend)? };
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        screen.clear()?;
        Ok(screen)
    }

    /// Draws the state.
    pub(crate) fn draw(&mut self, app: &App) -> io::Result<()> {
        // Written in one go and shown at once: half a frame is never seen.
        crossterm::queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| view::draw(frame, app))?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Draws everything anew with the next frame.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        // Not by ratatui's `clear`: it asks the terminal where its cursor is and fails without an
        // answer, which some terminals never give. A resize to the same size clears and asks nothing.
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Rings the terminal's bell.
    pub(crate) fn ring(&mut self) -> io::Result<()> {
        let out = self.terminal.backend_mut();
        out.write_all(b"\x07")?;
        io::Write::flush(out)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
        for words in std::mem::take(&mut taken().panics) {
            eprintln!("{words}");
        }
    }
}

fn give_back() {
    if taken().by.take().is_some() {
        // Nothing is left to do about a terminal that does not take this: it is gone.
        let _ = execute!(io::stdout(), EndSynchronizedUpdate, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}
