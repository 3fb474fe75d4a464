//! Who follows what, and how a viewer joins a running stream without gap or duplicate.
//!
//! The hub knows topics and sessions, nothing of tables, clocks or sockets. A topic exists while
//! somebody follows it: then it keeps the latest frames, enough to serve short cuts and newcomers
//! without a read. What it lacks it asks for ([`Need`]), and parks the join until it can be served
//! exactly at the position up to which changes were applied. Changes of rights come in the same
//! order as everything else and are obeyed before anything later is shown.
//!
//! Slow sessions are the session's matter: the hub hands over and never waits.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use timely_core::access::{AccessChange, Actor, Verdict, may_follow};
use timely_core::cursor::{Cursor, Epoch, NotRecovered};
use timely_core::event::Visibility;
use timely_core::id::{EventId, TeamId, TokenId};
use timely_core::live::close;
use timely_core::topic::{MessageType, StateLane, Stream, Topic};

use crate::live::frame::Frame;
use crate::live::publisher::Released;
use crate::store::{LogRow, Opening, RowKind};

/// Log frames kept per topic for short cuts.
pub const RING_FRAMES_MAX: usize = 512;
/// Results in the snapshot of a results topic.
pub const RESULTS_TAIL_MAX: usize = 20;
/// Announcements in a snapshot; louder ones stay in it however many there are.
pub const ANNOUNCEMENTS_TAIL_MAX: usize = 50;
/// Change-log rows in a page of a replay.
pub const PAGE_ROWS_MAX: usize = 256;
/// Changes of rights kept to judge joins again that were judged before them.
pub const RECENT_ACCESS_MAX: usize = 1024;

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Who looks, and at what.
#[derive(Clone, Debug)]
pub struct Viewer {
    pub actor: Actor,
    pub event: EventId,
    /// On streams of a team.
    pub team: Option<TeamId>,
    /// As of `judged_at`, when the viewer was let in.
    pub visibility: Visibility,
    pub judged_at: u64,
    pub boards: Boards,
}

/// Whether a viewer gets a board beside every frame: the results page of the guide does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boards {
    Apart,
    Beside,
}

/// What a join does about the base topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Leave,
    /// Follows it from here on; its current state is not shown.
    Follow,
    /// Follows it and shows its state with the snapshot.
    Show,
}

/// Some streams to follow, together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    pub streams: Vec<Stream>,
    pub base: Base,
    pub since: Option<Cursor>,
}

/// What a session wants of the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Join(Join),
    Leave(Stream),
    /// The page of a replay has been written; the next one may come.
    NextPage,
    /// The backlog was dropped and everything written so far has left: start over from here.
    Resync,
}

/// A frame on its way to a session.
#[derive(Clone, Debug)]
pub struct Shown {
    pub frame: Arc<Frame>,
    /// The board beside it, for viewers with [`Boards::Beside`].
    pub board: Option<Arc<Frame>>,
}

/// Why a join is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Opened,
    Asked,
    Resync,
}

/// A join was accepted; pages follow, the last of which has an end.
#[derive(Clone, Debug)]
pub struct Joined {
    pub cause: Cause,
    pub streams: Vec<Stream>,
    pub topics: Vec<Topic>,
    /// The connection is complete from here on.
    pub from: u64,
    /// Whether everything since the cursor follows, or why not.
    pub outcome: Result<(), NotRecovered>,
}

/// Missed log frames in order, and at the end the current state.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub frames: Vec<Shown>,
    pub end: Option<End>,
}

/// From here on everything is live.
#[derive(Clone, Debug)]
pub struct End {
    pub pos: u64,
    pub topics: Vec<Topic>,
    /// Copies: states, and the tail unless it was replayed.
    pub snapshot: Vec<Shown>,
}

/// What the hub hands to a session.
#[derive(Clone, Debug)]
pub enum Delivery {
    Log(Shown),
    State(Shown),
    Joined(Joined),
    Page(Page),
    Left(Stream),
    /// The stream ends, with this close code.
    Closed(u16),
}

/// What the hub cannot know by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// States and tail of a topic.
    Opening(Topic),
    /// The position below which cursors of an event have expired.
    Floor { session: SessionId, event: EventId },
    /// A page of at most [`PAGE_ROWS_MAX`] rows after one position up to another.
    Replay { session: SessionId, topics: Vec<Topic>, after: u64, upto: u64 },
}

