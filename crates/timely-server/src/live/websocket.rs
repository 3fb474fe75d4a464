//! WebSocket frames (RFC 6455), both ways, without a socket.
//!
//! Heads are read and written by tungstenite; what stands here is how frames become messages when
//! bytes arrive in any pieces. Clients say little: a message has at most [`INBOUND_BYTES_MAX`], and
//! state is kept only while a frame or a message is incomplete.

use std::io::Cursor;

use tungstenite::Error;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Largest message a client may send, in bytes.
pub const INBOUND_BYTES_MAX: usize = 4 * 1024;
/// Most bytes of the payload of a control frame.
const CONTROL_BYTES_MAX: usize = 125;

/// Close codes of RFC 6455 that answer a broken client.
pub mod code {
    /// A frame that is none.
    pub const PROTOCOL: u16 = 1002;
    /// Text that is not UTF-8.
    pub const NOT_TEXT: u16 = 1007;
    /// A message that is too large.
    pub const TOO_LARGE: u16 = 1009;
}

/// What a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Text(String),
    Binary,
    Ping(Vec<u8>),
    Pong,
    /// The other side ends the conversation, with its code if it gave one.
    Close(Option<u16>),
}

/// A frame or a message that has not arrived as a whole.
#[derive(Debug, Default)]
pub struct Partial {
    bytes: Vec<u8>,
    message: Option<Message>,
}

#[derive(Debug)]
struct Message {
    is_text: bool,
    payload: Vec<u8>,
}

/// Takes in what arrived. `partial` holds what is incomplete, and nothing else.
///
/// # Errors
/// The close code for a client that breaks the protocol; nothing more is to be read from it.
pub fn feed(partial: &mut Option<Box<Partial>>, arrived: &[u8], heard: &mut Vec<Heard>) -> Result<(), u16> {
    let mut state = partial.take().unwrap_or_default();
    let joined = (!state.bytes.is_empty()).then(|| {
        let mut joined = std::mem::take(&mut state.bytes);
        joined.extend_from_slice(arrived);
        joined
    });
    let mut rest = joined.as_deref().unwrap_or(arrived);
    while let Some(used) = frame(rest, &mut state.message, heard)? {
        rest = rest.get(used..).unwrap_or_default();
        if matches!(heard.last(), Some(Heard::Close(_))) {
            // What comes after a close counts for nothing.
            return Ok(());
        }
    }
    if !rest.is_empty() || state.message.is_some() {
        state.bytes = rest.to_vec();
        *partial = Some(state);
    }
    Ok(())
}

/// Reads one frame; answers its length, or `None` if it is not all there.
fn frame(bytes: &[u8], message: &mut Option<Message>, heard: &mut Vec<Heard>) -> Result<Option<usize>, u16> {
    let mut cursor = Cursor::new(bytes);
    let (header, payload_len) = match FrameHeader::parse(&mut cursor) {
        Ok(Some(header)) => header,
        Ok(None) => return Ok(None),
        Err(error) => return Err(close_code(&error)),
    };
    let head_len = usize::try_from(cursor.position()).map_err(|_| code::TOO_LARGE)?;
    let payload_len = usize::try_from(payload_len).map_err(|_| code::TOO_LARGE)?;
    // Judged by the head alone, so that a bad frame never fills a buffer.
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(code::PROTOCOL);
    }
    let Some(mask) = header.mask else { return Err(code::PROTOCOL) };
    // First byte, length, mask: a length has one way to be written.
    let shortest = match payload_len {
        0..=125 => 1 + 1 + 4,
        126..=0xffff => 1 + 3 + 4,
        _ => 1 + 9 + 4,
    };
    if head_len != shortest {
        return Err(code::PROTOCOL);
    }
    let before = match (header.opcode, &message) {
        (OpCode::Control(_), _) if !header.is_final || payload_len > CONTROL_BYTES_MAX => return Err(code::PROTOCOL),
        (OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)), _)
        | (OpCode::Data(Data::Continue), None)
        | (OpCode::Data(Data::Text | Data::Binary), Some(_)) => return Err(code::PROTOCOL),
        (OpCode::Data(Data::Continue), Some(message)) => message.payload.len(),
        (OpCode::Control(_) | OpCode::Data(Data::Text | Data::Binary), _) => 0,
    };
    if before + payload_len > INBOUND_BYTES_MAX {
        return Err(code::TOO_LARGE);
    }
    let end = head_len + payload_len;
    let Some(masked) = bytes.get(head_len..end) else { return Ok(None) };
    let payload = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    match header.opcode {
        OpCode::Control(Control::Ping) => heard.push(Heard::Ping(payload.collect())),
        OpCode::Control(Control::Close) => heard.push(Heard::Close(closed(&payload.collect::<Vec<_>>())?)),
        OpCode::Control(Control::Pong | Control::Reserved(_)) => heard.push(Heard::Pong),
        OpCode::Data(kind) => {
            let message_so_far =
                message.get_or_insert_with(|| Message { is_text: kind == Data::Text, payload: Vec::new() });
            message_so_far.payload.extend(payload);
            if header.is_final
                && let Some(Message { is_text, payload }) = message.take()
            {
                heard.push(if is_text {
                    Heard::Text(String::from_utf8(payload).map_err(|_| code::NOT_TEXT)?)
                } else {
                    Heard::Binary
                });
            }
        }
    }
    Ok(Some(end))
}

