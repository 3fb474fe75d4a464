//! Thousands of subscribers on a few threads.
//!
//! A task and a parser for each of them would cost more than the server that is measured. Each
//! thread has a poll, one buffer to receive into, and for every subscriber a socket, its ledger and
//! the bytes of a message that has not arrived as a whole.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use memchr::memmem;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use serde_json::Value;

use super::ledger::Ledger;
use super::publisher::nanos;
use super::wire::{Broken, Load, Piece, Reader, Told, Transport, blocks, frames, pong};

/// Handshakes of a thread that are on their way at a time.
const HANDSHAKES_MAX: usize = 64;
/// Room to receive into, per thread.
const RECEIVE_BYTES: usize = 256 * 1024;
/// Events taken from the poll at a time.
const EVENTS_MAX: usize = 1024;
/// Longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How often a thread that hears nothing looks whether it is to stop.
const LOOK_NS: i64 = 20_000_000;
/// Connections from one loopback address before the next one is used: ports are finite.
const PORTS_PER_ADDRESS: usize = 20_000;
/// The key of every handshake, and what a server must make of it (RFC 6455, section 1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Whom to connect to, and how.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub address: SocketAddr,
    /// What the `Host` header says.
    pub host: String,
    pub path: String,
    pub transport: Transport,
    pub load: Load,
    /// What nanoseconds are counted from.
    pub origin: Instant,
}

impl Target {
    fn request(&self) -> String {
        let Self { path, host, .. } = self;
        match self.transport {
            Transport::WebSocket => format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
            ),
            Transport::Sse => format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n"),
        }
    }

    /// Where a subscriber connects from, if that is to be said.
    fn source(&self, index: usize) -> Option<SocketAddr> {
        let block = u8::try_from(index / PORTS_PER_ADDRESS).ok().filter(|block| *block > 0)?;
        let IpAddr::V4(address) = self.address.ip() else { return None };
        address.is_loopback().then(|| SocketAddr::from((Ipv4Addr::new(127, 0, 1, block), 0)))
    }
}

/// How far the swarm is, for those who wait for it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub ready: AtomicU64,
    pub deliveries: AtomicU64,
    pub closed: AtomicU64,
    /// When the last delivery was, in nanoseconds.
    pub last_ns: AtomicU64,
    /// The table every subscriber must end with.
    pub wanted: OnceLock<Value>,
    /// Subscribers that have it.
    pub right: Vec<AtomicU64>,
    stop: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Progress {
    /// Why the first subscriber failed.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many subscribers have the wanted table.
    pub(crate) fn right(&self) -> u64 {
        self.right.iter().map(|right| right.load(Ordering::Relaxed)).sum()
    }
}

/// One message as the subscribers of a thread saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its place in the lane; 0 as long as nobody has it.
    pub seq: u64,
    pub first_ns: u64,
    pub last_ns: u64,
}

const UNSEEN: Seen = Seen { seq: 0, first_ns: u64::MAX, last_ns: 0 };

/// What a thread counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub ledgers: Vec<Ledger>,
    /// By number of the message.
    pub seen: Vec<Seen>,
    /// Deliveries of one message under two places, or of two under one.
    pub mistaken: u64,
    pub resyncs: u64,
}

impl Tally {
    /// Enters a delivery that is new to its subscriber.
    fn see(&mut self, number: u64, seq: u64, now_ns: u64) -> Result<(), Broken> {
        /// More messages than any measurement sends.
        const NUMBERS_MAX: usize = 50_000_000;
        let index = usize::try_from(number).ok().filter(|index| *index < NUMBERS_MAX);
        let index = index.ok_or(Broken("a number that was never published"))?;
        if self.seen.len() <= index {
            self.seen.resize(index + 1, UNSEEN);
        }
        if let Some(seen) = self.seen.get_mut(index) {
            if seen.seq == 0 {
                seen.seq = seq;
            } else if seen.seq != seq {
                self.mistaken += 1;
            }
            seen.first_ns = seen.first_ns.min(now_ns);
            seen.last_ns = seen.last_ns.max(now_ns);
        }
        Ok(())
    }