/// What comes out of the hub.
#[derive(Clone, Debug)]
pub enum Output {
    Deliver(SessionId, Delivery),
    Need(Need),
}

/// See the module.
#[derive(Debug)]
pub struct Hub {
    epoch: Epoch,
    applied: u64,
    head: u64,
    topics: HashMap<Topic, Followed>,
    sessions: HashMap<SessionId, Member>,
    parked: Vec<Parked>,
    /// Openings that were read ahead of the rows applied.
    early: Vec<(Topic, Opening, Timestamp)>,
    recent: RecentAccess,
    out: VecDeque<Output>,
}

/// A topic with followers.
#[derive(Debug)]
struct Followed {
    /// Where it was when somebody began to follow it; reads from before do not count.
    created: u64,
    /// Every row of the topic after this position is in the ring.
    warm_from: u64,
    ring: VecDeque<Arc<Frame>>,
    /// Latest state by key.
    states: BTreeMap<String, Arc<Frame>>,
    /// What a newcomer is shown of the log, oldest first.
    tail: Vec<Arc<Frame>>,
    /// More than the tail holds is active: when one leaves, another must be read.
    tail_is_cut: bool,
    opening: Known,
    members: BTreeMap<SessionId, Boards>,
    /// Joins that wait for it or catch up on it.
    holds: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    No,
    Asked,
    Yes,
}

#[derive(Debug)]
struct Member {
    viewer: Viewer,
    joined: BTreeSet<Topic>,
    catching_up: Option<CatchUp>,
}

/// A replay that is written page by page; live from its end on.
#[derive(Debug)]
struct CatchUp {
    topics: Vec<Topic>,
    base: Base,
    after: u64,
    /// A page is being read or written.
    busy: bool,
}

/// A join that waits for an opening, for a floor, or for rows to be applied.
#[derive(Debug)]
struct Parked {
    session: SessionId,
    cause: Cause,
    join: Join,
    topics: Vec<Topic>,
    floor: Floor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Floor {
    Unknown,
    Asked,
    At(u64),
}

/// The latest changes of rights: a viewer was judged at some position, and joins at a later one.
#[derive(Debug, Default)]
struct RecentAccess {
    changes: VecDeque<(u64, AccessChange)>,
    /// Changes up to this position may have been forgotten.
    forgotten: u64,
}

impl Hub {
    /// A hub that has applied every change up to `applied`.
    pub fn new(epoch: Epoch, applied: u64) -> Self {
        Self {
            epoch,
            applied,
            head: applied,
            topics: HashMap::new(),
            sessions: HashMap::new(),
            parked: Vec::new(),
            early: Vec::new(),
            recent: RecentAccess { changes: VecDeque::new(), forgotten: applied },
            out: VecDeque::new(),
        }
    }

    /// `pos` of the latest change applied.
    pub const fn applied(&self) -> u64 {
        self.applied
    }

    /// `pos` of the latest change committed: cursors up to there are not ahead of the log.
    pub fn set_head(&mut self, head: u64) {
        self.head = self.head.max(head);
    }

    /// Whether anybody follows the topic, or is about to.
    pub fn follows(&self, topic: Topic) -> bool {
        self.topics.contains_key(&topic)
    }

    /// Number of sessions and of topics they follow.
    pub fn len(&self) -> (usize, usize) {
        (self.sessions.len(), self.topics.len())
    }

    /// The next thing to do.
    pub fn output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Whether the answer to this need is still of use to somebody.
    pub fn wants(&self, need: &Need) -> bool {
        match need {
            Need::Opening(topic) => self.topics.get(topic).is_some_and(|followed| followed.opening == Known::Asked),
            Need::Floor { session, .. } => {
                self.parked.iter().any(|parked| parked.session == *session && parked.floor == Floor::Asked)
            }
            Need::Replay { session, after, .. } => {
                self.catch_up(*session).is_some_and(|catching| catching.busy && catching.after == *after)
            }
        }
    }

    /// Lets a viewer in. The answer is [`Delivery::Joined`] and its pages, or [`Delivery::Closed`]
    /// if the right was lost since it was judged.
    pub fn open(&mut self, session: SessionId, mut viewer: Viewer, join: Join) {
        let verdict = self.recent.judge_again(&mut viewer);
        self.sessions.insert(session, Member { viewer, joined: BTreeSet::new(), catching_up: None });
        match verdict {
            Ok(()) => {
                if self.judge_member(session) {
                    self.park(session, Cause::Opened, join);
                }
            }
            Err(code) => self.close(session, code),
        }
    }

