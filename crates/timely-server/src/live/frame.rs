//! One message as bytes, encoded once for everybody who gets it.
//!
//! The text of `data` comes from the change log or a state read and is framed as it stands; nothing
//! here parses and rewrites it. WebSocket and SSE share the JSON; the variants (an SSE block, a copy
//! for a snapshot) are made at first use and kept. Who gets a frame is the hub's matter.

use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use timely_core::announcement::{AnnouncementType, Priority};
use timely_core::cursor::Epoch;
use timely_core::id::AnnouncementId;
use timely_core::topic::{LaneKind, MessageType, StateLane, Topic};

use crate::store::LogRow;

/// Which copy of a frame a viewer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// As it happens, or caught up after a cut: a log frame moves the cursor.
    Live,
    /// Part of a snapshot or a tail: marked `"replay":true`, never moves the cursor.
    Replay,
    /// An emergency ahead of its turn: marked `"early":true`, never moves the cursor.
    Early,
}

impl Copy {
    /// The fields that tell the copy from the message itself.
    const fn mark(self) -> &'static str {
        match self {
            Self::Live => "",
            Self::Replay => r#","replay":true"#,
            Self::Early => r#","early":true"#,
        }
    }
}

/// What an announcement frame is about, so that tails hold only what is still on the screens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    pub announcement: AnnouncementId,
    /// EMERGENCY or URGENT: part of every snapshot, however many came after it.
    pub loud: bool,
    /// EMERGENCY: told ahead of its turn to those who read too slowly.
    pub emergency: bool,
}

/// An encoded message.
#[derive(Debug)]
pub struct Frame {
    pub topic: Topic,
    pub kind: MessageType,
    pub seq: u64,
    pub pos: u64,
    /// Key within the state lane: the group of a board; empty everywhere else.
    pub key: String,
    /// Group of the fixture, on result frames.
    pub group: Option<String>,
    /// On announcement frames.
    pub subject: Option<Subject>,
    json: Bytes,
    data: Range<usize>,
    replay_json: OnceLock<Bytes>,
    block: OnceLock<Bytes>,
    replay_block: OnceLock<Bytes>,
}

impl Frame {
    /// The frame of a change-log row on one of its topics.
    pub fn log(row: &LogRow, kind: MessageType, topic: Topic, seq: u64) -> Self {
        let (json, data) = encode(kind, &row.data, row.timestamp, topic, seq, row.pos);
        Self {
            topic,
            kind,
            seq,
            pos: row.pos,
            key: String::new(),
            group: row.group.clone(),
            subject: subject(kind, &row.data),
            json,
            data,
            replay_json: OnceLock::new(),
            block: OnceLock::new(),
            replay_block: OnceLock::new(),
        }
    }

    /// The frame of a state lane, true as of `pos`; `None` for a lane whose topic has no state.
    pub fn state(lane: &StateLane, data: &str, pos: u64, timestamp: Timestamp) -> Option<Self> {
        let kind = lane.message_type()?;
        let (json, data) = encode(kind, data, timestamp, lane.topic, pos, pos);
        Some(Self {
            topic: lane.topic,
            kind,
            seq: pos,
            pos,
            key: lane.key.clone(),
            group: None,
            subject: None,
            json,
            data,
            replay_json: OnceLock::new(),
            block: OnceLock::new(),
            replay_block: OnceLock::new(),
        })
    }

    /// Whether this is a later state of the same lane.
    pub fn replaces(&self, other: &Self) -> bool {
        self.kind.lane_kind() == LaneKind::State
            && (self.topic, self.kind, &self.key) == (other.topic, other.kind, &other.key)
            && self.seq > other.seq
    }

    /// Whether this announces an emergency.
    pub fn is_emergency(&self) -> bool {
        self.kind == MessageType::AnnouncementUpdate && self.subject.is_some_and(|subject| subject.emergency)
    }

    /// Bytes of the JSON text.
    pub fn len_bytes(&self) -> usize {
        self.json.len()
    }

    /// The JSON text, as WebSocket carries it.
    pub fn json(&self, copy: Copy) -> Bytes {
        match copy {
            Copy::Live => self.json.clone(),
            Copy::Replay => self.replay_json.get_or_init(|| self.with(copy.mark())).clone(),
            Copy::Early => self.with(copy.mark()),
        }
    }

    /// The SSE event: live log frames carry an `id:`, and nothing else does.
    pub fn block(&self, copy: Copy, epoch: &Epoch) -> Bytes {
        let cache = match copy {
            Copy::Live => &self.block,
            Copy::Replay => &self.replay_block,
            Copy::Early => return self.event(copy, epoch, &self.json(copy)),
        };
        cache.get_or_init(|| self.event(copy, epoch, &self.json(copy))).clone()
    }

