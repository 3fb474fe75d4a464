//! Text that came from outside, on its way to a terminal; and text as people compare it.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The text without anything that could steer a terminal or reorder a line: control characters,
/// escape sequences' introducers, bidirectional overrides and zero-width characters become `�`,
/// a line break or tab becomes a space.
pub fn display_safe(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| replacement(c).is_none()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| replacement(c).unwrap_or(c)).collect())
}

const fn replacement(c: char) -> Option<char> {
    match c {
        '\n' | '\r' | '\t' => Some(' '),
        '\u{0}'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' => Some('\u{fffd}'),
        _ => None,
    }
}

/// The text as names are compared: without accents, case or doubled spaces.
pub fn folded(text: &str) -> String {
    let plain: String = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_passes() {
        assert_eq!(display_safe("São Paulo 2-1"), "São Paulo 2-1");
        assert_eq!(display_safe("a\u{1b}[31mb"), "a\u{fffd}[31mb");
        assert_eq!(display_safe("a\u{9b}31mb\u{202e}c\u{200b}\nd"), "a\u{fffd}31mb\u{fffd}c\u{fffd} d");
    }

    #[test]
    fn names_compare_without_accents_and_case() {
        assert_eq!(folded("  Ritsu  DŌAN "), folded("ritsu doan"));
        assert_ne!(folded("Reds"), folded("Red"));
    }
}