    /// A request of a session that was let in; one that has ended meanwhile is not answered.
    pub fn request(&mut self, session: SessionId, request: Request) {
        if !self.sessions.contains_key(&session) {
            return;
        }
        match request {
            Request::Join(join) => self.park(session, Cause::Asked, join),
            Request::Leave(stream) => self.leave(session, stream),
            Request::NextPage => self.next_page(session),
            Request::Resync => self.resync(session),
        }
    }

    /// The connection is gone.
    pub fn gone(&mut self, session: SessionId) {
        self.forget(session);
    }

    /// Ends every stream, for example because the server stops.
    pub fn close_all(&mut self, code: u16) {
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.close(session, code);
        }
    }

    /// Applies the next row of the change log.
    pub fn row(&mut self, row: &LogRow) {
        self.applied = row.pos;
        self.head = self.head.max(row.pos);
        match &row.kind {
            RowKind::Changed => {}
            RowKind::Access(change) => self.access(row.pos, change),
            RowKind::Message(kind) => self.message(row, *kind),
        }
        self.install_openings();
        self.serve_parked();
    }

    /// A state lane has a new truth. Rows up to its `pos` have been applied.
    pub fn state(&mut self, released: Released) {
        let frame = match released {
            Released::Frame(frame) => Arc::new(frame),
            Released::Gone(lane) => {
                if let Some(followed) = self.topics.get_mut(&lane.topic) {
                    followed.states.remove(&lane.key);
                }
                return;
            }
        };
        let Some(followed) = self.topics.get_mut(&frame.topic) else { return };
        if !followed.set_state(&frame) {
            return;
        }
        for (session, boards) in &followed.members {
            let shown = followed.shown(&frame, *boards);
            self.out.push_back(Output::Deliver(*session, Delivery::State(shown)));
        }
    }

    /// The answer to [`Need::Opening`].
    pub fn opening(&mut self, topic: Topic, opening: Opening, timestamp: Timestamp) {
        self.early.push((topic, opening, timestamp));
        self.install_openings();
        self.serve_parked();
    }

    /// The answer to [`Need::Floor`].
    pub fn floor(&mut self, session: SessionId, floor: u64) {
        for parked in self.parked.iter_mut().filter(|parked| parked.session == session) {
            if parked.floor == Floor::Asked {
                parked.floor = Floor::At(floor);
            }
        }
        self.serve_parked();
    }

    /// The answer to [`Need::Replay`].
    pub fn replay(&mut self, session: SessionId, after: u64, upto: u64, rows: &[LogRow]) {
        let Some(member) = self.sessions.get_mut(&session) else { return };
        let Some(catching) = member.catching_up.as_mut().filter(|catching| catching.busy && catching.after == after)
        else {
            return;
        };
        catching.after = match rows.last() {
            Some(last) if rows.len() >= PAGE_ROWS_MAX => last.pos,
            _ => upto,
        };
        let topics = catching.topics.clone();
        let boards = member.viewer.boards;
        let frames = rows
            .iter()
            .filter_map(|row| {
                let RowKind::Message(kind) = row.kind else { return None };
                let (topic, seq) = row.topics.iter().filter(|(topic, _)| topics.contains(topic)).min()?;
                let frame = Arc::new(Frame::log(row, kind, *topic, *seq));
                Some(self.shown(frame, boards))
            })
            .collect();
        self.deliver(session, Delivery::Page(Page { frames, end: None }));
    }

    // ---- rows

    fn message(&mut self, row: &LogRow, kind: MessageType) {
        let mut topics: Vec<_> = row.topics.iter().filter(|(topic, _)| self.topics.contains_key(topic)).collect();
        // Event, participants, staff, teams by id: a session reached through several gets the row
        // under the first.
        topics.sort();
        let mut served: Option<HashSet<SessionId>> = (topics.len() > 1).then(HashSet::new);
        for (topic, seq) in topics {
            let Some(followed) = self.topics.get_mut(topic) else { continue };
            let frame = Arc::new(Frame::log(row, kind, *topic, *seq));
            followed.push(&frame);
            for (session, boards) in &followed.members {
                if served.as_mut().is_some_and(|served| !served.insert(*session)) {
                    continue;
                }
                let shown = followed.shown(&frame, *boards);
                self.out.push_back(Output::Deliver(*session, Delivery::Log(shown)));
            }
        }
    }

