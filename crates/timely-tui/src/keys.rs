//! Which key does what. The footer of the screen is made from the same table, so that no key is
//! shown that does nothing.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::app::Pane;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    NextGroup,
    PreviousGroup,
    /// Back to the group that is being played.
    AutomaticGroup,
    /// Puts a pane in front, where not all of them fit.
    Front(Pane),
    Reconnect,
    /// Looks behind an emergency, and back.
    Behind,
    Redraw,
    Quit,
}

/// When a key is worth a place in the footer: when it does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Always,
    /// An emergency is going on behind which somebody looks.
    BehindEmergency,
    /// The connection is lost.
    Offline,
    /// There are panes behind others.
    Tabs,
    /// There are several groups.
    Groups,
    /// A group was chosen.
    Chosen,
}

/// Keys with what they do, the most needed first.
pub(crate) const HINTS: &[(&str, &str, Use)] = &[
    ("q", "quit", Use::Always),
    ("e", "show emergency", Use::BehindEmergency),
    ("r", "try now", Use::Offline),
    ("1-4", "pane", Use::Tabs),
    ("Tab", "next group", Use::Groups),
    ("Esc", "group being played", Use::Chosen),
    ("Ctrl-L", "redraw", Use::Always),
];

/// What the key asks for, if anything.
pub(crate) fn action(key: &KeyEvent) -> Option<Action> {
    // Some terminals report releases too.
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c' | 'd') => Some(Action::Quit),
            KeyCode::Char('l') => Some(Action::Redraw),
            _ => None,
        };
    }
    match key.code {
        KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => Some(Action::NextGroup),
        KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => Some(Action::PreviousGroup),
        KeyCode::Esc => Some(Action::AutomaticGroup),
        KeyCode::Char('1') => Some(Action::Front(Pane::Standings)),
        KeyCode::Char('2') => Some(Action::Front(Pane::Live)),
        KeyCode::Char('3') => Some(Action::Front(Pane::Next)),
        KeyCode::Char('4') => Some(Action::Front(Pane::Latest)),
        KeyCode::Char('r') => Some(Action::Reconnect),
        KeyCode::Char('e') => Some(Action::Behind),
        KeyCode::Char('q') => Some(Action::Quit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_what_the_footer_says() {
        let plain = KeyModifiers::NONE;
        for (code, modifiers, asks) in [
            (KeyCode::Char('q'), plain, Some(Action::Quit)),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Action::Quit)),
            (KeyCode::Char('c'), plain, None),
            (KeyCode::Tab, plain, Some(Action::NextGroup)),
            (KeyCode::BackTab, KeyModifiers::SHIFT, Some(Action::PreviousGroup)),
            (KeyCode::Left, plain, Some(Action::PreviousGroup)),
            (KeyCode::Esc, plain, Some(Action::AutomaticGroup)),
            (KeyCode::Char('r'), plain, Some(Action::Reconnect)),
            (KeyCode::Char('l'), KeyModifiers::CONTROL, Some(Action::Redraw)),
            (KeyCode::Char('1'), plain, Some(Action::Front(Pane::Standings))),
            (KeyCode::Char('4'), plain, Some(Action::Front(Pane::Latest))),
            (KeyCode::Char('5'), plain, None),
            (KeyCode::Char('e'), plain, Some(Action::Behind)),
            (KeyCode::Char('x'), plain, None),
        ] {
            assert_eq!(action(&KeyEvent::new(code, modifiers)), asks, "{modifiers:?} {code:?}");
        }
        let release = KeyEvent::new_with_kind(KeyCode::Char('q'), plain, KeyEventKind::Release);
        assert_eq!(action(&release), None, "a release is no second press");
    }
}