    /// Adds what another thread counted.
    pub(crate) fn merge(&mut self, other: Self) {
        self.ledgers.extend(other.ledgers);
        self.mistaken += other.mistaken;
        self.resyncs += other.resyncs;
        if self.seen.len() < other.seen.len() {
            self.seen.resize(other.seen.len(), UNSEEN);
        }
        for (mine, theirs) in self.seen.iter_mut().zip(other.seen) {
            if theirs.seq == 0 {
                continue;
            }
            if mine.seq == 0 {
                mine.seq = theirs.seq;
            } else if mine.seq != theirs.seq {
                self.mistaken += 1;
            }
            mine.first_ns = mine.first_ns.min(theirs.first_ns);
            mine.last_ns = mine.last_ns.max(theirs.last_ns);
        }
    }
}

/// All subscribers.
#[derive(Debug)]
pub(crate) struct Swarm {
    pub progress: Arc<Progress>,
    threads: Vec<JoinHandle<io::Result<Tally>>>,
}

impl Swarm {
    /// Starts to connect `subscribers` on `threads` threads.
    ///
    /// # Errors
    /// When the system gives no poll or thread.
    pub(crate) fn start(target: &Target, subscribers: usize, threads: usize) -> io::Result<Self> {
        let progress = Progress { right: (0..threads).map(|_| AtomicU64::new(0)).collect(), ..Progress::default() };
        let mut swarm = Self { progress: Arc::new(progress), threads: Vec::new() };
        for thread in 0..threads {
            let indices = (subscribers * thread / threads)..(subscribers * (thread + 1) / threads);
            let worker = Worker {
                target: target.clone(),
                request: target.request().into_bytes(),
                reader: Reader::new(target.load),
                poll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
                subscribers: Vec::with_capacity(indices.len()),
                to_connect: indices,
                connecting: 0,
                tally: Tally::default(),
                latest_board: None,
                deliveries: 0,
                last_ns: 0,
                progress: Arc::clone(&swarm.progress),
                thread,
            };
            swarm.threads.push(std::thread::Builder::new().name(format!("swarm-{thread}")).spawn(|| worker.run())?);
        }
        Ok(swarm)
    }

