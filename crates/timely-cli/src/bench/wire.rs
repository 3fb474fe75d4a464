//! What a server sends, read just as far as a measurement needs it.
//!
//! Frames and blocks are cut where they end and searched for a few fields; nothing is copied or
//! parsed as JSON. At a hundred thousand messages a second a full reader would measure itself.

use memchr::memmem::{self, Finder, FinderRev};

use super::ledger::Delivery;

/// How subscribers listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    Sse,
}

/// What is published, and thereby what subscribers look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    Announcements,
    Results,
}

/// A part of what arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// One message: JSON.
    Message(&'a [u8]),
    Ping(&'a [u8]),
    Close(Option<u16>),
}

/// Bytes that are no stream of a Timely server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server sent {0}")]
pub(crate) struct Broken(pub &'static str);

/// Cuts the complete WebSocket frames off the front of `bytes`; answers how many bytes they have.
///
/// # Errors
/// Frames that a server must not send, or that this one never does: masked, fragmented, compressed.
pub(crate) fn frames<'a>(bytes: &'a [u8], mut each: impl FnMut(Piece<'a>)) -> Result<usize, Broken> {
    let mut used = 0;
    while let Some(Frame { opcode, payload, len }) = frame(bytes.get(used..).unwrap_or_default())? {
        used += len;
        match opcode {
            0x1 => each(Piece::Message(payload)),
            0x8 => each(Piece::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code)))),
            0x9 => each(Piece::Ping(payload)),
            0xA => {}
            _ => return Err(Broken("a frame that is neither text nor control")),
        }
    }
    Ok(used)
}

struct Frame<'a> {
    opcode: u8,
    payload: &'a [u8],
    /// With its head, in bytes.
    len: usize,
}

/// The frame at the front, or `None` while it is not all there.
fn frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, Broken> {
    let Some([first, second]) = bytes.first_chunk() else { return Ok(None) };
    if first & 0xF0 != 0x80 {
        return Err(Broken("a frame in fragments or with an extension"));
    }
    let (head, len) = match second {
        0..=125 => (2, u64::from(*second)),
        126 => match bytes.get(2..).and_then(<[u8]>::first_chunk) {
            Some(len) => (4, u64::from(u16::from_be_bytes(*len))),
            None => return Ok(None),
        },
        127 => match bytes.get(2..).and_then(<[u8]>::first_chunk) {
            Some(len) => (10, u64::from_be_bytes(*len)),
            None => return Ok(None),
        },
        _ => return Err(Broken("a masked frame")),
    };
    let end =
        usize::try_from(len).ok().and_then(|len| len.checked_add(head)).ok_or(Broken("a frame beyond measure"))?;
    Ok(bytes.get(head..end).map(|payload| Frame { opcode: first & 0x0F, payload, len: end }))
}

/// Cuts the complete blocks of an event stream off the front of `bytes`; answers how many bytes they
/// have. Blocks without data, such as a cursor or a comment, are passed over.
pub(crate) fn blocks<'a>(bytes: &'a [u8], mut each: impl FnMut(Piece<'a>)) -> usize {
    let mut used = 0;
    while let Some(rest) = bytes.get(used..)
        && let Some(end) = memmem::find(rest, b"\n\n")
    {
        for line in rest[..end].split(|byte| *byte == b'\n') {
            if let Some(message) = line.strip_prefix(b"data: ") {
                each(Piece::Message(message));
            }
        }
        used += end + 2;
    }
    used
}

/// The answer to a ping. Frames of a client are masked; a mask of zeros leaves the payload as it is.
pub(crate) fn pong(payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).unwrap_or(125).min(125);
    let mut frame = vec![0x8A, 0x80 | len, 0, 0, 0, 0];
    frame.extend_from_slice(&payload[..usize::from(len)]);
    frame
}

/// What a message is to a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// From here on everything is delivered.
    Subscribed,
    /// One of ours: its number, and its place in the lane.
    Published {
        number: u64,
        seq: u64,
        delivery: Delivery,
    },
    Board {
        seq: u64,
    },
    /// The server could not keep this connection up to date message by message.
    Resync,
    Other,
}

/// Stands around the number in the text of an announcement.
const MARK: &str = "bench#";

/// The text of an announcement: its number, and when it was sent in nanoseconds since the start.
pub(crate) fn marked(number: u64, sent_ns: u64) -> String {
    format!("{MARK}{number}@{sent_ns}")
}

/// Highest number that a score can carry, plus 1.
pub(crate) const RESULTS_MAX: u64 = 1_000_000;

/// The score that carries a number below [`RESULTS_MAX`].
pub(crate) fn score(number: u64) -> (u16, u16) {
    let part = |number: u64| u16::try_from(number).unwrap_or(timely_core::result::SCORE_MAX);
    (part(number / 1000), part(number % 1000))
}

