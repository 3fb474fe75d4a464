//! Rule sets: points for a result and the order of criteria, as data.

/// Which matches a criterion looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every match of the table.
    All,
    /// Only the matches among the teams that are still level, as they were when the first mutual
    /// criterion in a row was reached.
    Mutual,
}

/// What a criterion compares; more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Points,
    GoalDifference,
    GoalsFor,
    /// Conduct points: 0 or less, fewer cards are closer to 0.
    Conduct,
    /// The order in which lots were drawn.
    Lots,
}

/// One step of breaking a tie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Criterion {
    pub scope: Scope,
    pub key: Key,
}

impl Criterion {
    /// In plain words, for the person who asks why a team stands where it does.
    pub const fn words(self) -> &'static str {
        match (self.scope, self.key) {
            (Scope::All, Key::Points) => "points",
            (Scope::All, Key::GoalDifference) => "goal difference",
            (Scope::All, Key::GoalsFor) => "goals for",
            (Scope::Mutual, Key::Points) => "points in mutual matches",
            (Scope::Mutual, Key::GoalDifference) => "goal difference in mutual matches",
            (Scope::Mutual, Key::GoalsFor) => "goals in mutual matches",
            (_, Key::Conduct) => "conduct",
            (_, Key::Lots) => "lots",
        }
    }
}

/// The rules of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleSet {
    /// As in the `rules` of an event.
    pub id: &'static str,
    pub win: i64,
    pub draw: i64,
    pub loss: i64,
    /// Applied in order, each to the teams that all earlier ones left level.
    pub criteria: &'static [Criterion],
}

const fn all(key: Key) -> Criterion {
    Criterion { scope: Scope::All, key }
}

const fn mutual(key: Key) -> Criterion {
    Criterion { scope: Scope::Mutual, key }
}

/// Rule sets that are shipped, the default first.
pub const SHIPPED: &[RuleSet] = &[
    RuleSet {
        id: "3-1-0",
        win: 3,
        draw: 1,
        loss: 0,
        criteria: &[all(Key::Points), all(Key::GoalDifference), all(Key::GoalsFor), all(Key::Lots)],
    },
    // Source: FIFA, regulations of the 2022 World Cup, article 12. The mutual table is made once, of
    // all teams level on the first three, and never again of those it leaves level.
    RuleSet {
        id: "fifa-world-cup-2022",
        win: 3,
        draw: 1,
        loss: 0,
        criteria: &[
            all(Key::Points),
            all(Key::GoalDifference),
            all(Key::GoalsFor),
            mutual(Key::Points),
            mutual(Key::GoalDifference),
            mutual(Key::GoalsFor),
            all(Key::Conduct),
            all(Key::Lots),
        ],
    },
];

/// Id of the rule set of an event that names none.
pub const DEFAULT: &str = SHIPPED[0].id;

/// The rule set with this id.
pub fn find(id: &str) -> Option<&'static RuleSet> {
    SHIPPED.iter().find(|rules| rules.id == id)
}