    fn access(&mut self, pos: u64, change: &AccessChange) {
        self.recent.remember(pos, change);
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        for session in sessions {
            let Some(member) = self.sessions.get_mut(&session) else { continue };
            match RecentAccess::meets(&mut member.viewer, pos, change) {
                Ok(()) => {
                    if let AccessChange::TeamDeleted { team, .. } = change {
                        let gone: Vec<_> =
                            member.joined.iter().copied().filter(|topic| topic.team() == Some(*team)).collect();
                        self.drop_topics(session, &gone);
                    }
                    self.judge_member(session);
                }
                Err(code) => self.close(session, code),
            }
        }
    }

    /// Judges a session by what is known of its event now; false if it was closed.
    fn judge_member(&mut self, session: SessionId) -> bool {
        let Some(member) = self.sessions.get(&session) else { return false };
        let viewer = &member.viewer;
        if !viewer.may_follow(viewer.base_topic()) {
            self.close(session, close::GONE);
            return false;
        }
        let lost: Vec<_> = member.joined.iter().copied().filter(|topic| !viewer.may_follow(*topic)).collect();
        self.drop_topics(session, &lost);
        true
    }

    // ---- joining and leaving

    fn park(&mut self, session: SessionId, cause: Cause, join: Join) {
        let Some(member) = self.sessions.get(&session) else { return };
        let mut topics: Vec<Topic> = match join.base {
            Base::Leave => Vec::new(),
            Base::Follow | Base::Show => vec![member.viewer.base_topic()],
        };
        topics.extend(join.streams.iter().flat_map(|stream| member.viewer.topics(*stream)));
        self.park_topics(Parked { session, cause, join, topics, floor: Floor::Unknown });
    }

    fn park_topics(&mut self, parked: Parked) {
        for topic in &parked.topics {
            let followed = self.topics.entry(*topic).or_insert_with(|| Followed::new(self.applied));
            followed.holds += 1;
            let needed = topic.stream().is_some() || parked.join.base == Base::Show;
            if needed && followed.opening == Known::No {
                followed.opening = Known::Asked;
                self.out.push_back(Output::Need(Need::Opening(*topic)));
            }
        }
        self.parked.push(parked);
        self.serve_parked();
    }

    fn serve_parked(&mut self) {
        if self.parked.is_empty() {
            return;
        }
        let mut waiting = Vec::new();
        for mut parked in std::mem::take(&mut self.parked) {
            if !self.serve(&mut parked) {
                waiting.push(parked);
            }
        }
        waiting.append(&mut self.parked);
        self.parked = waiting;
    }

    /// Serves a join if everything it waits for is there; false if not.
    fn serve(&mut self, parked: &mut Parked) -> bool {
        let Some(member) = self.sessions.get(&parked.session) else {
            // `forget` gives the holds of parked joins back; those it could not see are given back here.
            self.release(&parked.topics);
            return true;
        };
        for topic in &parked.topics {
            let needed = topic.stream().is_some() || parked.join.base == Base::Show;
            match self.topics.get_mut(topic) {
                Some(followed) if needed && followed.opening == Known::No => {
                    followed.opening = Known::Asked;
                    self.out.push_back(Output::Need(Need::Opening(*topic)));
                    return false;
                }
                Some(followed) if needed && followed.opening == Known::Asked => return false,
                _ => {}
            }
        }
        let outcome = match &parked.join.since {
            _ if parked.cause == Cause::Resync => Err(NotRecovered::Lagged),
            None => Err(NotRecovered::Fresh),
            Some(since) if since.epoch != self.epoch => Err(NotRecovered::Epoch),
            Some(since) if since.pos > self.head => Err(NotRecovered::Ahead),
            // Committed, but not applied here yet.
            Some(since) if since.pos > self.applied => return false,
            Some(since) if self.ring_reaches(&parked.topics, since.pos) => Ok(since.pos),
            Some(since) => match parked.floor {
                Floor::At(floor) if since.pos < floor => Err(NotRecovered::Expired),
                Floor::At(_) => Ok(since.pos),
                Floor::Asked => return false,
                Floor::Unknown => {
                    parked.floor = Floor::Asked;
                    let need = Need::Floor { session: parked.session, event: member.viewer.event };
                    self.out.push_back(Output::Need(need));
                    return false;
                }
            },
        };
        let lost: Vec<_> =
            parked.topics.iter().copied().filter(|topic| !member.viewer.may_follow(*topic)).collect();
        parked.topics.retain(|topic| !lost.contains(topic));
        self.release(&lost);
        self.join(parked, outcome);
        true
    }

