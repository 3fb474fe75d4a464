//! How people name teams and fixtures. Reads may guess, writes may not: here only exact codes,
//! names, numbers and unique prefixes count; near misses are suggestions.

use crate::text::folded;

/// Something that has a name and perhaps a short code.
pub trait Named {
    fn name(&self) -> &str;
    fn code(&self) -> Option<&str>;
}

impl Named for crate::team::Team {
    fn name(&self) -> &str {
        &self.name
    }

    fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

impl Named for crate::venue::Venue {
    fn name(&self) -> &str {
        &self.name
    }

    fn code(&self) -> Option<&str> {
        None
    }
}

/// What a reference led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a, T> {
    One(&'a T),
    /// Several fit; the writer must choose.
    Several(Vec<&'a T>),
    None,
}

/// Finds `text` among `all`: exact code or name first, then a unique prefix of either. Case and
/// accents do not matter.
pub fn find<'a, T: Named>(all: &'a [T], text: &str) -> Found<'a, T> {
    let wanted = folded(text);
    if wanted.is_empty() {
        return Found::None;
    }
    let exact: Vec<&T> = all
        .iter()
        .filter(|item| folded(item.name()) == wanted || item.code().is_some_and(|code| folded(code) == wanted))
        .collect();
    let found = if exact.is_empty() {
        all.iter()
            .filter(|item| {
                folded(item.name()).starts_with(&wanted)
                    || item.code().is_some_and(|code| folded(code).starts_with(&wanted))
            })
            .collect()
    } else {
        exact
    };
    match found.len() {
        0 => Found::None,
        1 => Found::One(found[0]),
        _ => Found::Several(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{EventId, TeamId};
    use crate::team::Team;

    fn team(id: i64, name: &str, code: &str) -> Team {
        Team { id: TeamId(id), event_id: EventId(1), name: name.into(), code: Some(code.into()), group: None }
    }

    #[test]
    fn exact_beats_prefix_and_two_fits_are_no_fit() {
        let teams = [
            team(1, "Eagles", "EAG"),
            team(2, "Hawks", "HAW"),
            team(3, "Hawkers United", "HUN"),
            team(4, "Zürich", "ZUR"),
        ];
        for (text, id) in [("EAG", 1), ("eagles", 1), ("Hawks", 2), ("hawke", 3), ("zurich", 4), (" HUN ", 3)] {
            assert!(matches!(find(&teams, text), Found::One(team) if team.id == TeamId(id)), "{text}");
        }
        assert!(matches!(find(&teams, "haw"), Found::One(team) if team.id == TeamId(2)), "the code HAW is exact");
        assert!(matches!(find(&teams, "hawk"), Found::Several(teams) if teams.len() == 2));
        assert_eq!(find(&teams, "EGL"), Found::None);
        assert_eq!(find(&teams, ""), Found::None);
    }
}
