//! Which key means what. The hint line is made from the same table.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What the person wants. Nothing here writes to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    Quit,
    NextGroup,
    PreviousGroup,
    /// Follow the group that is being played.
    FollowLive,
    /// Look behind an emergency, and back.
    Peek,
    /// Reconnect now.
    Retry,
}

/// Key, its name in the hint line, what it does.
const KEYS: &[(KeyCode, &str, Intent, &str)] = &[
    (KeyCode::Right, "→", Intent::NextGroup, "next group"),
    (KeyCode::Tab, "", Intent::NextGroup, ""),
    (KeyCode::Left, "←", Intent::PreviousGroup, "previous"),
    (KeyCode::Char('f'), "f", Intent::FollowLive, "follow live"),
    (KeyCode::Char('r'), "r", Intent::Retry, "reconnect"),
    (KeyCode::Char('e'), "", Intent::Peek, ""),
    (KeyCode::Char('q'), "q", Intent::Quit, "quit"),
];

/// The intent of a key, if it has one.
pub fn intent(key: KeyEvent) -> Option<Intent> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Intent::Quit);
    }
    KEYS.iter().find(|(code, ..)| *code == key.code).map(|(_, _, intent, _)| *intent)
}

/// The line of hints.
pub fn hints() -> String {
    let hints: Vec<_> =
        KEYS.iter().filter(|(_, key, ..)| !key.is_empty()).map(|(_, key, _, what)| format!("{key} {what}")).collect();
    hints.join("  ")
}