    fn join(&mut self, parked: &Parked, outcome: Result<u64, NotRecovered>) {
        let Parked { session, cause, join, topics, .. } = parked;
        self.deliver(
            *session,
            Delivery::Joined(Joined {
                cause: *cause,
                streams: join.streams.clone(),
                topics: topics.clone(),
                from: outcome.unwrap_or(self.applied),
                outcome: outcome.map(drop),
            }),
        );
        match outcome {
            Err(_) => {
                let snapshot = self.snapshot(*session, topics, join.base, Tail::Shown);
                self.finish(*session, topics.clone(), Vec::new(), snapshot);
            }
            Ok(since) => {
                let Some(member) = self.sessions.get_mut(session) else { return };
                // Live frames of these topics come in order after what was missed, not beside it.
                for topic in topics {
                    if member.joined.remove(topic)
                        && let Some(followed) = self.topics.get_mut(topic)
                    {
                        followed.members.remove(session);
                    }
                }
                member.catching_up =
                    Some(CatchUp { topics: topics.clone(), base: join.base, after: since, busy: false });
                self.next_page(*session);
            }
        }
    }

    /// Goes on with a replay: from the rings if they reach back far enough, else from the log.
    fn next_page(&mut self, session: SessionId) {
        let Some(catching) = self.catch_up(session) else { return };
        let (topics, base, after) = (catching.topics.clone(), catching.base, catching.after);
        if self.ring_reaches(&topics, after) {
            let frames = self.ring_after(session, &topics, after);
            let snapshot = self.snapshot(session, &topics, base, Tail::Replayed);
            if let Some(member) = self.sessions.get_mut(&session) {
                member.catching_up = None;
            }
            self.finish(session, topics, frames, snapshot);
            return;
        }
        let upto = self.applied;
        if let Some(member) = self.sessions.get_mut(&session)
            && let Some(catching) = &mut member.catching_up
        {
            catching.busy = true;
        }
        self.out.push_back(Output::Need(Need::Replay { session, topics, after, upto }));
    }

    /// The session is live on these topics from here on; gives back their holds.
    fn finish(&mut self, session: SessionId, topics: Vec<Topic>, frames: Vec<Shown>, snapshot: Vec<Shown>) {
        if let Some(member) = self.sessions.get_mut(&session) {
            for topic in &topics {
                if let Some(followed) = self.topics.get_mut(topic) {
                    followed.members.insert(session, member.viewer.boards);
                    member.joined.insert(*topic);
                }
            }
        }
        self.release(&topics);
        let end = End { pos: self.applied, topics, snapshot };
        self.deliver(session, Delivery::Page(Page { frames, end: Some(end) }));
    }

    fn leave(&mut self, session: SessionId, stream: Stream) {
        let Some(member) = self.sessions.get(&session) else { return };
        let topics: Vec<_> =
            member.joined.iter().copied().filter(|topic| topic.stream() == Some(stream)).collect();
        self.drop_topics(session, &topics);
        self.deliver(session, Delivery::Left(stream));
    }

    fn resync(&mut self, session: SessionId) {
        let Some(member) = self.sessions.get_mut(&session) else { return };
        let mut topics: BTreeSet<_> = member.joined.clone();
        let held = member.catching_up.take().map(|catching| catching.topics).unwrap_or_default();
        topics.extend(held.iter().copied());
        let base = member.viewer.base_topic();
        let streams = Stream::ALL
            .iter()
            .copied()
            .filter(|stream| topics.iter().any(|topic| topic.stream() == Some(*stream)))
            .collect();
        let base = if topics.contains(&base) { Base::Show } else { Base::Leave };
        let join = Join { streams, base, since: None };
        let topics = topics.into_iter().collect();
        self.park_topics(Parked { session, cause: Cause::Resync, join, topics, floor: Floor::Unknown });
        self.release(&held);
    }