    /// Ends all connections and answers what was counted.
    ///
    /// # Errors
    /// When a thread could not do its work.
    pub(crate) fn stop(mut self) -> io::Result<Tally> {
        self.progress.stop.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        for thread in self.threads.drain(..) {
            tally.merge(thread.join().map_err(|_| io::Error::other("a thread of subscribers has failed"))??);
        }
        Ok(tally)
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.progress.stop.store(true, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    /// The request is sent, the head of the answer is not complete.
    Asking,
    /// The stream runs; what was asked for is not confirmed.
    Joining,
    Ready,
}

struct Subscriber {
    /// `None` once it has ended.
    socket: Option<TcpStream>,
    stage: Stage,
    /// What has arrived of an incomplete message.
    partial: Vec<u8>,
    ledger: Ledger,
    board: Option<Arc<[u8]>>,
    board_seq: u64,
}

/// What came out of a piece of a stream.
#[derive(Default)]
struct Heard {
    ready: bool,
    closed: bool,
    pong: Option<Vec<u8>>,
    broken: Option<Broken>,
}

struct Worker {
    target: Target,
    request: Vec<u8>,
    reader: Reader,
    poll: OwnedFd,
    subscribers: Vec<Subscriber>,
    /// Those of the whole swarm that this thread has still to connect.
    to_connect: std::ops::Range<usize>,
    connecting: usize,
    tally: Tally,
    /// The table that came last: most subscribers get the same one, and share it.
    latest_board: Option<Arc<[u8]>>,
    deliveries: u64,
    last_ns: u64,
    progress: Arc<Progress>,
    thread: usize,
}

impl Worker {
    fn run(mut self) -> io::Result<Tally> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS_MAX);
        let mut buffer = vec![0; RECEIVE_BYTES];
        let wait = Timespec { tv_sec: 0, tv_nsec: LOOK_NS };
        while !self.progress.stop.load(Ordering::Relaxed) {
            self.connect_some()?;
            events.clear();
            match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let (data, flags) = (event.data.u64(), event.flags);
                if let Ok(index) = usize::try_from(data) {
                    self.ready(index, flags, &mut buffer)?;
                }
            }
            self.tell();
        }
        self.tally.ledgers = self.subscribers.into_iter().map(|subscriber| subscriber.ledger).collect();
        Ok(self.tally)
    }

    fn tell(&mut self) {
        if self.deliveries > 0 {
            // The time first: who sees the count sees the time that belongs to it.
            self.progress.last_ns.fetch_max(self.last_ns, Ordering::Relaxed);
            self.progress.deliveries.fetch_add(std::mem::take(&mut self.deliveries), Ordering::Release);
        }
        if let Some(wanted) = self.progress.wanted.get()
            && let Some(right) = self.progress.right.get(self.thread)
        {
            right.store(self.with_board(wanted), Ordering::Relaxed);
        }
    }

    /// How many subscribers have this table as their last one.
    fn with_board(&self, wanted: &Value) -> u64 {
        let mut judged: Vec<(&Arc<[u8]>, bool)> = Vec::new();
        let mut right = 0;
        for board in self.subscribers.iter().filter_map(|subscriber| subscriber.board.as_ref()) {
            let known = judged.iter().find(|(known, _)| Arc::ptr_eq(known, board)).map(|(_, is_right)| *is_right);
            let is_right = known.unwrap_or_else(|| {
                let is_right = serde_json::from_slice::<Value>(board)
                    .is_ok_and(|message| message.pointer("/data/leaderboard") == Some(wanted));
                judged.push((board, is_right));
                is_right
            });
            right += u64::from(is_right);
        }
        right
    }

    fn connect_some(&mut self) -> io::Result<()> {
        while self.connecting < HANDSHAKES_MAX
            && let Some(index) = self.to_connect.next()
        {
            let family = if self.target.address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = socket_with(family, SocketType::STREAM, flags, None)?;
            if let Some(source) = self.target.source(index) {
                bind(&socket, &source)?;
            }
            let place = self.subscribers.len();
            self.subscribers.push(Subscriber {
                socket: None,
                stage: Stage::Connecting,
                partial: Vec::new(),
                ledger: Ledger::default(),
                board: None,
                board_seq: 0,
            });
            self.connecting += 1;
            match connect(&socket, &self.target.address) {
                Ok(()) | Err(Errno::INPROGRESS) => {}
                Err(error) => {
                    self.fail(place, &format!("cannot connect: {}", io::Error::from(error)));
                    continue;
                }
            }
            // Writable means connected; an error is readable too.
            epoll::add(&self.poll, &socket, data(place), epoll::EventFlags::OUT)?;
            if let Some(subscriber) = self.subscribers.get_mut(place) {
                subscriber.socket = Some(TcpStream::from(socket));
            }
        }
        Ok(())
    }

    fn ready(&mut self, place: usize, flags: epoll::EventFlags, buffer: &mut [u8]) -> io::Result<()> {
        let Some(subscriber) = self.subscribers.get_mut(place) else { return Ok(()) };
        let Some(socket) = &mut subscriber.socket else { return Ok(()) };
        if subscriber.stage == Stage::Connecting {
            let sent = match socket.take_error()? {
                Some(error) => Err(error),
                // A fresh socket has room for a request.
                None => socket.write_all(&self.request),
            };
            if let Err(error) = sent {
                self.fail(place, &format!("cannot connect: {error}"));
                return Ok(());
            }
            subscriber.stage = Stage::Asking;
            return Ok(epoll::modify(&self.poll, &*socket, data(place), epoll::EventFlags::IN)?);
        }
        if !flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::ERR | epoll::EventFlags::HUP) {
            return Ok(());
        }
        match socket.read(buffer) {
            Ok(0) => self.fail(place, "the server closed the connection"),
            Ok(len) => self.arrived(place, buffer.get(..len).unwrap_or_default()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => self.fail(place, &format!("the connection broke: {error}")),
        }
        Ok(())
    }

    fn arrived(&mut self, place: usize, bytes: &[u8]) {
        let now_ns = nanos(self.target.origin.elapsed());
        let Some(subscriber) = self.subscribers.get_mut(place) else { return };
        let joined = (!subscriber.partial.is_empty()).then(|| {
            let mut joined = std::mem::take(&mut subscriber.partial);
            joined.extend_from_slice(bytes);
            joined
        });
        let mut rest = joined.as_deref().unwrap_or(bytes);
        if subscriber.stage == Stage::Asking {
            match head(rest, self.target.transport) {
                Ok(Some(len)) => {
                    subscriber.stage = Stage::Joining;
                    rest = rest.get(len..).unwrap_or_default();
                }
                Ok(None) => {
                    subscriber.partial = rest.to_vec();
                    return;
                }
                Err(refusal) => {
                    self.fail(place, &refusal);
                    return;
                }
            }
        }
        let mut heard = Heard::default();
        let each = |piece: Piece<'_>| match piece {
            Piece::Message(message) => {
                let (ledger, board) = (&mut subscriber.ledger, (&mut subscriber.board, &mut subscriber.board_seq));
                match self.reader.read(message) {
                    Ok(Told::Published { number, seq, delivery }) => {
                        if ledger.take(seq, delivery) {
                            self.deliveries += 1;
                            if let Err(broken) = self.tally.see(number, seq, now_ns) {
                                heard.broken = Some(broken);
                            }
                        }
                    }
                    Ok(Told::Board { seq }) if seq > *board.1 => {
                        *board.1 = seq;
                        *board.0 = Some(shared(&mut self.latest_board, message));
                    }
                    Ok(Told::Subscribed) => heard.ready = true,
                    Ok(Told::Resync) => self.tally.resyncs += 1,
                    Ok(Told::Board { .. } | Told::Other) => {}
                    Err(broken) => heard.broken = Some(broken),
                }
            }
            Piece::Ping(payload) => heard.pong = Some(pong(payload)),
            Piece::Close(_) => heard.closed = true,
        };
        let used = match self.target.transport {
            Transport::WebSocket => frames(rest, each),
            Transport::Sse => Ok(blocks(rest, each)),
        };
        self.last_ns = now_ns;
        match used {
            Ok(used) => subscriber.partial = rest.get(used..).unwrap_or_default().to_vec(),
            Err(broken) => heard.broken = Some(broken),
        }
        if heard.ready && subscriber.stage == Stage::Joining {
            subscriber.stage = Stage::Ready;
            self.connecting -= 1;
            self.progress.ready.fetch_add(1, Ordering::Relaxed);
        }
        if let (Some(pong), Some(socket)) = (heard.pong, &mut subscriber.socket)
            && let Err(error) = socket.write_all(&pong)
        {
            self.fail(place, &format!("a ping cannot be answered: {error}"));
        } else if let Some(broken) = heard.broken {
            self.fail(place, &broken.to_string());
        } else if heard.closed {
            self.fail(place, "the server closed the connection");
        }
    }

    /// Ends a subscriber that cannot go on.
    fn fail(&mut self, place: usize, why: &str) {
        let Some(subscriber) = self.subscribers.get_mut(place) else { return };
        // Closing the socket takes it out of the poll.
        subscriber.socket = None;
        if subscriber.stage != Stage::Ready {
            self.connecting -= 1;
        }
        self.progress.closed.fetch_add(1, Ordering::Relaxed);
        let mut trouble = self.progress.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.get_or_insert_with(|| why.to_owned());
    }
}