    /// The SSE event of `/stream/results/`: every data frame has a board at its top level, because
    /// the page of the guide reads `data.leaderboard` of every message.
    pub fn results_block(&self, copy: Copy, epoch: &Epoch, board: Option<&Self>) -> Bytes {
        let mark = copy.mark();
        let rows = board.and_then(Self::leaderboard).unwrap_or("[]");
        let json = self.with(&format!(r#"{mark},"leaderboard":{rows}"#));
        self.event(copy, epoch, &json)
    }

    /// The rows of a board, as text; `None` for every other frame.
    fn leaderboard(&self) -> Option<&str> {
        #[derive(Deserialize)]
        struct Board<'a> {
            #[serde(borrow)]
            leaderboard: &'a RawValue,
        }
        let data = std::str::from_utf8(self.json.get(self.data.clone())?).ok()?;
        match self.kind {
            MessageType::LeaderboardUpdate => {
                serde_json::from_str::<Board<'_>>(data).ok().map(|board| board.leaderboard.get())
            }
            _ => None,
        }
    }

    /// How many items the schedule of a `schedule_update` has; 0 for every other frame.
    pub fn schedule_len(&self) -> usize {
        #[derive(Deserialize)]
        struct Schedule {
            schedule: Vec<serde::de::IgnoredAny>,
        }
        let data = self.json.get(self.data.clone()).unwrap_or_default();
        match self.kind {
            MessageType::ScheduleUpdate => {
                serde_json::from_slice::<Schedule>(data).map_or(0, |data| data.schedule.len())
            }
            _ => 0,
        }
    }

    /// The JSON text with more fields at its end.
    fn with(&self, fields: &str) -> Bytes {
        let mut json = Vec::with_capacity(self.json.len() + fields.len());
        json.extend_from_slice(self.json.strip_suffix(b"}").unwrap_or(&self.json));
        json.extend_from_slice(fields.as_bytes());
        json.push(b'}');
        json.into()
    }

    fn event(&self, copy: Copy, epoch: &Epoch, json: &[u8]) -> Bytes {
        let mut block = Vec::with_capacity(json.len() + 40);
        if copy == Copy::Live && self.kind.lane_kind() == LaneKind::Log {
            block.extend_from_slice(format!("id: {epoch}.{}\n", self.pos).as_bytes());
        }
        block.extend_from_slice(b"data: ");
        block.extend_from_slice(json);
        block.extend_from_slice(b"\n\n");
        block.into()
    }
}

/// The envelope of [`timely_core::live::DataMessage`] around `data`, and where `data` stands in it.
/// Written out because serializing a `DataMessage` would parse `data` first.
fn encode(
    kind: MessageType,
    data: &str,
    timestamp: Timestamp,
    topic: Topic,
    seq: u64,
    pos: u64,
) -> (Bytes, Range<usize>) {
    // A change without content still has an object for clients to look into.
    let data = if data.is_empty() { "{}" } else { data };
    let head = format!(r#"{{"type":"{kind}","data":"#);
    let team = topic.team().map(|team| format!(r#","team_id":{team}"#)).unwrap_or_default();
    let tail = format!(r#","timestamp":"{timestamp}"{team},"topic":"{topic}","seq":{seq},"pos":{pos}}}"#);
    let data_at = head.len()..head.len() + data.len();
    ([head.as_str(), data, &tail].concat().into(), data_at)
}

fn subject(kind: MessageType, data: &str) -> Option<Subject> {
    #[derive(Deserialize)]
    struct Data {
        announcement: About,
    }
    #[derive(Deserialize)]
    struct About {
        id: AnnouncementId,
        #[serde(default, rename = "type")]
        kind: AnnouncementType,
        #[serde(default)]
        priority: Priority,
    }
    if !matches!(kind, MessageType::AnnouncementUpdate | MessageType::AnnouncementRemoved) {
        return None;
    }
    let About { id, kind, priority } = serde_json::from_str::<Data>(data).ok()?.announcement;
    let emergency = kind == AnnouncementType::Emergency;
    Some(Subject { announcement: id, loud: emergency || priority == Priority::Urgent, emergency })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use timely_core::id::{EventId, TeamId};
    use timely_core::live::DataMessage;

    use super::*;
    use crate::live::testing::{announcement_row, result_row};

    fn epoch() -> Epoch {
        Epoch("k3f9".into())
    }

    fn read(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn a_frame_is_the_data_message_of_the_protocol_and_keeps_the_stored_text() {
        let row =
            result_row(7, EventId(1), &[(Topic::EventResults(EventId(1)), 3), (Topic::TeamResults(TeamId(5)), 2)]);
        for (topic, seq, team) in
            [(Topic::EventResults(EventId(1)), 3, None), (Topic::TeamResults(TeamId(5)), 2, Some(TeamId(5)))]
        {
            let frame = Frame::log(&row, MessageType::ResultUpdate, topic, seq);
            let json = frame.json(Copy::Live);
            let text = std::str::from_utf8(&json).unwrap();
            let message: DataMessage<'_> = serde_json::from_str(text).unwrap();
            assert_eq!(message.data.get(), row.data);
            assert_eq!((message.topic, message.seq, message.pos, message.team_id), (topic, seq, 7, team));
            assert_eq!(serde_json::to_string(&message).unwrap(), text, "the envelope is the one of the protocol");
        }
    }

    #[test]
    fn only_live_log_frames_have_an_id_and_only_copies_say_replay() {
        let topic = Topic::EventResults(EventId(1));
        let log = Frame::log(&result_row(7, EventId(1), &[(topic, 3)]), MessageType::ResultUpdate, topic, 3);
        let board = r#"{"event_id":1,"group":"A","leaderboard":[{"position":1}]}"#;
        let state = Frame::state(&StateLane::board(topic, Some("A")), board, 9, Timestamp::UNIX_EPOCH).unwrap();
        for (why, frame, copy, id, replay) in [
            ("live log", &log, Copy::Live, true, false),
            ("tail", &log, Copy::Replay, false, true),
            ("live state", &state, Copy::Live, false, false),
            ("snapshot", &state, Copy::Replay, false, true),
        ] {
            let block = frame.block(copy, &epoch());
            let text = std::str::from_utf8(&block).unwrap();
            assert_eq!(text.starts_with("id: k3f9.7\n"), id, "{why}: {text}");
            let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            assert_eq!(data.as_bytes(), frame.json(copy), "{why}: WebSocket and SSE carry the same text");
            assert_eq!(read(data.as_bytes()).get("replay").is_some(), replay, "{why}");
            assert!(text.ends_with("\n\n"), "{why}");
        }
        assert_eq!((state.seq, state.pos), (9, 9), "the seq of a state frame is its pos");
    }

    #[test]
    fn frames_of_the_results_page_always_have_a_board() {
        let topic = Topic::EventResults(EventId(1));
        let log = Frame::log(&result_row(7, EventId(1), &[(topic, 3)]), MessageType::ResultUpdate, topic, 3);
        let board = r#"{"event_id":1,"group":"A","leaderboard":[{"position":1}]}"#;
        let board = Frame::state(&StateLane::board(topic, Some("A")), board, 9, Timestamp::UNIX_EPOCH).unwrap();
        for (why, frame, shown, expected) in [
            ("a result with the board of its group", &log, Some(&board), json!([{"position":1}])),
            ("a result before any board", &log, None, json!([])),
            ("a board itself", &board, Some(&board), json!([{"position":1}])),
        ] {
            for copy in [Copy::Live, Copy::Replay] {
                let block = frame.results_block(copy, &epoch(), shown);
                let text = std::str::from_utf8(&block).unwrap();
                let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
                let value = read(data.as_bytes());
                assert_eq!(value["leaderboard"], expected, "{why}");
                assert_eq!(value["type"], frame.kind.as_str(), "{why}");
                assert_eq!(value.get("replay").is_some(), copy == Copy::Replay, "{why}");
            }
        }
    }

    #[test]
    fn an_early_copy_says_so_and_moves_no_cursor() {
        let topic = Topic::EventAnnouncements(EventId(1));
        let row = announcement_row(4, EventId(1), 8, "EMERGENCY", "NORMAL", &[(topic, 1)]);
        let frame = Frame::log(&row, MessageType::AnnouncementUpdate, topic, 1);
        assert!(frame.is_emergency());
        let mut early = read(&frame.json(Copy::Live));
        early["early"] = json!(true);
        assert_eq!(read(&frame.json(Copy::Early)), early);
        let block = frame.block(Copy::Early, &epoch());
        assert_eq!(block, [b"data: ".as_slice(), &frame.json(Copy::Early), b"\n\n"].concat(), "no id");
        assert!(frame.block(Copy::Live, &epoch()).starts_with(b"id: k3f9.4\n"), "its turn has one");
    }

    #[test]
    fn an_early_copy_looks_as_documented() {
        let golden = include_str!("../../../../tests/it/golden/announcement_update_early.json");
        let golden: Value = serde_json::from_str(golden).unwrap();
        let (pos, topic) = (golden["pos"].as_u64().unwrap(), Topic::EventAnnouncements(EventId(1)));
        let mut row = announcement_row(pos, EventId(1), 1, "EMERGENCY", "HIGH", &[(topic, 1)]);
        row.data = golden["data"].to_string();
        row.timestamp = golden["timestamp"].as_str().unwrap().parse().unwrap();
        let frame = Frame::log(&row, MessageType::AnnouncementUpdate, topic, 1);
        assert_eq!(read(&frame.json(Copy::Early)), golden);
    }

    #[test]
    fn loud_announcements_are_known_by_type_or_priority() {
        let topic = Topic::EventAnnouncements(EventId(1));
        for (why, kind, priority, loud) in [
            ("general", "GENERAL", "NORMAL", false),
            ("high is not urgent", "WEATHER", "HIGH", false),
            ("emergency", "EMERGENCY", "NORMAL", true),
            ("urgent", "GENERAL", "URGENT", true),
        ] {
            let row = announcement_row(4, EventId(1), 8, kind, priority, &[(topic, 1)]);
            let frame = Frame::log(&row, MessageType::AnnouncementUpdate, topic, 1);
            let emergency = kind == "EMERGENCY";
            assert_eq!(frame.subject, Some(Subject { announcement: AnnouncementId(8), loud, emergency }), "{why}");
        }
    }
}
