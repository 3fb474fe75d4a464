//! Which key does what. The footer of the screen is made from the same table, so that no key is
//! shown that does nothing.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    NextGroup,
    PreviousGroup,
    /// Back to the group that is being played.
    AutomaticGroup,
    Reconnect,
    /// Looks behind an emergency, and back.
    Behind,
    Redraw,
    Quit,
}

/// Keys worth a place in the footer, the most needed first.
pub(crate) const HINTS: &[(&str, &str)] =
    &[("q", "quit"), ("Tab", "next group"), ("Esc", "group being played"), ("r", "reconnect"), ("Ctrl-L", "redraw")];

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
            (KeyCode::Char('x'), plain, None),
        ] {
            assert_eq!(action(&KeyEvent::new(code, modifiers)), asks, "{modifiers:?} {code:?}");
        }
        let release = KeyEvent::new_with_kind(KeyCode::Char('q'), plain, KeyEventKind::Release);
        assert_eq!(action(&release), None, "a release is no second press");
    }
}