    /// Stops following some topics, whatever the reason.
    fn drop_topics(&mut self, session: SessionId, topics: &[Topic]) {
        for topic in topics {
            if let Some(member) = self.sessions.get_mut(&session) {
                member.joined.remove(topic);
            }
            if let Some(followed) = self.topics.get_mut(topic) {
                followed.members.remove(&session);
            }
            self.drop_unfollowed(*topic);
        }
    }

    fn close(&mut self, session: SessionId, code: u16) {
        self.deliver(session, Delivery::Closed(code));
        self.forget(session);
    }

    fn forget(&mut self, session: SessionId) {
        let Some(member) = self.sessions.remove(&session) else { return };
        for topic in &member.joined {
            if let Some(followed) = self.topics.get_mut(topic) {
                followed.members.remove(&session);
            }
            self.drop_unfollowed(*topic);
        }
        if let Some(catching) = member.catching_up {
            self.release(&catching.topics);
        }
        let parked: Vec<_> = self.parked.extract_if(.., |parked| parked.session == session).collect();
        for parked in parked {
            self.release(&parked.topics);
        }
    }

    /// Gives holds back; topics without any use are dropped.
    fn release(&mut self, topics: &[Topic]) {
        for topic in topics {
            if let Some(followed) = self.topics.get_mut(topic) {
                followed.holds = followed.holds.saturating_sub(1);
            }
            self.drop_unfollowed(*topic);
        }
    }

    fn drop_unfollowed(&mut self, topic: Topic) {
        if self.topics.get(&topic).is_some_and(|followed| followed.holds == 0 && followed.members.is_empty()) {
            self.topics.remove(&topic);
        }
    }

    // ---- what is shown

    /// Current states, and what a newcomer is shown of the log.
    fn snapshot(&self, session: SessionId, topics: &[Topic], base: Base, tail: Tail) -> Vec<Shown> {
        let mut shown: Vec<Arc<Frame>> = Vec::new();
        let mut announcements: Vec<Arc<Frame>> = Vec::new();
        for topic in topics {
            let Some(followed) = self.topics.get(topic) else { continue };
            if topic.stream().is_some() || base == Base::Show {
                shown.extend(followed.states.values().cloned());
            }
            if tail == Tail::Shown {
                match topic.stream() {
                    Some(Stream::Results) => shown.extend(followed.tail.iter().cloned()),
                    Some(Stream::Announcements) => announcements.extend(followed.tail.iter().cloned()),
                    // The one schedule update says it all.
                    Some(Stream::Schedule) | None => {}
                }
            }
        }
        announcements.sort_by_key(|frame| (frame.pos, frame.topic));
        announcements.dedup_by_key(|frame| frame.pos);
        cut_tail(&mut announcements);
        shown.extend(announcements);
        self.shown_to(session, shown)
    }

    /// Whether the rings hold everything after `after`. Base topics have no log.
    fn ring_reaches(&self, topics: &[Topic], after: u64) -> bool {
        topics
            .iter()
            .filter(|topic| topic.stream().is_some())
            .all(|topic| self.topics.get(topic).is_some_and(|followed| followed.warm_from <= after))
    }

    /// Everything after `after`, in the order of the log.
    fn ring_after(&self, session: SessionId, topics: &[Topic], after: u64) -> Vec<Shown> {
        let mut frames: Vec<Arc<Frame>> =
            topics.iter().filter_map(|topic| self.topics.get(topic)).flat_map(|followed| followed.after(after)).collect();
        frames.sort_by_key(|frame| (frame.pos, frame.topic));
        frames.dedup_by_key(|frame| frame.pos);
        self.shown_to(session, frames)
    }

    fn shown_to(&self, session: SessionId, frames: Vec<Arc<Frame>>) -> Vec<Shown> {
        let boards = self.sessions.get(&session).map_or(Boards::Apart, |member| member.viewer.boards);
        frames.into_iter().map(|frame| self.shown(frame, boards)).collect()
    }

    fn shown(&self, frame: Arc<Frame>, boards: Boards) -> Shown {
        match self.topics.get(&frame.topic) {
            Some(followed) => followed.shown(&frame, boards),
            None => Shown { frame, board: None },
        }
    }

    fn install_openings(&mut self) {
        let applied = self.applied;
        let ready: Vec<_> = self.early.extract_if(.., |(_, opening, _)| opening.pos <= applied).collect();
        for (topic, opening, timestamp) in ready {
            if let Some(followed) = self.topics.get_mut(&topic) {
                followed.install(topic, &opening, timestamp);
            }
        }
    }

