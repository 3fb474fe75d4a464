//! The client's rule: which messages are news, and how far the client is.
//!
//! Delivery is at least once on the wire and once after this rule. Log frames are told apart by
//! `pos` (a set, not a maximum: the replay of a later subscription lies behind what is known), state
//! frames by `seq` in their lane. Only live log frames, and their replay on resume, move the cursor;
//! a snapshot moves it once it is complete, with `live`. An early copy of an emergency is news, and so
//! is its turn: screens keep one entry for each announcement. Pure: no sockets, no time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use timely_core::cursor::{Cursor, Epoch};
use timely_core::live::Control;
use timely_core::topic::{LaneKind, MessageType, StateLane, Topic};

/// Positions of log frames that are remembered; the oldest are forgotten first. More than a server
/// ever sends twice: a ring of 512 frames in each of at most five topics.
const POSITIONS_MAX: usize = 4_096;

/// What every message with data says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: MessageType,
    pub topic: Topic,
    pub seq: u64,
    pub pos: u64,
    /// Part of a snapshot or a tail.
    pub replay: bool,
    /// A copy of an emergency that has overtaken what waits; the message itself is still to come.
    pub early: bool,
    pub timestamp: Timestamp,
    /// The group of a leaderboard.
    pub group: Option<String>,
}

/// A message, with the text as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub text: String,
    pub said: Said,
}

/// What a message is.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    Data(Header),
    Control(Control),
    /// Well-formed, but of a type this client does not know; a newer server may send such.
    Unknown,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
}

#[derive(Deserialize)]
struct Body {
    timestamp: Timestamp,
    topic: Topic,
    seq: u64,
    pos: u64,
    #[serde(default)]
    replay: bool,
    #[serde(default)]
    early: bool,
    #[serde(default)]
    data: Keyed,
}

#[derive(Default, Deserialize)]
struct Keyed {
    #[serde(default)]
    group: Option<String>,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// Text that is no JSON, or a message of a known type that lacks what the type must have.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        let head: Head<'_> = serde_json::from_str(&text)?;
        let said = if let Ok(kind) = head.kind.parse::<MessageType>() {
            let Body { timestamp, topic, seq, pos, replay, early, data } = serde_json::from_str(&text)?;
            Said::Data(Header { kind, topic, seq, pos, replay, early, timestamp, group: data.group })
        } else if CONTROLS.contains(&&*head.kind) {
            Said::Control(serde_json::from_str(&text)?)
        } else {
            Said::Unknown
        };
        Ok(Self { text, said })
    }
}

/// `type` of every [`Control`].
const CONTROLS: &[&str] = &["connected", "subscribed", "unsubscribed", "live", "resync", "status", "pong", "error"];

/// How far a client is and what it has.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    epoch: Option<Epoch>,
    cursor: Option<Cursor>,
    positions: BTreeSet<u64>,
    states: BTreeMap<StateLane, u64>,
    /// From `connected` or `resync` to `live`: whether every missed frame comes, or a snapshot that
    /// moves the cursor only as a whole.
    catching_up: CatchingUp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CatchingUp {
    #[default]
    No,
    /// Not said yet, or everything missed in order.
    InOrder,
    /// A snapshot: until it is complete, the cursor stays where it was.
    Snapshot,
}

impl Rule {
    /// The rule of a client that knows everything up to `since`.
    pub fn from(since: Option<Cursor>) -> Self {
        Self { epoch: since.as_ref().map(|cursor| cursor.epoch.clone()), cursor: since, ..Self::default() }
    }

    /// Everything up to here is known: where to go on.
    pub const fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// Applies a message in the order of the connection; whether it is news.
    pub fn apply(&mut self, message: &Message) -> bool {
        match &message.said {
            Said::Data(header) => self.data(header),
            Said::Control(control) => {
                self.control(control);
                true
            }
            Said::Unknown => true,
        }
    }

    fn data(&mut self, header: &Header) -> bool {
        match header.kind.lane_kind() {
            LaneKind::State => {
                let lane = StateLane::board(header.topic, header.group.as_deref());
                let is_news = self.states.get(&lane).is_none_or(|known| header.seq > *known);
                if is_news {
                    self.states.insert(lane, header.seq);
                }
                is_news
            }
            // A preview: it is shown at once, and counts for nothing until its turn.
            LaneKind::Log if header.early => !self.positions.contains(&header.pos),
            LaneKind::Log => {
                let is_news = self.positions.insert(header.pos);
                if self.positions.len() > POSITIONS_MAX {
                    self.positions.pop_first();
                }
                if !header.replay && self.catching_up != CatchingUp::Snapshot {
                    self.advance(header.pos);
                }
                is_news
            }
        }
    }

