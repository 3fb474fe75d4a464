//! Rows as the store writes them, for tests.

use jiff::Timestamp;
use timely_core::id::EventId;
use timely_core::topic::{MessageType, StateLane, Topic};

use crate::live::followers::Followers;
use crate::live::hub::{Delivery, Need, Output, SessionId};
use crate::store::{LogRow, RowKind};

/// An output of the hub as what each session gets of it, or what the hub needs.
pub(crate) fn single(output: Output, followers: &mut Followers<SessionId>) -> Result<Vec<(SessionId, Delivery)>, Need> {
    Ok(match output {
        Output::Need(need) => return Err(need),
        Output::Deliver(session, delivery) => {
            if matches!(delivery, Delivery::Closed(_)) {
                followers.forget(session);
            }
            vec![(session, delivery)]
        }
        Output::Log(shown) => {
            let mut told: Vec<(SessionId, Delivery)> = Vec::new();
            for shown in shown {
                for session in followers.of(shown.frame.topic) {
                    if !told.iter().any(|(known, _)| known == session) {
                        told.push((*session, Delivery::Log(shown.clone())));
                    }
                }
            }
            told
        }
        Output::State(shown) => {
            let of = followers.of(shown.frame.topic);
            of.iter().map(|session| (*session, Delivery::State(shown.clone()))).collect()
        }
        Output::Follow(session, topic) => {
            followers.follow(topic, session);
            Vec::new()
        }
        Output::Unfollow(session, topic) => {
            followers.unfollow(topic, session);
            Vec::new()
        }
    })
}

pub(crate) fn row(pos: u64, event: EventId, kind: RowKind, data: String, topics: &[(Topic, u64)]) -> LogRow {
    LogRow {
        pos,
        kind,
        data,
        timestamp: Timestamp::UNIX_EPOCH,
        topics: topics.to_vec(),
        refreshes: Vec::new(),
        event: Some(event),
        group: None,
    }
}

pub(crate) fn changed_row(pos: u64, refreshes: &[StateLane]) -> LogRow {
    LogRow { refreshes: refreshes.to_vec(), ..row(pos, EventId(1), RowKind::Changed, String::new(), &[]) }
}

pub(crate) fn result_row(pos: u64, event: EventId, topics: &[(Topic, u64)]) -> LogRow {
    let data = format!(r#"{{"event_id":{event},"result":{{"result_id":{pos},"home_score":2,"away_score":1}}}}"#);
    let kind = RowKind::Message(MessageType::ResultUpdate);
    LogRow { group: Some("A".into()), ..row(pos, event, kind, data, topics) }
}

pub(crate) fn fixture_row(pos: u64, event: EventId, topics: &[(Topic, u64)]) -> LogRow {
    let data = format!(r#"{{"event_id":{event},"fixture_id":{pos}}}"#);
    row(pos, event, RowKind::Message(MessageType::FixtureUpdate), data, topics)
}

pub(crate) fn announcement_row(
    pos: u64,
    event: EventId,
    id: i64,
    kind: &str,
    priority: &str,
    topics: &[(Topic, u64)],
) -> LogRow {
    let data = format!(
        r#"{{"event_id":{event},"announcement":{{"id":{id},"title":"{pos}","type":"{kind}","priority":"{priority}"}}}}"#
    );
    row(pos, event, RowKind::Message(MessageType::AnnouncementUpdate), data, topics)
}

pub(crate) fn removal_row(pos: u64, event: EventId, id: i64, topics: &[(Topic, u64)]) -> LogRow {
    let data = format!(r#"{{"event_id":{event},"announcement":{{"id":{id},"reason":"withdrawn"}}}}"#);
    row(pos, event, RowKind::Message(MessageType::AnnouncementRemoved), data, topics)
}

pub(crate) fn schedule_data(fixtures: usize) -> String {
    let items: Vec<_> = (1..=fixtures).map(|id| format!(r#"{{"fixture_id":{id}}}"#)).collect();
    format!(r#"{{"event_id":1,"schedule":[{}]}}"#, items.join(","))
}

pub(crate) fn board_data(group: &str, rows: u64) -> String {
    format!(r#"{{"event_id":1,"group":"{group}","leaderboard":[{{"position":1,"points":{rows}}}]}}"#)
}