/// Finds the fields.
#[derive(Debug)]
pub(crate) struct Reader {
    load: Load,
    mark: Finder<'static>,
    home: Finder<'static>,
    away: Finder<'static>,
    seq: FinderRev<'static>,
    replay: Finder<'static>,
}

impl Reader {
    pub(crate) fn new(load: Load) -> Self {
        Self {
            load,
            mark: Finder::new(MARK),
            home: Finder::new("\"home_score\":"),
            away: Finder::new("\"away_score\":"),
            seq: FinderRev::new("\"seq\":"),
            replay: Finder::new("\"replay\":true"),
        }
    }

    /// Reads one message.
    ///
    /// # Errors
    /// A message of the kind that was published, without the fields it must have.
    pub(crate) fn read(&self, message: &[u8]) -> Result<Told, Broken> {
        let kind = message.strip_prefix(b"{\"type\":\"").ok_or(Broken("a message without a type"))?;
        let is = |word: &str| kind.starts_with(word.as_bytes()) && kind.get(word.len()) == Some(&b'"');
        match self.load {
            Load::Announcements if is("announcement_update") => {
                let number = number_after(&self.mark, message).ok_or(Broken("an announcement that is none of ours"))?;
                self.published(number, message)
            }
            Load::Results if is("result_update") => {
                let home = number_after(&self.home, message);
                let away = number_after(&self.away, message);
                let (Some(home), Some(away)) = (home, away) else { return Err(Broken("a result without a score")) };
                self.published(home * 1000 + away, message)
            }
            _ if is("leaderboard_update") => Ok(Told::Board { seq: self.seq(message)?.0 }),
            _ if is("subscribed") => Ok(Told::Subscribed),
            _ if is("resync") => Ok(Told::Resync),
            _ => Ok(Told::Other),
        }
    }

    fn published(&self, number: u64, message: &[u8]) -> Result<Told, Broken> {
        let (seq, tail) = self.seq(message)?;
        let delivery = if self.replay.find(tail).is_some() { Delivery::Replay } else { Delivery::Live };
        Ok(Told::Published { number, seq, delivery })
    }

    /// The number in the lane and what stands behind it. Searched from the end: the same letters in a
    /// text stand further in front.
    fn seq<'a>(&self, message: &'a [u8]) -> Result<(u64, &'a [u8]), Broken> {
        let missing = Broken("a message without a number");
        let tail = self.seq.rfind(message).and_then(|at| message.get(at + self.seq.needle().len()..)).ok_or(missing)?;
        Ok((number(tail).ok_or(missing)?, tail))
    }
}

fn number_after(finder: &Finder<'_>, message: &[u8]) -> Option<u64> {
    number(message.get(finder.find(message)? + finder.needle().len()..)?)
}