fn data(place: usize) -> epoll::EventData {
    epoll::EventData::new_u64(place as u64)
}

/// The same bytes as last time are the same table.
fn shared(latest: &mut Option<Arc<[u8]>>, message: &[u8]) -> Arc<[u8]> {
    match latest {
        Some(known) if **known == *message => Arc::clone(known),
        _ => {
            let board: Arc<[u8]> = message.into();
            *latest = Some(Arc::clone(&board));
            board
        }
    }
}

/// Length of the head of an answer that opens a stream; `None` while it is not all there.
///
/// # Errors
/// What the server said instead.
fn head(bytes: &[u8], transport: Transport) -> Result<Option<usize>, String> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > HEAD_BYTES_MAX { Err("the answer has no end".to_owned()) } else { Ok(None) };
    };
    let head = bytes.get(..end).unwrap_or_default();
    let (status, is_accepted) = match transport {
        Transport::WebSocket => (&b"HTTP/1.1 101"[..], memmem::find(head, ACCEPT).is_some()),
        // The body of a stream runs to the end of the connection; in chunks it would not be one text.
        Transport::Sse => (&b"HTTP/1.1 200"[..], memmem::find(&head.to_ascii_lowercase(), b"chunked").is_none()),
    };
    if head.starts_with(status) && is_accepted {
        return Ok(Some(end + 4));
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Err(format!("the server answered a subscriber with `{}`", String::from_utf8_lossy(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_opens_a_stream_or_says_why_not() {
        let upgraded =
            b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nrest";
        let len = upgraded.len() - 4;
        assert_eq!(head(upgraded, Transport::WebSocket), Ok(Some(len)));
        assert_eq!(head(b"HTTP/1.1 200 OK\r\n\r\n:\n\n", Transport::Sse), Ok(Some(19)));
        for cut in 0..len {
            assert_eq!(head(&upgraded[..cut], Transport::WebSocket), Ok(None), "{cut}");
        }
        for (bytes, transport) in [
            (&b"HTTP/1.1 429 Too Many Requests\r\n\r\n"[..], Transport::WebSocket),
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Transport::WebSocket),
            (b"HTTP/1.1 404 Not Found\r\n\r\n", Transport::Sse),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Transport::Sse),
            (&vec![b'x'; HEAD_BYTES_MAX + 1], Transport::Sse),
        ] {
            assert!(head(bytes, transport).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        let refused = head(b"HTTP/1.1 429 Too Many Requests\r\n\r\n", Transport::WebSocket).unwrap_err();
        assert!(refused.contains("429 Too Many Requests"), "{refused}");
    }

    #[test]
    fn threads_are_added_up_and_a_message_with_two_places_is_noticed() {
        let mut one = Tally::default();
        one.see(0, 1, 50).unwrap();
        one.see(0, 1, 70).unwrap();
        one.see(2, 3, 90).unwrap();
        let mut other = Tally::default();
        other.see(0, 1, 40).unwrap();
        other.see(1, 2, 60).unwrap();
        other.see(2, 4, 95).unwrap();
        other.see(3, 4, 99).unwrap();
        other.see(3, 5, 99).unwrap();
        assert!(other.see(u64::MAX, 6, 99).is_err());
        one.merge(other);
        assert_eq!(one.mistaken, 2, "message 2 in two threads, message 3 in one");
        assert_eq!(one.seen[0], Seen { seq: 1, first_ns: 40, last_ns: 70 });
        assert_eq!(one.seen[1], Seen { seq: 2, first_ns: 60, last_ns: 60 });
        assert_eq!(one.seen.len(), 4);
    }

    #[test]
    fn beyond_the_ports_of_one_loopback_address_the_next_is_used() {
        let target = |address: &str| Target {
            address: address.parse().unwrap(),
            host: String::new(),
            path: String::new(),
            transport: Transport::Sse,
            load: Load::Results,
            origin: Instant::now(),
        };
        assert_eq!(target("127.0.0.1:1").source(PORTS_PER_ADDRESS - 1), None);
        assert_eq!(target("127.0.0.1:1").source(PORTS_PER_ADDRESS), Some("127.0.1.1:0".parse().unwrap()));
        assert_eq!(target("10.0.0.1:1").source(PORTS_PER_ADDRESS), None);
        assert_eq!(target("[::1]:1").source(PORTS_PER_ADDRESS), None);
    }
}