fn close_code(error: &Error) -> u16 {
    match error {
        Error::Capacity(_) => code::TOO_LARGE,
        _ => code::PROTOCOL,
    }
}

/// The code of a close frame, which must be one that may be sent.
fn closed(payload: &[u8]) -> Result<Option<u16>, u16> {
    match payload {
        [] => Ok(None),
        [_] => Err(code::PROTOCOL),
        [high, low, reason @ ..] => {
            let given = u16::from_be_bytes([*high, *low]);
            match given {
                1000..=1003 | 1007..=1014 | 3000..=4999 if std::str::from_utf8(reason).is_ok() => Ok(Some(given)),
                1000..=1003 | 1007..=1014 | 3000..=4999 => Err(code::NOT_TEXT),
                _ => Err(code::PROTOCOL),
            }
        }
    }
}

/// Adds a text message to what is to be sent.
pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put(out, OpCode::Data(Data::Text), text);
}

/// Adds an empty ping.
pub fn put_ping(out: &mut Vec<u8>) {
    put(out, OpCode::Control(Control::Ping), &[]);
}

/// Adds the answer to a ping.
pub fn put_pong(out: &mut Vec<u8>, payload: &[u8]) {
    put(out, OpCode::Control(Control::Pong), payload);
}

/// Adds a close; `None` answers one that gave no code.
pub fn put_close(out: &mut Vec<u8>, code: Option<u16>, reason: &str) {
    let payload = code.map_or_else(Vec::new, |code| [&code.to_be_bytes()[..], reason.as_bytes()].concat());
    put(out, OpCode::Control(Control::Close), &payload);
}

