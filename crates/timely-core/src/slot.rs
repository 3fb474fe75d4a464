//! Who plays when that is not known yet: "winner of #49", "2nd of A".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A place in a fixture that another fixture or a group decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Winner of the fixture with this number.
    Winner(u32),
    /// Loser of the fixture with this number.
    Loser(u32),
    /// Team at this place, from 1, of a finished group.
    Place { place: u32, group: String },
}

/// Text that describes no slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a slot; write `winner of #49`, `loser of #61` or `2nd of A`")]
pub struct InvalidSlot(pub String);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Winner(number) => write!(f, "winner of #{number}"),
            Self::Loser(number) => write!(f, "loser of #{number}"),
            Self::Place { place, group } => write!(f, "{} of {group}", ordinal(*place)),
        }
    }
}

impl FromStr for Slot {
    type Err = InvalidSlot;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSlot(text.to_owned());
        let (what, of) = text.trim().split_once(" of ").ok_or_else(invalid)?;
        let of = of.trim();
        let number = || of.strip_prefix('#').unwrap_or(of).parse().map_err(|_| invalid());
        match what.trim().to_ascii_lowercase().as_str() {
            "winner" => Ok(Self::Winner(number()?)),
            "loser" => Ok(Self::Loser(number()?)),
            place => {
                let place = ["st", "nd", "rd", "th"]
                    .iter()
                    .find_map(|suffix| place.strip_suffix(suffix))
                    .and_then(|digits| digits.parse().ok())
                    .filter(|place| *place > 0)
                    .ok_or_else(invalid)?;
                let group = strip_group_word(of);
                if group.is_empty() {
                    return Err(invalid());
                }
                Ok(Self::Place { place, group: group.to_owned() })
            }
        }
    }
}

impl Serialize for Slot {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Slot {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// `Group A`, `group A` and `Pool A` name the group `A`.
pub fn strip_group_word(text: &str) -> &str {
    let text = text.trim();
    for word in ["group ", "pool "] {
        if text.len() > word.len() && text.is_char_boundary(word.len()) && text[..word.len()].eq_ignore_ascii_case(word)
        {
            return text[word.len()..].trim();
        }
    }
    text
}

/// `1st`, `2nd`, `3rd`, `4th`, `11th`, `21st`.
pub fn ordinal(n: u32) -> String {
    let suffix = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_read_as_people_write_them() {
        for (text, slot) in [
            ("winner of #49", Slot::Winner(49)),
            ("Loser of 61", Slot::Loser(61)),
            ("2nd of A", Slot::Place { place: 2, group: "A".into() }),
            ("1st of Group B", Slot::Place { place: 1, group: "B".into() }),
            ("3rd of pool C", Slot::Place { place: 3, group: "C".into() }),
        ] {
            assert_eq!(text.parse(), Ok(slot.clone()), "{text}");
            assert_eq!(slot.to_string().parse(), Ok(slot), "{text} survives a round trip");
        }
    }

    #[test]
    fn other_text_is_refused_with_the_forms_that_work() {
        for text in ["", "winner", "winner of", "winner of #x", "0th of A", "second of A", "1st of "] {
            let error = text.parse::<Slot>().unwrap_err();
            assert!(error.to_string().contains("winner of #49"), "{text}: {error}");
        }
    }

    #[test]
    fn ordinals_follow_english() {
        let words: Vec<_> = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].into_iter().map(ordinal).collect();
        assert_eq!(words, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]);
    }
}
