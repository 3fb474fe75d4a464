//! Moves teams on when a fixture or a group is decided: asks timely-core who goes where and writes
//! what changed.
//!
//! Most changes decide nothing; that is found out from the few fixtures that wait, before whole
//! tables are computed.

use std::collections::BTreeMap;

use rusqlite::params;
use timely_core::event::{Count, Event};
use timely_core::fixture::{Fixture, FixtureStatus, ScheduleItem};
use timely_core::id::{FixtureId, TeamId};
use timely_core::progression::{decided, fill, finished_groups};
use timely_core::result::{Outcome, ResultState};
use timely_core::slot::Slot;
use timely_core::standings::Row;

use crate::error::Error;
use crate::store::columns::{Text, all, any};
use crate::store::writer::Tx;
use crate::store::{fixtures, results, standings};

/// What may have decided something.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Touched<'a> {
    /// A fixture, its result, or both.
    Changed(&'a Fixture),
    /// A new fixture: it may take a decision back, or wait for one that has fallen.
    Added(&'a Fixture),
}

/// Fills the slots that are decided now, and empties those that no longer are. Each fixture that
/// changes is announced to the event and to its old and new teams.
///
/// # Errors
/// [`Error::Rule`] if a fixture that has started would get another team.
pub(crate) fn advance(tx: &mut Tx<'_>, event: &Event, touched: Touched<'_>) -> Result<(), Error> {
    let concerns = match touched {
        Touched::Added(fixture) if fixture.home.slot.is_some() || fixture.away.slot.is_some() => true,
        Touched::Changed(fixture) | Touched::Added(fixture) => is_awaited(tx, event, fixture)?,
    };
    if !concerns {
        return Ok(());
    }
    for (had, shown) in settle(tx, event)? {
        let at = tx.at()?;
        tx.append(fixtures::update(event.id, &shown, &had, at))?;
    }
    Ok(())
}

/// Writes the sides that are decided now; answers what changed, with the teams each fixture had.
///
/// # Errors
/// [`Error::Rule`] if a fixture that has started would get another team.
pub(crate) fn settle(tx: &Tx<'_>, event: &Event) -> Result<Vec<(Vec<TeamId>, ScheduleItem)>, Error> {
    let all = fixtures::all_to_rules(tx, event.id)?;
    let outcomes = final_outcomes(tx, event)?;
    let of = |fixture: &Fixture| Some((fixture.id, decided(fixture, outcomes.get(&fixture.id)?)));
    let decided = all.iter().filter_map(of).collect();
    let groups = final_tables(tx, event, &all, &outcomes)?;
    let mut filled = Vec::new();
    for filling in fill(&all, &decided, &groups)? {
        let Some(before) = all.iter().find(|fixture| fixture.id == filling.fixture) else { continue };
        let mut after = before.clone();
        after.home.team = filling.home;
        after.away.team = filling.away;
        let shown = fixtures::save(tx, &after)?;
        filled.push((before.teams().collect(), shown));
    }
    Ok(filled)
}

/// Whether a slot waits for this fixture or its group, as far as either may be decided.
fn is_awaited(tx: &Tx<'_>, event: &Event, fixture: &Fixture) -> Result<bool, Error> {
    let sides: Vec<[(Option<Slot>, bool); 2]> = all(
        tx,
        "SELECT home_slot, home_team_id IS NOT NULL, away_slot, away_team_id IS NOT NULL FROM fixtures
         WHERE event_id = ?1 AND (home_slot IS NOT NULL OR away_slot IS NOT NULL)",
        [event.id.0],
        |row| {
            let slot = |at| row.get::<_, Option<Text<Slot>>>(at).map(|slot| slot.map(|Text(slot)| slot));
            Ok([(slot(0)?, row.get(1)?), (slot(2)?, row.get(3)?)])
        },
    )?;
    let mut group_is_awaited = false;
    for (slot, is_filled) in sides.into_iter().flatten() {
        match slot {
            Some(Slot::Winner(number) | Slot::Loser(number)) if number == fixture.number => return Ok(true),
            Some(Slot::Place { group, .. }) if fixture.group.as_ref() == Some(&group) => {
                if is_filled {
                    return Ok(true);
                }
                group_is_awaited = true;
            }
            Some(Slot::Winner(_) | Slot::Loser(_) | Slot::Place { .. }) | None => {}
        }
    }
    Ok(group_is_awaited && !plays_on(tx, event, fixture.group.as_deref())?)
}

/// Whether the group has a fixture that is still to be played.
fn plays_on(tx: &Tx<'_>, event: &Event, group: Option<&str>) -> Result<bool, Error> {
    any(
        tx,
        "SELECT 1 FROM fixtures WHERE event_id = ?1 AND group_name = ?2 AND phase = 'RR'
         AND status NOT IN ('FINISHED', 'CANCELLED')",
        params![event.id.0, group],
    )
}

/// Outcomes that decide: those that count in the tables of the event and are not running.
fn final_outcomes(tx: &Tx<'_>, event: &Event) -> Result<BTreeMap<FixtureId, Outcome>, Error> {
    let decides = |outcome: &Outcome| match event.count {
        Count::Official => outcome.state == ResultState::Official,
        Count::Live | Count::Entered => {
            matches!(outcome.state, ResultState::Provisional | ResultState::Official)
        }
    };
    let results = results::of_event(tx, event.id)?;
    Ok(results
        .into_iter()
        .filter(|(fixture, _)| fixture.status == FixtureStatus::Finished)
        .filter_map(|(fixture, stored)| Some((fixture.id, stored.outcome.filter(decides)?)))
        .collect())
}

/// Final tables of the groups in which nothing is left to be played.
fn final_tables(
    tx: &Tx<'_>,
    event: &Event,
    all: &[Fixture],
    outcomes: &BTreeMap<FixtureId, Outcome>,
) -> Result<BTreeMap<String, Vec<Row>>, Error> {
    finished_groups(all, |fixture| outcomes.contains_key(&fixture))
        .into_iter()
        .map(|group| {
            // Not from the tables kept for readers: this transaction may be rolled back.
            let table = standings::compute(tx, event, Some(&group), event.count)?;
            Ok((group, table))
        })
        .collect()
}
