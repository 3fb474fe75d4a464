//! The terminal: taken for the time of the dashboard, given back however it ends.

use std::io;

use ratatui::{DefaultTerminal, Frame};

/// A terminal in raw mode on its alternate screen; dropping it restores what was there. A panic
/// restores it too, before its message is printed.
#[derive(Debug)]
pub struct Screen(DefaultTerminal);

impl Screen {
    pub fn open() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }

    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(draw).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
