//! The roles of styles and signs: the only place that names a colour.
//!
//! Only the sixteen named colours on the terminal's own foreground and background; never white,
//! black, blue or yellow text, which vanish on some terminal, and red for emergencies alone. Every
//! meaning stands in words too, so that without colours nothing is lost.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

use crate::Signs;
use crate::app::App;
use crate::link::Health;

/// A frame that is one on any terminal.
const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};
/// The frame of an emergency.
const HASHES: border::Set<'static> = border::Set {
    top_left: "#",
    top_right: "#",
    bottom_left: "#",
    bottom_right: "#",
    vertical_left: "#",
    vertical_right: "#",
    horizontal_top: "#",
    horizontal_bottom: "#",
};

/// Styles and signs by role.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    colour: bool,
    signs: Signs,
}

impl Theme {
    pub(crate) const fn of(app: &App) -> Self {
        Self { colour: app.colour, signs: app.signs }
    }

    /// Titles, scores, rows that have just changed, high announcements.
    #[expect(clippy::unused_self, reason = "a role like the others")]
    pub(crate) const fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is old, or of little weight.
    #[expect(clippy::unused_self, reason = "a role like the others")]
    pub(crate) const fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What is being played.
    pub(crate) const fn live(self) -> Style {
        self.tinted(Color::Cyan)
    }

    /// A connection that is as it should be.
    pub(crate) const fn good(self) -> Style {
        self.tinted(Color::Green)
    }

    /// A connection that is not, and what else went wrong.
    pub(crate) const fn bad(self) -> Style {
        self.tinted(Color::Magenta).add_modifier(Modifier::REVERSED)
    }

    /// Urgent announcements, and the pane in front.
    #[expect(clippy::unused_self, reason = "a role like the others")]
    pub(crate) const fn loud(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD).add_modifier(Modifier::REVERSED)
    }

    /// Emergencies, and nothing else.
    pub(crate) const fn emergency(self) -> Style {
        self.tinted(Color::Red).add_modifier(Modifier::REVERSED)
    }

    /// The frame of a pane.
    pub(crate) const fn border(self) -> border::Set<'static> {
        match self.signs {
            Signs::Unicode => border::PLAIN,
            Signs::Ascii => ASCII_BORDER,
        }
    }

    /// The frame of an urgent announcement.
    pub(crate) const fn loud_border(self) -> border::Set<'static> {
        match self.signs {
            Signs::Unicode => border::DOUBLE,
            Signs::Ascii => ASCII_BORDER,
        }
    }

    /// The frame of an emergency.
    #[expect(clippy::unused_self, reason = "a role like the others")]
    pub(crate) const fn emergency_border(self) -> border::Set<'static> {
        HASHES
    }

    /// The sign of a connection.
    pub(crate) const fn sign(self, health: Health) -> &'static str {
        match (self.signs, health) {
            (Signs::Unicode, Health::Full) => "●",
            (Signs::Unicode, Health::Half) => "◐",
            (Signs::Unicode, Health::None) => "○",
            (Signs::Ascii, Health::Full) => "*",
            (Signs::Ascii, Health::Half) => "+",
            (Signs::Ascii, Health::None) => "o",
        }
    }

    const fn tinted(self, colour: Color) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.colour { style.fg(colour) } else { style }
    }
}
