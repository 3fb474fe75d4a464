//! Limits of what is typed: how long, how many. Text is kept byte for byte.
//!
//! What a value means in the sport is the rules' matter; here is what no event can need.

use jiff::tz::TimeZone;
use timely_core::id::TeamId;
use timely_core::standings::rules;
use timely_core::text::folded;

use crate::error::Error;

/// Longest name of an event, venue, area, round or person, in characters.
pub(crate) const NAME_CHARS_MAX: usize = 200;
/// Longest code of a team, in characters.
pub(crate) const CODE_CHARS_MAX: usize = 16;
/// Longest name of a group, in characters.
pub(crate) const GROUP_CHARS_MAX: usize = 50;
/// Longest title of an announcement, in characters.
pub(crate) const TITLE_CHARS_MAX: usize = 200;
/// Longest message of an announcement, in characters.
pub(crate) const MESSAGE_CHARS_MAX: usize = 4000;
/// Longest reason of a correction, in characters.
pub(crate) const REASON_CHARS_MAX: usize = 500;
/// Most areas of a venue.
pub(crate) const AREAS_MAX: usize = 64;
/// Most teams an announcement names.
pub(crate) const AUDIENCE_TEAMS_MAX: usize = 256;

/// Collects what is wrong with the fields of a body, so that one answer names all of it.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Notes a field that is not as it must be.
    pub(crate) fn refuse(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push((pointer.into(), detail.into()));
    }

    /// A text that names something: not blank and not too long.
    pub(crate) fn name(&mut self, pointer: impl Into<String>, text: &str, chars_max: usize) {
        if folded(text).is_empty() {
            self.refuse(pointer, format!("is empty; write 1 to {chars_max} characters"));
        } else {
            self.text(pointer, text, chars_max);
        }
    }

    /// The same for a field that may be absent.
    pub(crate) fn name_if(&mut self, pointer: &str, text: Option<&str>, chars_max: usize) {
        if let Some(text) = text {
            self.name(pointer, text, chars_max);
        }
    }

    /// A text that may be empty.
    pub(crate) fn text(&mut self, pointer: impl Into<String>, text: &str, chars_max: usize) {
        let chars = text.chars().count();
        if chars > chars_max {
            self.refuse(pointer, format!("is {chars} characters long; at most {chars_max}"));
        }
    }

    /// The name of a time zone.
    pub(crate) fn timezone(&mut self, pointer: &str, name: &str) {
        if TimeZone::get(name).is_err() {
            self.refuse(pointer, format!("`{name}` is not a time zone; write for example Europe/Berlin or UTC"));
        }
    }

    /// The id of a rule set.
    pub(crate) fn rules(&mut self, pointer: &str, id: &str) {
        if rules::find(id).is_none() {
            let known: Vec<_> = rules::SHIPPED.iter().map(|rules| rules.id).collect();
            self.refuse(pointer, format!("there are no rules `{id}`; use one of {}", known.join(", ")));
        }
    }

    /// The areas of a venue: named, and each once.
    pub(crate) fn areas(&mut self, pointer: &str, areas: &[String]) {
        if areas.len() > AREAS_MAX {
            self.refuse(pointer, format!("{} areas are too many; at most {AREAS_MAX}", areas.len()));
            return;
        }
        let mut seen = Vec::with_capacity(areas.len());
        for (index, area) in areas.iter().enumerate() {
            self.name(format!("{pointer}/{index}"), area, NAME_CHARS_MAX);
            let name = folded(area);
            if seen.contains(&name) {
                self.refuse(format!("{pointer}/{index}"), format!("`{area}` is there twice; name each area once"));
            }
            seen.push(name);
        }
    }

    /// The teams an announcement is for.
    pub(crate) fn audience(&mut self, pointer: &str, teams: &[TeamId]) {
        if teams.len() > AUDIENCE_TEAMS_MAX {
            self.refuse(
                pointer,
                format!("{} teams are too many; at most {AUDIENCE_TEAMS_MAX}, or leave them out", teams.len()),
            );
        }
    }

    /// # Errors
    /// [`Error::Invalid`] with every field that was refused.
    pub(crate) fn done(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_neither_blank_nor_endless_and_every_bad_one_is_named() {
        let refused = |text: &str| {
            let mut fields = Fields::default();
            fields.name("/name", text, NAME_CHARS_MAX);
            fields.done().is_err()
        };
        let (longest, longer) = ("é".repeat(NAME_CHARS_MAX), "é".repeat(NAME_CHARS_MAX + 1));
        for (why, text, is_refused) in [
            ("a name", "Reds", false),
            ("spaces around it are kept", " Reds ", false),
            ("control characters are kept, screens make them safe", "Re\u{7}ds", false),
            ("as long as may be", longest.as_str(), false),
            ("one character longer", longer.as_str(), true),
            ("nothing", "", true),
            ("blank", " \t\n", true),
            ("an accent on nothing", "\u{301}", true),
        ] {
            assert_eq!(refused(text), is_refused, "{why}");
        }
        let mut fields = Fields::default();
        fields.name("/name", "", NAME_CHARS_MAX);
        fields.areas("/areas", &["Pitch 1".into(), "PITCH 1".into(), String::new()]);
        fields.timezone("/timezone", "Mars/Olympus");
        fields.rules("/rules", "none");
        let Err(Error::Invalid(refused)) = fields.done() else { panic!("all of it was taken") };
        let pointers: Vec<_> = refused.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/name", "/areas/1", "/areas/2", "/timezone", "/rules"]);
    }
}
