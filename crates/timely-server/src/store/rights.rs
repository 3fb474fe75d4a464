//! Who may: looks up what a request is about and has timely-core judge it.
//!
//! The order is the same everywhere: who is nobody and wants to write is told so before any id is
//! looked at; what the caller may not know of answers like an id that never existed; what they see
//! and may not change is forbidden.

use rusqlite::Connection;
use timely_core::access::{Action, Actor, Bearer, Role, judge};
use timely_core::event::Event;
use timely_core::id::{AnnouncementId, EventId, FixtureId, TeamId, VenueId};

use crate::error::{Error, permit};
use crate::store::columns::one;
use crate::store::{Store, announcements, events, idempotency};

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    Server,
    Tokens,
    Event(EventId),
    Team(TeamId),
    Venue(VenueId),
    Fixture(FixtureId),
    Announcement(AnnouncementId),
}

/// What it wants to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Read,
    Score,
    Manage,
}

impl Wish {
    const fn action(self, area: Option<&str>) -> Action<'_> {
        match self {
            Self::Read => Action::Read,
            Self::Score => Action::Score { area },
            Self::Manage => Action::Manage,
        }
    }
}

/// What the verdict on an action is called when it is no.
const fn named(action: Action<'_>) -> &'static str {
    match action {
        Action::Score { .. } => "enter scores here",
        Action::Manage => "change this",
        Action::Read
        | Action::ReadParticipants
        | Action::ReadStaff
        | Action::ReadTeam(_)
        | Action::ReadTeamAnnouncements(_) => "read this",
    }
}

/// Somebody must have signed in: said before any id is looked at.
///
/// # Errors
/// [`Error::Unauthenticated`].
pub(crate) fn signed_in(actor: &Actor) -> Result<&Bearer, Error> {
    actor.as_ref().ok_or(Error::Unauthenticated)
}

/// The event, if the caller may do `action` in it.
///
/// # Errors
/// As told at the top of this module.
pub(crate) fn in_event(conn: &Connection, actor: &Actor, id: EventId, action: Action<'_>) -> Result<Event, Error> {
    if !matches!(action, Action::Read | Action::ReadParticipants) {
        signed_in(actor)?;
    }
    let event = events::find(conn, id)?.ok_or(Error::NotFound)?;
    permit(judge(actor.as_ref(), id, event.visibility, action), named(action))?;
    Ok(event)
}

/// The owner of the server.
///
/// # Errors
/// [`Error::Forbidden`] for everybody else who is signed in.
pub(crate) fn owner<'a>(actor: &'a Actor, what: &str) -> Result<&'a Bearer, Error> {
    let bearer = signed_in(actor)?;
    if bearer.role != Role::Owner {
        return Err(Error::Forbidden(format!("only the owner of the server may {what}")));
    }
    Ok(bearer)
}

/// Somebody who may hand out tokens: for any event, or for the one of their role.
///
/// # Errors
/// [`Error::Forbidden`] for everybody else who is signed in.
pub(crate) fn token_keeper(actor: &Actor) -> Result<&Bearer, Error> {
    let bearer = signed_in(actor)?;
    if !matches!(bearer.role, Role::Owner | Role::Organiser) {
        return Err(Error::Forbidden("your role may not handle tokens; ask an organiser of the event".to_owned()));
    }
    Ok(bearer)
}

/// The event of a thing that is known by its id alone.
///
/// # Errors
/// [`Error::NotFound`].
fn event_of(conn: &Connection, sql: &str, id: i64) -> Result<EventId, Error> {
    one(conn, sql, [id], |row| row.get(0).map(EventId))?.ok_or(Error::NotFound)
}

pub(crate) fn event_of_team(conn: &Connection, id: TeamId) -> Result<EventId, Error> {
    event_of(conn, "SELECT event_id FROM teams WHERE id = ?1", id.0)
}

pub(crate) fn event_of_venue(conn: &Connection, id: VenueId) -> Result<EventId, Error> {
    event_of(conn, "SELECT event_id FROM venues WHERE id = ?1", id.0)
}

fn authorise(conn: &Connection, actor: &Actor, within: Option<EventId>, thing: Thing, wish: Wish) -> Result<(), Error> {
    if wish != Wish::Read {
        signed_in(actor)?;
    }
    let here = |event: EventId| match within {
        Some(within) if within != event => Err(Error::NotFound),
        _ => Ok(event),
    };
    let (event, area) = match thing {
        Thing::Server => {
            return if wish == Wish::Read { Ok(()) } else { owner(actor, "do this").map(drop) };
        }
        Thing::Tokens => return token_keeper(actor).map(drop),
        Thing::Event(id) => (here(id)?, None),
        Thing::Team(id) => (here(event_of_team(conn, id)?)?, None),
        Thing::Venue(id) => (here(event_of_venue(conn, id)?)?, None),
        Thing::Fixture(id) => {
            let (event, area) = one(conn, "SELECT event_id, area FROM fixtures WHERE id = ?1", [id.0], |row| {
                Ok((row.get(0).map(EventId)?, row.get::<_, Option<String>>(1)?))
            })?
            .ok_or(Error::NotFound)?;
            (here(event)?, area)
        }
        Thing::Announcement(id) => {
            let stored = announcements::readable(conn, actor, id)?;
            here(stored.event)?;
            if wish == Wish::Read {
                return Ok(());
            }
            (stored.event, None)
        }
    };
    in_event(conn, actor, event, wish.action(area.as_deref())).map(drop)
}

fn was_removed_by(conn: &Connection, bearer: &Bearer, thing: Thing) -> Result<bool, Error> {
    let (resource, id) = match thing {
        Thing::Event(id) => ("event", id.0),
        Thing::Team(id) => ("team", id.0),
        Thing::Venue(id) => ("venue", id.0),
        Thing::Fixture(id) => ("fixture", id.0),
        Thing::Server | Thing::Tokens | Thing::Announcement(_) => return Ok(false),
    };
    idempotency::removed_by(conn, bearer, resource, id)
}

impl Store {
    /// Judges a request before its body is read. `within` is the event named in the path; a thing of
    /// another event is not found. Commands judge again, in their transaction.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], [`Error::NotFound`] or [`Error::Forbidden`], in this order.
    pub async fn authorise(
        &self,
        actor: Actor,
        within: Option<EventId>,
        thing: Thing,
        wish: Wish,
    ) -> Result<(), Error> {
        self.read(move |conn| match (authorise(conn, &actor, within, thing, wish), &actor) {
            // The repetition of a removal is answered by the command that remembers it.
            (Err(Error::NotFound), Some(bearer)) if wish == Wish::Manage && was_removed_by(conn, bearer, thing)? => {
                Ok(())
            }
            (judged, _) => judged,
        })
        .await
    }
}