    fn catch_up(&self, session: SessionId) -> Option<&CatchUp> {
        self.sessions.get(&session)?.catching_up.as_ref()
    }

    fn deliver(&mut self, session: SessionId, delivery: Delivery) {
        self.out.push_back(Output::Deliver(session, delivery));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    Shown,
    /// Everything missed was replayed instead.
    Replayed,
}

impl Viewer {
    /// The topic that says what the stream is about.
    pub fn base_topic(&self) -> Topic {
        self.team.map_or(Topic::Event(self.event), Topic::Team)
    }

    /// Topics of a stream that this viewer may follow, in the order in which they serve a row.
    pub fn topics(&self, stream: Stream) -> Vec<Topic> {
        let event = self.event;
        let mut topics = match (stream, self.team) {
            (Stream::Results, None) => vec![Topic::EventResults(event)],
            (Stream::Results, Some(team)) => vec![Topic::TeamResults(team)],
            (Stream::Schedule, None) => vec![Topic::EventSchedule(event)],
            (Stream::Schedule, Some(team)) => vec![Topic::TeamSchedule(team)],
            (Stream::Announcements, Some(team)) => vec![Topic::TeamAnnouncements(team)],
            (Stream::Announcements, None) => {
                let mut topics =
                    vec![Topic::EventAnnouncements(event), Topic::EventParticipants(event), Topic::EventStaff(event)];
                // Staff hear everything said to teams; a member hears what is said to its own.
                if !self.may_follow(Topic::EventStaff(event))
                    && let Some(team) = self.actor.as_ref().and_then(|bearer| bearer.team)
                {
                    topics.push(Topic::TeamAnnouncements(team));
                }
                topics
            }
        };
        topics.retain(|topic| self.may_follow(*topic));
        topics
    }

    fn may_follow(&self, topic: Topic) -> bool {
        may_follow(self.actor.as_ref(), self.event, self.visibility, topic) == Verdict::Allowed
    }

    fn token(&self) -> Option<TokenId> {
        self.actor.as_ref().map(|bearer| bearer.token)
    }
}

impl RecentAccess {
    fn remember(&mut self, pos: u64, change: &AccessChange) {
        self.changes.push_back((pos, change.clone()));
        if self.changes.len() > RECENT_ACCESS_MAX
            && let Some((pos, _)) = self.changes.pop_front()
        {
            self.forgotten = pos;
        }
    }

    /// Applies to a viewer what was committed since it was judged.
    fn judge_again(&self, viewer: &mut Viewer) -> Result<(), u16> {
        if viewer.judged_at < self.forgotten {
            // Too long ago to tell: coming back judges anew.
            return Err(close::RESUME);
        }
        self.changes.iter().try_for_each(|(pos, change)| Self::meets(viewer, *pos, change))
    }

