//! Who may do what. Roles are relations to an event, not ranks.
//!
//! Decisions are functions from facts to a [`Verdict`]; who asks and how it is answered (401, 404,
//! 403) is settled here once, for requests and streams alike.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Visibility;
use crate::id::{EventId, TeamId, TokenId, UserId};
use crate::topic::{Stream, Topic};

crate::word::words! {
    /// What a token lets its bearer be.
    Role, "role":
    /// Reads one event as a participant; with a team, as a member of that team.
    Viewer = "viewer",
    /// Enters scores of one event, or of one area of it.
    Scorer = "scorer",
    /// Runs one event.
    Organiser = "organiser",
    /// Owns the server.
    Owner = "owner",
    /// Another server that passes the change log on: reads all of it, and nothing else.
    Relay = "relay",
}

/// Somebody who showed a valid credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bearer {
    pub user: UserId,
    pub name: String,
    pub token: TokenId,
    pub role: Role,
    /// The one event of the role; `None` for the owner and a relay.
    pub event: Option<EventId>,
    pub area: Option<String>,
    pub team: Option<TeamId>,
    pub expires_at: Option<Timestamp>,
}

/// Who is asking; `None` stands for anonymous.
pub type Actor = Option<Bearer>;

/// What somebody wants to do with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Event, fixtures, results, standings, public announcements, and their streams.
    Read,
    /// Announcements that are not public.
    ReadParticipants,
    /// Announcements for teams, expired and withdrawn ones.
    ReadStaff,
    /// Streams of a team.
    ReadTeam(TeamId),
    /// Announcements targeted at a team.
    ReadTeamAnnouncements(TeamId),
    /// Scores, start, pause, finish; of a fixture in this area.
    Score { area: Option<&'a str> },
    /// Everything else in the event.
    Manage,
}

/// The answer to a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// 401: a credential is needed before anything is said.
    Unauthenticated,
    /// 404, byte for byte like an id that never existed.
    Hidden,
    /// 403: seen, but not yours to change.
    Forbidden,
}

/// Whether `actor` may do `action` in the event with this visibility.
pub fn judge(actor: Option<&Bearer>, event: EventId, visibility: Visibility, action: Action<'_>) -> Verdict {
    let reading = matches!(action, Action::Read | Action::ReadParticipants);
    let Some(bearer) = actor else {
        return match (reading, visibility) {
            (false, _) => Verdict::Unauthenticated,
            (true, Visibility::Public) if action == Action::Read => Verdict::Allowed,
            (true, _) => Verdict::Hidden,
        };
    };
    if bearer.role == Role::Relay {
        // What it passes on it has from the log; everything else is none of its business.
        return Verdict::Hidden;
    }
    let role = (bearer.role == Role::Owner || bearer.event == Some(event)).then_some(bearer.role);
    let sees_event = match (visibility, role) {
        (_, Some(Role::Owner | Role::Organiser | Role::Scorer)) => true,
        (Visibility::Public, _) => true,
        (Visibility::Private, Some(Role::Viewer)) => true,
        (Visibility::Private, None | Some(Role::Relay))
        | (Visibility::Draft, None | Some(Role::Viewer | Role::Relay)) => false,
    };
    if !sees_event {
        return Verdict::Hidden;
    }
    let allowed = match (action, role) {
        (_, Some(Role::Owner | Role::Organiser)) | (Action::Read, _) => true,
        (Action::ReadParticipants, role) => role.is_some(),
        (Action::ReadStaff, role) => role == Some(Role::Scorer),
        // Participants of the event follow any of its teams; strangers learn nothing.
        (Action::ReadTeam(_), role) => role.is_some(),
        (Action::ReadTeamAnnouncements(team), Some(Role::Viewer)) => bearer.team == Some(team),
        (Action::ReadTeamAnnouncements(_), role) => role == Some(Role::Scorer),
        (Action::Score { area }, Some(Role::Scorer)) => bearer.area.is_none() || bearer.area.as_deref() == area,
        (Action::Score { .. } | Action::Manage, _) => false,
    };
    match action {
        _ if allowed => Verdict::Allowed,
        Action::Score { .. } | Action::Manage => Verdict::Forbidden,
        _ => Verdict::Hidden,
    }
}

/// Whether `actor` may follow `topic` of an event.
pub fn may_follow(actor: Option<&Bearer>, event: EventId, visibility: Visibility, topic: Topic) -> Verdict {
    let action = match topic {
        Topic::Event(_) | Topic::EventResults(_) | Topic::EventSchedule(_) | Topic::EventAnnouncements(_) => {
            Action::Read
        }
        Topic::EventParticipants(_) => Action::ReadParticipants,
        Topic::EventStaff(_) => Action::ReadStaff,
        Topic::Team(team) | Topic::TeamResults(team) | Topic::TeamSchedule(team) => Action::ReadTeam(team),
        Topic::TeamAnnouncements(team) => Action::ReadTeamAnnouncements(team),
    };
    judge(actor, event, visibility, action)
}

/// Topics of a stream of the event that `actor` may follow, in the order in which they serve a row:
/// event, participants, staff, team. Whoever is reached through several gets it under the first.
pub fn topics_of_event(actor: Option<&Bearer>, event: EventId, visibility: Visibility, stream: Stream) -> Vec<Topic> {
    let may = |topic: &Topic| may_follow(actor, event, visibility, *topic) == Verdict::Allowed;
    let mut topics = match stream {
        Stream::Results => vec![Topic::EventResults(event)],
        Stream::Schedule => vec![Topic::EventSchedule(event)],
        Stream::Announcements => {
            vec![Topic::EventAnnouncements(event), Topic::EventParticipants(event), Topic::EventStaff(event)]
        }
    };
    // Staff hear everything said to teams; a member hears what is said to its own.
    if stream == Stream::Announcements
        && !may(&Topic::EventStaff(event))
        && let Some(team) = actor.and_then(|bearer| bearer.team)
    {
        topics.push(Topic::TeamAnnouncements(team));
    }
    topics.retain(may);
    topics
}