/// The digits at the front.
fn number(bytes: &[u8]) -> Option<u64> {
    let len = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&bytes[..len]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the receiver does it: what is incomplete is kept and put in front of what comes next.
    fn in_pieces(bytes: &[u8], size: usize, cut: impl Fn(&[u8], &mut Vec<String>) -> usize) -> (Vec<String>, usize) {
        let (mut told, mut kept) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            kept.extend_from_slice(piece);
            let used = cut(&kept, &mut told);
            kept.drain(..used);
        }
        (told, kept.len())
    }

    fn told(piece: Piece<'_>) -> String {
        match piece {
            Piece::Message(text) => format!("message of {} ends {:?}", text.len(), text.last().map(|b| char::from(*b))),
            other => format!("{other:?}"),
        }
    }

    fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            len @ 0..=125 => frame.push(u8::try_from(len).unwrap()),
            len @ 126..=0xFFFF => {
                frame.push(126);
                frame.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
            len => {
                frame.push(127);
                frame.extend((len as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn frames_are_cut_wherever_the_bytes_are_split() {
        let mut bytes = Vec::new();
        for len in [0, 1, 125, 126, 127, 65_535, 65_536] {
            bytes.extend(server_frame(1, &vec![b'x'; len]));
        }
        bytes.extend(server_frame(9, b"hi"));
        bytes.extend(server_frame(10, b""));
        bytes.extend(server_frame(8, &[0x10, 0x68, b'b']));
        let cut = |bytes: &[u8], into: &mut Vec<String>| frames(bytes, |piece| into.push(told(piece))).unwrap();
        let (whole, rest) = in_pieces(&bytes, bytes.len(), cut);
        assert_eq!((whole.len(), rest), (9, 0));
        assert_eq!(whole[5], "message of 65535 ends Some('x')");
        assert_eq!(whole[7..], ["Ping([104, 105])", "Close(Some(4200))"]);
        for size in [1, 2, 3, 7, 100, 4096, 65_537] {
            // Byte by byte the long ones take their time: they are tried in larger pieces.
            let bytes = if size < 100 { &bytes[..900] } else { &bytes[..] };
            let (pieces, _) = in_pieces(bytes, size, cut);
            assert_eq!(pieces, whole[..pieces.len()], "{size}");
            assert!(pieces.len() >= 5, "{size}: {pieces:?}");
        }
        let short = [server_frame(1, b"ab"), server_frame(8, b"")].concat();
        for size in 1..=short.len() {
            let (pieces, rest) = in_pieces(&short, size, cut);
            assert_eq!((pieces, rest), (vec!["message of 2 ends Some('b')".into(), "Close(None)".into()], 0), "{size}");
        }
    }

    #[test]
    fn frames_that_this_server_never_sends_are_refused() {
        for (why, bytes) in [
            ("masked", &[0x81, 0x81, 1, 2, 3, 4, 5][..]),
            ("first fragment", &[0x01, 1, b'x']),
            ("compressed", &[0xC1, 1, b'x']),
            ("binary", &[0x82, 1, 0]),
            ("a continuation", &[0x80, 1, 0]),
            ("longer than memory", &[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255]),
        ] {
            assert!(frames(bytes, |_| {}).is_err(), "{why}");
        }
    }

    #[test]
    fn blocks_are_cut_wherever_the_bytes_are_split() {
        let text =
            "retry: 2000\n\ndata: {\"a\":1}\n\nid: k.16\n\nid: k.17\ndata: {\"b\":2}\n\n:\n\nid: k.17\n\ndata: {\"c\"";
        for size in 1..=text.len() {
            let (pieces, rest) = in_pieces(text.as_bytes(), size, |bytes, into| {
                blocks(bytes, |piece| {
                    let Piece::Message(message) = piece else { panic!("{piece:?}") };
                    into.push(String::from_utf8(message.to_vec()).unwrap());
                })
            });
            assert_eq!(pieces, ["{\"a\":1}", "{\"b\":2}"], "{size}");
            assert_eq!(rest, "data: {\"c\"".len(), "{size}");
        }
    }

    #[test]
    fn messages_are_told_apart_by_their_first_and_last_fields() {
        let announcement = format!(
            r#"{{"type":"announcement_update","data":{{"announcement":{{"title":"\"seq\":9","message":"{}"}}}},"topic":"event_1_announcements","seq":4,"pos":17}}"#,
            marked(12, 99)
        );
        let replayed = announcement.replace("\"pos\":17}", "\"pos\":17,\"replay\":true}");
        let (home, away) = score(123_045);
        let result = format!(
            r#"{{"type":"result_update","data":{{"result":{{"home_score":{home},"away_score":{away}}}}},"seq":3,"pos":20}}"#
        );
        let board = r#"{"type":"leaderboard_update","data":{},"seq":21,"pos":21}"#;
        let published = |number, seq, delivery| Ok(Told::Published { number, seq, delivery });
        for (load, message, expected) in [
            (Load::Announcements, announcement.as_str(), published(12, 4, Delivery::Live)),
            (Load::Announcements, &replayed, published(12, 4, Delivery::Replay)),
            (Load::Results, &result, published(123_045, 3, Delivery::Live)),
            (Load::Results, board, Ok(Told::Board { seq: 21 })),
            (Load::Results, &announcement, Ok(Told::Other)),
            (Load::Announcements, r#"{"type":"subscribed","stream":"results"}"#, Ok(Told::Subscribed)),
            (Load::Announcements, r#"{"type":"subscribed_not"}"#, Ok(Told::Other)),
            (Load::Announcements, r#"{"type":"resync","topics":[]}"#, Ok(Told::Resync)),
        ] {
            assert_eq!(Reader::new(load).read(message.as_bytes()), expected, "{message}");
        }
        for (load, message) in [
            (Load::Announcements, r#"{"type":"announcement_update","data":{"message":"hello"},"seq":1}"#),
            (Load::Announcements, r#"{"type":"announcement_update","data":{"message":"bench#1@2"}}"#),
            (Load::Results, r#"{"type":"result_update","data":{"home_score":null,"away_score":1},"seq":1}"#),
            (Load::Results, "[]"),
        ] {
            assert!(Reader::new(load).read(message.as_bytes()).is_err(), "{message}");
        }
    }

    #[test]
    fn a_pong_says_what_the_ping_said() {
        assert_eq!(pong(b"ab"), [0x8A, 0x82, 0, 0, 0, 0, b'a', b'b']);
        assert_eq!(pong(b""), [0x8A, 0x80, 0, 0, 0, 0]);
    }
}