    /// What one change of rights does to a viewer: the close code if it ends the stream.
    ///
    /// An ended token and a deleted thing never come back: they count even if the viewer was judged
    /// later, because its token may have been looked up before.
    fn meets(viewer: &mut Viewer, pos: u64, change: &AccessChange) -> Result<(), u16> {
        match *change {
            AccessChange::TokenEnded { token } if viewer.token() == Some(token) => Err(close::CREDENTIAL),
            AccessChange::EventDeleted { event } if viewer.event == event => Err(close::GONE),
            AccessChange::TeamDeleted { team, .. } if viewer.team == Some(team) => Err(close::GONE),
            AccessChange::Visibility { event, visibility } if viewer.event == event && pos > viewer.judged_at => {
                viewer.visibility = visibility;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Followed {
    fn new(applied: u64) -> Self {
        Self {
            created: applied,
            warm_from: applied,
            ring: VecDeque::new(),
            states: BTreeMap::new(),
            tail: Vec::new(),
            tail_is_cut: false,
            opening: Known::No,
            members: BTreeMap::new(),
            holds: 0,
        }
    }

    fn push(&mut self, frame: &Arc<Frame>) {
        self.ring.push_back(Arc::clone(frame));
        if self.ring.len() > RING_FRAMES_MAX
            && let Some(oldest) = self.ring.pop_front()
        {
            self.warm_from = oldest.pos;
        }
        self.push_tail(frame);
    }

    fn push_tail(&mut self, frame: &Arc<Frame>) {
        match frame.kind {
            MessageType::ResultUpdate => {
                self.tail.push(Arc::clone(frame));
                if self.tail.len() > RESULTS_TAIL_MAX {
                    self.tail.remove(0);
                }
            }
            MessageType::AnnouncementUpdate => {
                self.tail.retain(|other| !same_announcement(other, frame));
                self.tail.push(Arc::clone(frame));
                self.tail_is_cut |= cut_tail(&mut self.tail);
            }
            MessageType::AnnouncementRemoved => {
                self.tail.retain(|other| !same_announcement(other, frame));
                if self.tail_is_cut && self.opening == Known::Yes {
                    self.opening = Known::No;
                }
            }
            _ => {}
        }
    }

    /// Keeps the frame if it is later than the one known; false if not.
    fn set_state(&mut self, frame: &Arc<Frame>) -> bool {
        match self.states.get(&frame.key) {
            _ if frame.pos < self.created => false,
            Some(known) if known.pos >= frame.pos => false,
            _ => {
                self.states.insert(frame.key.clone(), Arc::clone(frame));
                true
            }
        }
    }

    fn install(&mut self, topic: Topic, opening: &Opening, timestamp: Timestamp) {
        if opening.pos < self.created {
            return; // Asked for by earlier followers; the answer for these is on its way.
        }
        for (lane, data) in &opening.states {
            if let Some(frame) = Frame::state(lane, data, opening.pos, timestamp) {
                self.set_state(&Arc::new(frame));
            }
        }
        self.tail.clear();
        let is_hole = self.warm_from > opening.pos;
        self.tail_is_cut = is_hole || topic.stream() == Some(Stream::Announcements) && opening.tail.len() >= ANNOUNCEMENTS_TAIL_MAX;
        self.opening = Known::Yes;
        for row in &opening.tail {
            let RowKind::Message(kind) = row.kind else { continue };
            if let Some((_, seq)) = row.topics.iter().find(|(on, _)| *on == topic) {
                self.push_tail(&Arc::new(Frame::log(row, kind, topic, *seq)));
            }
        }
        let later: Vec<_> = self.ring.iter().filter(|frame| frame.pos > opening.pos).cloned().collect();
        for frame in later {
            self.push_tail(&frame);
        }
    }

    /// Frames after `after`, without announcements that have left the screens since.
    fn after(&self, after: u64) -> Vec<Arc<Frame>> {
        let mut removed = HashSet::new();
        let mut frames: Vec<_> = self
            .ring
            .iter()
            .rev()
            .take_while(|frame| frame.pos > after)
            .filter(|frame| match (frame.kind, frame.subject) {
                (MessageType::AnnouncementRemoved, Some(subject)) => {
                    removed.insert(subject.announcement);
                    true
                }
                (MessageType::AnnouncementUpdate, Some(subject)) => !removed.contains(&subject.announcement),
                _ => true,
            })
            .cloned()
            .collect();
        frames.reverse();
        frames
    }

    fn shown(&self, frame: &Arc<Frame>, boards: Boards) -> Shown {
        let board = match boards {
            Boards::Apart => None,
            Boards::Beside => self.board(frame),
        };
        Shown { frame: Arc::clone(frame), board }
    }

    /// The board to show beside a frame: its own, that of its group, or for a knockout the first.
    fn board(&self, frame: &Arc<Frame>) -> Option<Arc<Frame>> {
        match (frame.kind, &frame.group) {
            (MessageType::LeaderboardUpdate, _) => Some(Arc::clone(frame)),
            (_, Some(group)) => self.states.get(group).cloned(),
            (_, None) => self.states.values().next().cloned(),
        }
    }
}

fn same_announcement(one: &Frame, other: &Frame) -> bool {
    one.subject.map(|subject| subject.announcement) == other.subject.map(|subject| subject.announcement)
}

/// Drops the oldest announcements beyond [`ANNOUNCEMENTS_TAIL_MAX`], never a loud one; true if any.
fn cut_tail(tail: &mut Vec<Arc<Frame>>) -> bool {
    let mut surplus = tail.len().saturating_sub(ANNOUNCEMENTS_TAIL_MAX);
    let before = tail.len();
    tail.retain(|frame| {
        let drop = surplus > 0 && !frame.subject.is_some_and(|subject| subject.loud);
        surplus -= usize::from(drop);
        !drop
    });
    tail.len() < before
}
