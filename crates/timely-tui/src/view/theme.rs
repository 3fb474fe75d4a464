//! The roles of styles: the only place that names a colour.
//!
//! Only the sixteen named colours on the terminal's own foreground and background; never white,
//! black, blue or yellow text, which vanish on some terminal. Every meaning stands in words too, so
//! that without colours nothing is lost.

use ratatui::style::{Color, Modifier, Style};

use crate::app::App;

/// Styles by role.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    colour: bool,
}

impl Theme {
    pub(crate) const fn of(app: &App) -> Self {
        Self { colour: app.colour }
    }

    /// Titles, and what is being played.
    #[expect(clippy::unused_self, reason = "a role like the others")]
    pub(crate) const fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is old, or of little weight.
    #[expect(clippy::unused_self, reason = "a role like the others")]
    pub(crate) const fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// A connection that is as it should be.
    pub(crate) const fn good(self) -> Style {
        self.tinted(Color::Green)
    }

    /// A connection that is not, and what else went wrong.
    pub(crate) const fn bad(self) -> Style {
        self.tinted(Color::Magenta).add_modifier(Modifier::REVERSED)
    }

    /// High and urgent announcements.
    #[expect(clippy::unused_self, reason = "a role like the others")]
    pub(crate) const fn loud(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD).add_modifier(Modifier::REVERSED)
    }

    /// Emergencies, and nothing else.
    pub(crate) const fn emergency(self) -> Style {
        self.tinted(Color::Red)
    }

    const fn tinted(self, colour: Color) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.colour { style.fg(colour) } else { style }
    }
}