    fn control(&mut self, control: &Control) {
        match control {
            Control::Connected { epoch, .. } => {
                if self.epoch.as_ref() != Some(epoch) {
                    // Another log: its positions mean other changes. The old cursor stays until the
                    // new state is complete; the server answers it with `epoch` as often as needed.
                    self.positions.clear();
                    self.states.clear();
                    self.epoch = Some(epoch.clone());
                }
                self.catching_up = CatchingUp::InOrder;
            }
            Control::Subscribed { recovered: false, .. } | Control::Resync { .. } => {
                self.catching_up = CatchingUp::Snapshot;
            }
            Control::Live { cursor, .. } => {
                self.catching_up = CatchingUp::No;
                let is_newer =
                    self.cursor.as_ref().is_none_or(|known| known.epoch != cursor.epoch || known.pos < cursor.pos);
                if is_newer {
                    self.cursor = Some(cursor.clone());
                }
            }
            Control::Subscribed { .. }
            | Control::Unsubscribed { .. }
            | Control::Status { .. }
            | Control::Pong { .. }
            | Control::Error { .. } => {}
        }
    }

    fn advance(&mut self, pos: u64) {
        if let Some(cursor) = &mut self.cursor
            && self.epoch.as_ref() == Some(&cursor.epoch)
        {
            cursor.pos = cursor.pos.max(pos);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages in short: `r7` result at 7, `r7~` the same in a snapshot, `r7!` its early copy, `b7` board of group A at 7,
    /// `+e` connected to epoch e, `yes`/`no` subscribed and (not) recovered, `live7`, `lag`.
    fn message(short: &str, epoch: &str) -> Message {
        let number = |text: &str| text.trim_end_matches(['~', '!']).parse::<u64>().unwrap();
        let replay = match short.chars().last() {
            Some('~') => r#","replay":true"#,
            Some('!') => r#","early":true"#,
            _ => "",
        };
        let time = "2026-07-18T12:00:00Z";
        let text = if let Some(epoch) = short.strip_prefix('+') {
            format!(
                r#"{{"type":"connected","event_id":1,"message":"m","topics":[],"epoch":"{epoch}","cursor":"{epoch}.1","timestamp":"{time}"}}"#
            )
        } else if short == "yes" || short == "no" {
            let (recovered, reason) = if short == "yes" { (true, "null") } else { (false, r#""expired""#) };
            format!(
                r#"{{"type":"subscribed","stream":"results","epoch":"{epoch}","cursor":"{epoch}.1","recovered":{recovered},"reason":{reason}}}"#
            )
        } else if let Some(pos) = short.strip_prefix("live") {
            format!(r#"{{"type":"live","topics":["event_1_results"],"cursor":"{epoch}.{pos}"}}"#)
        } else if short == "lag" {
            format!(r#"{{"type":"resync","topics":[],"reason":"lagged","cursor":"{epoch}.1"}}"#)
        } else if let Some(pos) = short.strip_prefix('r') {
            let pos = number(pos);
            format!(
                r#"{{"type":"result_update","data":{{"event_id":1}},"timestamp":"{time}","topic":"event_1_results","seq":{pos},"pos":{pos}{replay}}}"#
            )
        } else {
            let pos = number(&short[1..]);
            format!(
                r#"{{"type":"leaderboard_update","data":{{"group":"A"}},"timestamp":"{time}","topic":"event_1_results","seq":{pos},"pos":{pos}{replay}}}"#
            )
        };
        Message::parse(text).unwrap()
    }

    #[test]
    fn each_change_is_news_once_and_only_what_is_complete_moves_the_cursor() {
        for (why, since, script, news, cursor) in [
            ("fresh: the snapshot counts when it is complete", None, "+e no r3~ b4~", "r3~ b4~", None),
            ("fresh: live says so", None, "+e no r3~ b4~ live5", "r3~ b4~", Some("e.5")),
            ("live log frames move it", None, "+e no live5 r6 r8", "r6 r8", Some("e.8")),
            ("state frames never do", None, "+e no live5 b9", "b9", Some("e.5")),
            ("nor do copies", None, "+e no live5 r9~", "r9~", Some("e.5")),
            ("missed frames do, one by one", Some("e.5"), "+e yes r6 r7", "r6 r7", Some("e.7")),
            ("a lower live does not take it back", Some("e.5"), "+e yes r6 r7 live6", "r6 r7", Some("e.7")),
            ("cut before live of a snapshot: the old cursor", Some("e.5"), "+e no r9~ r10", "r9~ r10", Some("e.5")),
            ("a frame twice is news once", Some("e.5"), "+e yes r6 live6 r7 +e yes r6 r7 r8", "r6 r7 r8", Some("e.8")),
            ("a set, not a maximum", Some("e.5"), "+e yes r9 live9 r7~", "r9 r7~", Some("e.9")),
            ("an older state is no news", None, "+e no b7~ live7 b9 b7 b9 b10", "b7~ b9 b10", Some("e.7")),
            (
                "too slow: state and tail, then live",
                Some("e.5"),
                "+e yes live5 lag b20~ r19~ live20",
                "b20~ r19~",
                Some("e.20"),
            ),
            (
                "cut while too slow: everything again from the old cursor",
                Some("e.5"),
                "+e yes live5 lag r19~",
                "r19~",
                Some("e.5"),
            ),
            ("behind, and then up to date", Some("e.5"), "+e yes live5 r6 r7 live9", "r6 r7", Some("e.9")),
            ("an early copy moves nothing", Some("e.5"), "+e yes live5 r9!", "r9!", Some("e.5")),
            (
                "and neither hides its turn nor what it has overtaken",
                Some("e.5"),
                "+e yes live5 r9! r6 r7 r9 r10",
                "r9! r6 r7 r9 r10",
                Some("e.10"),
            ),
            (
                "cut after an early copy: its turn is still to come",
                Some("e.5"),
                "+e yes live5 r9! +e yes r6 r9",
                "r9! r6 r9",
                Some("e.9"),
            ),
            ("early, but known: too late", Some("e.5"), "+e yes live5 r9 r9!", "r9", Some("e.9")),
            ("another log starts over", Some("e.9"), "+e yes r10 live10 +f no r2~ live3", "r10 r2~", Some("f.3")),
            ("another log, not complete", Some("e.9"), "+f no r2~ b2~", "r2~ b2~", Some("e.9")),
        ] {
            let mut rule = Rule::from(since.map(|cursor: &str| cursor.parse().unwrap()));
            let mut epoch = "e";
            let mut got = Vec::new();
            for short in script.split(' ') {
                if let Some(other) = short.strip_prefix('+') {
                    epoch = other;
                }
                let message = message(short, epoch);
                if rule.apply(&message) && matches!(message.said, Said::Data(_)) {
                    got.push(short);
                }
            }
            assert_eq!(got.join(" "), news, "{why}");
            assert_eq!(rule.cursor().map(ToString::to_string).as_deref(), cursor, "{why}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut rule = Rule::from(Some("e.0".parse().unwrap()));
        for pos in 1..=10_000 {
            rule.apply(&message(&format!("r{pos}"), "e"));
        }
        assert_eq!(rule.positions.len(), POSITIONS_MAX);
        assert!(!rule.apply(&message("r9999", "e")), "the newest are remembered");
    }

    #[test]
    fn boards_of_two_groups_do_not_replace_each_other() {
        let board = |group: &str, seq: u64| {
            Message::parse(format!(
                r#"{{"type":"leaderboard_update","data":{{"group":{group}}},"timestamp":"2026-07-18T12:00:00Z","topic":"event_1_results","seq":{seq},"pos":{seq}}}"#
            ))
            .unwrap()
        };
        let mut rule = Rule::default();
        assert!(rule.apply(&board("\"A\"", 7)));
        assert!(rule.apply(&board("\"B\"", 5)), "another lane");
        assert!(rule.apply(&board("null", 5)), "the table of an event without groups");
        assert!(!rule.apply(&board("\"A\"", 6)));
    }

    #[test]
    fn messages_keep_their_text_and_unknown_types_pass() {
        let text = r#"{"type":"purchase_update", "data":{} }"#;
        let message = Message::parse(text.to_owned()).unwrap();
        assert_eq!((message.text.as_str(), &message.said), (text, &Said::Unknown));
        for text in ["", "[]", "{}", r#"{"type":"result_update"}"#, r#"{"type":"live"}"#] {
            assert!(Message::parse(text.to_owned()).is_err(), "{text}");
        }
    }
}