fn put(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    let head = FrameHeader { is_final: true, opcode, ..FrameHeader::default() };
    // Writing to memory does not fail.
    let written = head.format(payload.len() as u64, out);
    debug_assert!(written.is_ok(), "{written:?}");
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as clients send it: masked.
    fn client(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [7, 1, 255, 42];
        let mut frame = vec![first];
        if let Some(len) = u8::try_from(payload.len()).ok().filter(|len| *len <= 125) {
            frame.push(0x80 | len);
        } else {
            frame.push(0xfe);
            frame.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    fn feed_in_steps(bytes: &[u8], step: usize) -> (Result<(), u16>, Vec<Heard>, bool) {
        let (mut partial, mut heard) = (None, Vec::new());
        for piece in bytes.chunks(step) {
            if let Err(code) = feed(&mut partial, piece, &mut heard) {
                return (Err(code), heard, partial.is_some());
            }
        }
        (Ok(()), heard, partial.is_some())
    }

    #[test]
    fn messages_do_not_depend_on_how_their_bytes_arrive() {
        let mut bytes = client(0x81, br#"{"type":"ping"}"#);
        bytes.extend(client(0x01, "h\u{e9}".as_bytes().split_at(2).0));
        bytes.extend(client(0x89, b"between fragments"));
        bytes.extend(client(0x80, "h\u{e9}llo".as_bytes().split_at(2).1));
        bytes.extend(client(0x82, &[0xff]));
        bytes.extend(client(0x81, &[b'x'; 300]));
        bytes.extend(client(0x8a, b"unasked"));
        bytes.extend(client(0x88, &[0x03, 0xe8, b'o', b'k']));
        bytes.extend(client(0x81, b"after the close"));
        let heard = vec![
            Heard::Text(r#"{"type":"ping"}"#.into()),
            Heard::Ping(b"between fragments".to_vec()),
            Heard::Text("h\u{e9}llo".into()),
            Heard::Binary,
            Heard::Text("x".repeat(300)),
            Heard::Pong,
            Heard::Close(Some(1000)),
        ];
        for step in 1..=bytes.len() {
            let (ended, got, _) = feed_in_steps(&bytes[..bytes.len() - 21], step);
            assert_eq!((ended, got), (Ok(()), heard.clone()), "in steps of {step}");
        }
        let (_, got, is_partial) = feed_in_steps(&bytes, bytes.len());
        assert_eq!((got, is_partial), (heard, false), "nothing counts after a close");
    }

    #[test]
    fn what_breaks_the_protocol_is_refused_by_its_code_however_it_arrives() {
        for (why, bytes, expected) in [
            ("unmasked", vec![0x81, 2, b'h', b'i'], code::PROTOCOL),
            ("a reserved bit", client(0xc1, b"x"), code::PROTOCOL),
            ("opcode 3", client(0x83, b"x"), code::PROTOCOL),
            ("opcode 11", client(0x8b, b"x"), code::PROTOCOL),
            ("a ping in fragments", client(0x09, b"x"), code::PROTOCOL),
            ("a long ping", client(0x89, &[0; 126]), code::PROTOCOL),
            ("a continuation of nothing", client(0x80, b"x"), code::PROTOCOL),
            ("text inside a message", [client(0x01, b"a"), client(0x81, b"b")].concat(), code::PROTOCOL),
            ("a short length in two bytes", vec![0x81, 0xfe, 0, 1, 0, 0, 0, 0, b'x'], code::PROTOCOL),
            ("a length in eight", [vec![0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 126], vec![0; 130]].concat(), code::PROTOCOL),
            ("too large, by its head", vec![0x81, 0xfe, 0x10, 0x01, 0, 0, 0, 0], code::TOO_LARGE),
            ("far too large", [vec![0x81, 0xff], vec![0x7f; 8], vec![0; 4]].concat(), code::TOO_LARGE),
            ("too large in sum", [client(0x01, &[b'a'; 4000]), client(0x80, &[b'a'; 97])].concat(), code::TOO_LARGE),
            ("not UTF-8", client(0x81, &[0xff]), code::NOT_TEXT),
            ("a close of one byte", client(0x88, &[3]), code::PROTOCOL),
            ("a code that is never sent", client(0x88, &1005_u16.to_be_bytes()), code::PROTOCOL),
            ("a reason that is not UTF-8", client(0x88, &[3, 0xe8, 0xff]), code::NOT_TEXT),
        ] {
            assert_eq!(feed_in_steps(&bytes, bytes.len()).0, Err(expected), "{why}");
            assert_eq!(feed_in_steps(&bytes, 1).0, Err(expected), "{why}, byte by byte");
        }
    }

    #[test]
    fn nothing_is_kept_between_whole_messages() {
        for (bytes, is_kept) in [
            (client(0x81, b"x"), false),
            (client(0x01, b"x"), true),
            (client(0x81, b"x")[..3].to_vec(), true),
            (Vec::new(), false),
        ] {
            let (mut partial, mut heard) = (None, Vec::new());
            feed(&mut partial, &bytes, &mut heard).unwrap();
            assert_eq!(partial.is_some(), is_kept, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_put_is_what_a_client_reads() {
        let mut out = Vec::new();
        put_text(&mut out, b"hi");
        put_ping(&mut out);
        put_pong(&mut out, b"p");
        put_close(&mut out, Some(4200), "come back");
        put_close(&mut out, None, "");
        assert_eq!(out[..6], [0x81, 2, b'h', b'i', 0x89, 0]);
        assert_eq!(out[6..9], [0x8a, 1, b'p']);
        assert_eq!(out[9..13], [0x88, 11, 0x10, 0x68]);
        assert_eq!(out[22..], [0x88, 0]);
        for len in [125, 126, 65_535, 65_536] {
            let mut out = Vec::new();
            put_text(&mut out, &vec![b'x'; len]);
            let (head, payload_len) = FrameHeader::parse(&mut Cursor::new(&out)).unwrap().unwrap();
            assert_eq!((payload_len, head.mask), (len as u64, None));
        }
    }
}