/// Whether `actor` may read the whole change log: every event, every audience, every change of rights.
pub fn may_read_log(actor: Option<&Bearer>) -> Verdict {
    match actor.map(|bearer| bearer.role) {
        None => Verdict::Unauthenticated,
        Some(Role::Owner | Role::Relay) => Verdict::Allowed,
        Some(Role::Viewer | Role::Scorer | Role::Organiser) => Verdict::Forbidden,
    }
}

/// A change of rights, carried in the change log so that streams obey it in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "access", rename_all = "snake_case")]
pub enum AccessChange {
    /// The token was revoked or has expired: its streams close.
    TokenEnded { token: TokenId },
    /// Judge again everybody who follows the event.
    Visibility { event: EventId, visibility: Visibility },
    /// The event was deleted: its streams close.
    EventDeleted { event: EventId },
    /// The team was deleted: its streams close.
    TeamDeleted { event: EventId, team: TeamId },
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: EventId = EventId(1);
    const TEAM: TeamId = TeamId(5);

    fn bearer(role: Role, event: i64) -> Bearer {
        Bearer {
            user: UserId(1),
            name: "Kim".into(),
            token: TokenId(9),
            role,
            event: (!matches!(role, Role::Owner | Role::Relay)).then_some(EventId(event)),
            area: None,
            team: None,
            expires_at: None,
        }
    }

    #[test]
    fn each_role_meets_the_verdict_of_its_relation() {
        use Verdict::{Allowed as Y, Forbidden as N, Hidden as H, Unauthenticated as U};
        let viewer = bearer(Role::Viewer, 1);
        let scorer = bearer(Role::Scorer, 1);
        let organiser = bearer(Role::Organiser, 1);
        let other = bearer(Role::Organiser, 2);
        let owner = bearer(Role::Owner, 1);
        // Columns: anonymous, viewer, scorer, organiser, organiser of another event, owner.
        for (why, visibility, action, verdicts) in [
            ("public read", Visibility::Public, Action::Read, [Y, Y, Y, Y, Y, Y]),
            ("private read", Visibility::Private, Action::Read, [H, Y, Y, Y, H, Y]),
            ("draft read", Visibility::Draft, Action::Read, [H, H, Y, Y, H, Y]),
            ("participants only", Visibility::Public, Action::ReadParticipants, [H, Y, Y, Y, H, Y]),
            ("staff only", Visibility::Public, Action::ReadStaff, [U, H, Y, Y, H, Y]),
            ("team streams", Visibility::Public, Action::ReadTeam(TEAM), [U, Y, Y, Y, H, Y]),
            ("targeted", Visibility::Public, Action::ReadTeamAnnouncements(TEAM), [U, H, Y, Y, H, Y]),
            ("score in a public event", Visibility::Public, Action::Score { area: None }, [U, N, Y, Y, N, Y]),
            ("score in a private event", Visibility::Private, Action::Score { area: None }, [U, N, Y, Y, H, Y]),
            ("manage a public event", Visibility::Public, Action::Manage, [U, N, N, Y, N, Y]),
            ("manage a draft", Visibility::Draft, Action::Manage, [U, H, N, Y, H, Y]),
        ] {
            let actors = [None, Some(&viewer), Some(&scorer), Some(&organiser), Some(&other), Some(&owner)];
            let got = actors.map(|actor| judge(actor, EVENT, visibility, action));
            assert_eq!(got, verdicts, "{why}");
        }
    }

    #[test]
    fn a_relay_reads_the_log_and_nothing_else_and_nobody_below_the_owner_reads_it() {
        let relay = bearer(Role::Relay, 1);
        for visibility in [Visibility::Public, Visibility::Private, Visibility::Draft] {
            for action in [
                Action::Read,
                Action::ReadParticipants,
                Action::ReadStaff,
                Action::ReadTeam(TEAM),
                Action::ReadTeamAnnouncements(TEAM),
                Action::Score { area: None },
                Action::Manage,
            ] {
                assert_eq!(judge(Some(&relay), EVENT, visibility, action), Verdict::Hidden, "{visibility} {action:?}");
            }
        }
        assert_eq!(may_read_log(None), Verdict::Unauthenticated);
        for (role, verdict) in [
            (Role::Viewer, Verdict::Forbidden),
            (Role::Scorer, Verdict::Forbidden),
            (Role::Organiser, Verdict::Forbidden),
            (Role::Owner, Verdict::Allowed),
            (Role::Relay, Verdict::Allowed),
        ] {
            assert_eq!(may_read_log(Some(&bearer(role, 1))), verdict, "{role}");
        }
    }

    #[test]
    fn a_scorer_of_one_area_scores_there_alone_and_a_member_hears_its_team_alone() {
        let mut scorer = bearer(Role::Scorer, 1);
        scorer.area = Some("Pitch 2".into());
        let score = |area| judge(Some(&scorer), EVENT, Visibility::Public, Action::Score { area });
        assert_eq!(score(Some("Pitch 2")), Verdict::Allowed);
        assert_eq!(score(Some("Pitch 1")), Verdict::Forbidden);
        assert_eq!(score(None), Verdict::Forbidden);

        let mut member = bearer(Role::Viewer, 1);
        member.team = Some(TEAM);
        let hear = |team| judge(Some(&member), EVENT, Visibility::Public, Action::ReadTeamAnnouncements(team));
        assert_eq!(hear(TEAM), Verdict::Allowed);
        assert_eq!(hear(TeamId(6)), Verdict::Hidden);
    }
}
