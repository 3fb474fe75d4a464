//! Rule sets: points for a result and the order of criteria, as data.

/// The rules of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    pub id: &'static str,
}

/// Rule sets that are shipped, the default first.
pub const SHIPPED: &[RuleSet] = &[RuleSet { id: "3-1-0" }, RuleSet { id: "fifa-world-cup-2022" }];

/// The rule set with this id.
pub fn find(id: &str) -> Option<&'static RuleSet> {
    SHIPPED.iter().find(|rules| rules.id == id)
}
