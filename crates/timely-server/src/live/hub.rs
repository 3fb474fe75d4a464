//! Who follows what, and how a viewer joins a running stream without gap or duplicate.
//!
//! The hub knows topics and sessions, nothing of tables, clocks or sockets. A topic exists while
//! somebody follows it: then it keeps the latest frames, enough to serve short cuts and newcomers
//! without a read. What it lacks it asks for ([`Need`]), and parks the join until it can be served
//! exactly at the position up to which changes were applied. Changes of rights come in the same
//! order as everything else and are obeyed before anything later is shown.
//!
//! Slow sessions are the session's matter: the hub hands over and never waits. One that had to drop
//! its backlog says how far it has come, and gets what it missed like a viewer who comes back.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use timely_core::access::{AccessChange, Actor, Verdict, may_follow, topics_of_event};
use timely_core::cursor::{Cursor, Epoch, NotRecovered};
use timely_core::event::Visibility;
use timely_core::id::{EventId, TeamId, TokenId};
use timely_core::live::close;
use timely_core::topic::{MessageType, Stream, Topic};

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
    /// The backlog was dropped and everything up to here was written: what came since is missing.
    CatchUp {
        after: u64,
    },
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
    /// The session fell behind so far that the log no longer says what it missed.
    Lagged,
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
    /// An emergency, for a session that gets it in its turn only after what it missed.
    Early(Shown),
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
    /// For one session.
    Deliver(SessionId, Delivery),
    /// A row, on each of its topics that is followed: whoever follows several gets the first.
    Log(Vec<Shown>),
    /// For all followers of its topic.
    State(Shown),
    /// From here on the session follows the topic.
    Follow(SessionId, Topic),
    /// From here on it does not. Not said of sessions that were closed or are gone.
    Unfollow(SessionId, Topic),
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
    states: BTreeMap<String, State>,
    /// What a newcomer is shown of the log, oldest first.
    tail: Vec<Arc<Frame>>,
    /// More than the tail holds is active: when one leaves, another must be read.
    tail_is_cut: bool,
    opening: Known,
    /// Sessions that follow it.
    followers: usize,
    /// Joins that wait for it or catch up on it.
    holds: usize,
}

/// The latest truth of a lane. One that was read for a newcomer is not news for the others until
/// the publisher says so.
#[derive(Debug)]
struct State {
    latest: Arc<Frame>,
    /// `pos` of the latest one that members were sent.
    sent: u64,
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
    /// What it follows, and from which position on: all before it was replayed or in a snapshot.
    joined: BTreeMap<Topic, u64>,
    catching_up: Option<CatchUp>,
}

/// A replay that is written page by page; live from its end on.
#[derive(Debug)]
struct CatchUp {
    /// Each with the position up to which it was handed over.
    topics: BTreeMap<Topic, u64>,
    base: Base,
    /// A page is being read or written.
    busy: bool,
}

/// What a replay reads next: these topics, after one position up to another.
struct Stretch {
    topics: Vec<Topic>,
    after: u64,
    upto: u64,
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

/// What becomes of a join.
enum Outcome {
    /// Each topic is replayed after its position.
    Replay(BTreeMap<Topic, u64>),
    Snapshot(NotRecovered),
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
                self.catch_up(*session).is_some_and(|catching| catching.busy && catching.after() == Some(*after))
            }
        }
    }

    /// Lets a viewer in. The answer is [`Delivery::Joined`] and its pages, or [`Delivery::Closed`]
    /// if the right was lost since it was judged.
    pub fn open(&mut self, session: SessionId, mut viewer: Viewer, join: Join) {
        let verdict = self.recent.judge_again(&mut viewer);
        self.sessions.insert(session, Member { viewer, joined: BTreeMap::new(), catching_up: None });
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
            Request::CatchUp { after } => self.fell_behind(session, after),
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
            Released::Frame(frame) => frame,
            Released::Gone(lane) => {
                if let Some(followed) = self.topics.get_mut(&lane.topic) {
                    followed.states.remove(&lane.key);
                }
                return;
            }
        };
        let Some(followed) = self.topics.get_mut(&frame.topic) else { return };
        let Some(frame) = followed.news(frame) else { return };
        if followed.followers > 0 {
            let shown = followed.shown(&frame, Boards::Beside);
            self.out.push_back(Output::State(shown));
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
        let Some(catching) =
            member.catching_up.as_mut().filter(|catching| catching.busy && catching.after() == Some(after))
        else {
            return;
        };
        let topics = catching.advance(match rows.last() {
            Some(last) if rows.len() >= PAGE_ROWS_MAX => last.pos,
            _ => upto,
        });
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
        let mut shown = Vec::with_capacity(topics.len());
        for (topic, seq) in topics {
            let Some(followed) = self.topics.get_mut(topic) else { continue };
            let frame = Arc::new(Frame::log(row, kind, *topic, *seq));
            followed.push(&frame);
            if followed.followers > 0 {
                shown.push(followed.shown(&frame, Boards::Beside));
            }
            if frame.is_emergency() {
                self.tell_early(&frame);
            }
        }
        if !shown.is_empty() {
            self.out.push_back(Output::Log(shown));
        }
    }

    /// Tells an emergency to those who are being told what they missed.
    fn tell_early(&mut self, frame: &Arc<Frame>) {
        for (session, member) in &self.sessions {
            let catching = member.catching_up.as_ref();
            if catching.is_some_and(|catching| catching.topics.contains_key(&frame.topic)) {
                let shown = Shown { frame: Arc::clone(frame), board: None };
                self.out.push_back(Output::Deliver(*session, Delivery::Early(shown)));
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
                            member.joined.keys().copied().filter(|topic| topic.team() == Some(*team)).collect();
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
        let lost: Vec<_> = member.joined.keys().copied().filter(|topic| !viewer.may_follow(*topic)).collect();
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
        let behind = parked.behind(member);
        let first = behind.iter().filter(|(topic, _)| topic.stream().is_some()).map(|(_, after)| *after).min();
        let outcome = match &parked.join.since {
            None => Outcome::Snapshot(NotRecovered::Fresh),
            Some(since) if since.epoch != self.epoch => Outcome::Snapshot(NotRecovered::Epoch),
            Some(since) if since.pos > self.head => Outcome::Snapshot(NotRecovered::Ahead),
            // Committed, but not applied here yet.
            Some(since) if since.pos > self.applied => return false,
            Some(_) if self.rings_reach(&behind) => Outcome::Replay(behind),
            Some(_) => match parked.floor {
                Floor::At(floor) if first.is_some_and(|first| first < floor) => Outcome::Snapshot(match parked.cause {
                    Cause::Lagged => NotRecovered::Lagged,
                    Cause::Opened | Cause::Asked => NotRecovered::Expired,
                }),
                Floor::At(_) => Outcome::Replay(behind),
                Floor::Asked => return false,
                Floor::Unknown => {
                    parked.floor = Floor::Asked;
                    let need = Need::Floor { session: parked.session, event: member.viewer.event };
                    self.out.push_back(Output::Need(need));
                    return false;
                }
            },
        };
        let is_lost = |topic: &Topic| {
            // Who fell behind goes on with what it still follows.
            !member.viewer.may_follow(*topic) || parked.cause == Cause::Lagged && !member.joined.contains_key(topic)
        };
        let lost: Vec<_> = parked.topics.iter().copied().filter(is_lost).collect();
        parked.topics.retain(|topic| !lost.contains(topic));
        self.release(&lost);
        self.join(parked, outcome);
        true
    }

    fn join(&mut self, parked: &Parked, outcome: Outcome) {
        let Parked { session, cause, join, topics, .. } = parked;
        let joined = |from, outcome| {
            let (cause, streams, topics) = (*cause, join.streams.clone(), topics.clone());
            Delivery::Joined(Joined { cause, streams, topics, from, outcome })
        };
        match outcome {
            Outcome::Snapshot(reason) => {
                self.deliver(*session, joined(self.applied, Err(reason)));
                let snapshot = self.snapshot(*session, topics, join.base, Tail::Shown);
                self.finish(*session, topics.clone(), Vec::new(), snapshot);
            }
            Outcome::Replay(mut behind) => {
                if *cause != Cause::Lagged {
                    // Who fell behind is not told: it gets what it missed, and misses nothing.
                    let from = join.since.as_ref().map_or(self.applied, |since| since.pos);
                    self.deliver(*session, joined(from, Ok(())));
                }
                let Some(member) = self.sessions.get_mut(session) else { return };
                // Live frames of these topics come in order after what was missed, not beside it.
                for topic in topics {
                    if member.joined.remove(topic).is_some() {
                        if let Some(followed) = self.topics.get_mut(topic) {
                            followed.followers -= 1;
                        }
                        self.out.push_back(Output::Unfollow(*session, *topic));
                    }
                }
                behind.retain(|topic, _| topics.contains(topic));
                member.catching_up = Some(CatchUp { topics: behind, base: join.base, busy: false });
                self.next_page(*session);
            }
        }
    }

    /// Goes on with a replay: from the rings if they reach back far enough, else from the log.
    fn next_page(&mut self, session: SessionId) {
        let Some(catching) = self.catch_up(session) else { return };
        let next = if self.rings_reach(&catching.topics) { None } else { catching.stretch(self.applied) };
        if let Some(Stretch { topics, after, upto }) = next {
            if let Some(member) = self.sessions.get_mut(&session)
                && let Some(catching) = &mut member.catching_up
            {
                catching.busy = true;
            }
            self.out.push_back(Output::Need(Need::Replay { session, topics, after, upto }));
            return;
        }
        let taken = self.sessions.get_mut(&session).and_then(|member| member.catching_up.take());
        let Some(CatchUp { topics: behind, base, .. }) = taken else { return };
        let frames = self.rings_after(session, &behind);
        let topics: Vec<_> = behind.into_keys().collect();
        let snapshot = self.snapshot(session, &topics, base, Tail::Replayed);
        self.finish(session, topics, frames, snapshot);
    }

    /// The session is live on these topics from here on; gives back their holds.
    fn finish(&mut self, session: SessionId, topics: Vec<Topic>, frames: Vec<Shown>, snapshot: Vec<Shown>) {
        if let Some(member) = self.sessions.get_mut(&session) {
            for topic in &topics {
                // One that was followed before keeps its position: what came since may be missing,
                // and the tail of a snapshot does not make good for it.
                if let Some(followed) = self.topics.get_mut(topic)
                    && let Entry::Vacant(place) = member.joined.entry(*topic)
                {
                    place.insert(self.applied);
                    followed.followers += 1;
                    self.out.push_back(Output::Follow(session, *topic));
                }
            }
        }
        self.release(&topics);
        let end = End { pos: self.applied, topics, snapshot };
        self.deliver(session, Delivery::Page(Page { frames, end: Some(end) }));
    }

    fn leave(&mut self, session: SessionId, stream: Stream) {
        let Some(member) = self.sessions.get(&session) else { return };
        let topics: Vec<_> = member.joined.keys().copied().filter(|topic| topic.stream() == Some(stream)).collect();
        self.drop_topics(session, &topics);
        self.deliver(session, Delivery::Left(stream));
    }

    /// Catches up on everything that the session follows, after what it has written.
    fn fell_behind(&mut self, session: SessionId, after: u64) {
        let Some(member) = self.sessions.get(&session) else { return };
        let topics: Vec<_> = member.joined.keys().copied().collect();
        let is_joined = |stream: &Stream| topics.iter().any(|topic| topic.stream() == Some(*stream));
        let streams = Stream::ALL.iter().copied().filter(is_joined).collect();
        // Its state was dropped with the backlog, so it is shown again.
        let base = if topics.contains(&member.viewer.base_topic()) { Base::Show } else { Base::Leave };
        let since = Some(Cursor { epoch: self.epoch.clone(), pos: after });
        let join = Join { streams, base, since };
        self.park_topics(Parked { session, cause: Cause::Lagged, join, topics, floor: Floor::Unknown });
    }

    /// Stops following some topics, whatever the reason.
    fn drop_topics(&mut self, session: SessionId, topics: &[Topic]) {
        for topic in topics {
            let was_followed =
                self.sessions.get_mut(&session).is_some_and(|member| member.joined.remove(topic).is_some());
            if was_followed {
                if let Some(followed) = self.topics.get_mut(topic) {
                    followed.followers -= 1;
                }
                self.out.push_back(Output::Unfollow(session, *topic));
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
        for topic in member.joined.keys() {
            if let Some(followed) = self.topics.get_mut(topic) {
                followed.followers -= 1;
            }
            self.drop_unfollowed(*topic);
        }
        if let Some(catching) = member.catching_up {
            self.release(&catching.topics.into_keys().collect::<Vec<_>>());
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
        if self.topics.get(&topic).is_some_and(|followed| followed.holds == 0 && followed.followers == 0) {
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
                shown.extend(followed.states.values().map(|state| Arc::clone(&state.latest)));
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

    /// Whether the rings hold everything of each topic after its position. Base topics have no log.
    fn rings_reach(&self, behind: &BTreeMap<Topic, u64>) -> bool {
        behind
            .iter()
            .filter(|(topic, _)| topic.stream().is_some())
            .all(|(topic, after)| self.topics.get(topic).is_some_and(|followed| followed.warm_from <= *after))
    }

    /// Everything of each topic after its position, in the order of the log.
    fn rings_after(&self, session: SessionId, behind: &BTreeMap<Topic, u64>) -> Vec<Shown> {
        let mut frames: Vec<Arc<Frame>> =
            behind.iter().filter_map(|(topic, after)| Some(self.topics.get(topic)?.after(*after))).flatten().collect();
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

impl Parked {
    /// The position after which each topic is missing. Who fell behind may follow some from a later
    /// one than it has written.
    fn behind(&self, member: &Member) -> BTreeMap<Topic, u64> {
        let since = self.join.since.as_ref().map_or(0, |since| since.pos);
        let after = |topic: &Topic| match self.cause {
            Cause::Lagged => member.joined.get(topic).map_or(since, |from| since.max(*from)),
            Cause::Opened | Cause::Asked => since,
        };
        self.topics.iter().map(|topic| (*topic, after(topic))).collect()
    }
}

impl CatchUp {
    fn logs(&self) -> impl Iterator<Item = (Topic, u64)> {
        self.topics.iter().filter(|(topic, _)| topic.stream().is_some()).map(|(topic, after)| (*topic, *after))
    }

    /// How far the topics are that are furthest behind; `None` if there is no log to replay.
    fn after(&self) -> Option<u64> {
        self.logs().map(|(_, after)| after).min()
    }

    /// Those furthest behind, up to where the next ones stand: so rows leave in the order of the log.
    fn stretch(&self, applied: u64) -> Option<Stretch> {
        let after = self.after()?;
        let topics = self.logs().filter(|(_, at)| *at == after).map(|(topic, _)| topic).collect();
        let upto = self.logs().map(|(_, at)| at).filter(|at| *at > after).min().unwrap_or(applied);
        Some(Stretch { topics, after, upto })
    }

    /// The stretch was read up to `pos`; gives its topics.
    fn advance(&mut self, pos: u64) -> Vec<Topic> {
        let after = self.after();
        self.busy = false;
        let mut topics = Vec::new();
        for (topic, at) in self.topics.iter_mut().filter(|(topic, at)| topic.stream().is_some() && Some(**at) == after)
        {
            *at = pos;
            topics.push(*topic);
        }
        topics
    }
}

impl Viewer {
    /// The topic that says what the stream is about.
    pub fn base_topic(&self) -> Topic {
        self.team.map_or(Topic::Event(self.event), Topic::Team)
    }

    /// Topics of a stream that this viewer may follow, in the order in which they serve a row.
    pub fn topics(&self, stream: Stream) -> Vec<Topic> {
        let Some(team) = self.team else {
            return topics_of_event(self.actor.as_ref(), self.event, self.visibility, stream);
        };
        let topic = match stream {
            Stream::Results => Topic::TeamResults(team),
            Stream::Schedule => Topic::TeamSchedule(team),
            Stream::Announcements => Topic::TeamAnnouncements(team),
        };
        if self.may_follow(topic) { vec![topic] } else { Vec::new() }
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
            followers: 0,
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

    /// Keeps the frame unless a later one is known.
    fn set_state(&mut self, frame: Arc<Frame>) -> Option<&mut State> {
        if frame.pos < self.created {
            return None;
        }
        let state =
            self.states.entry(frame.key.clone()).or_insert_with(|| State { latest: Arc::clone(&frame), sent: 0 });
        if frame.pos > state.latest.pos {
            state.latest = frame;
        }
        Some(state)
    }

    /// What members are sent when this frame arrives; `None` if they have it.
    fn news(&mut self, frame: Arc<Frame>) -> Option<Arc<Frame>> {
        let state = self.set_state(frame)?;
        (state.latest.pos > state.sent).then(|| {
            state.sent = state.latest.pos;
            Arc::clone(&state.latest)
        })
    }

    fn install(&mut self, topic: Topic, opening: &Opening, timestamp: Timestamp) {
        if opening.pos < self.created {
            return; // Asked for by earlier followers; the answer for these is on its way.
        }
        for (lane, data) in &opening.states {
            if let Some(frame) = Frame::state(lane, data, opening.pos, timestamp) {
                self.set_state(Arc::new(frame));
            }
        }
        self.tail.clear();
        let is_hole = self.warm_from > opening.pos;
        self.tail_is_cut =
            is_hole || topic.stream() == Some(Stream::Announcements) && opening.tail.len() >= ANNOUNCEMENTS_TAIL_MAX;
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
            (_, Some(group)) => self.states.get(group).map(|state| Arc::clone(&state.latest)),
            (_, None) => self.states.values().next().map(|state| Arc::clone(&state.latest)),
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

#[cfg(test)]
mod tests {
    use timely_core::access::{Bearer, Role};
    use timely_core::id::{OWNER, TeamId};
    use timely_core::topic::StateLane;

    use super::*;
    use crate::live::followers::Followers;
    use crate::live::testing::{
        announcement_row, board_data, changed_row, fixture_row, removal_row, result_row, row, single,
    };

    const EVENT: EventId = EventId(1);
    const RESULTS: Topic = Topic::EventResults(EVENT);
    const ANNOUNCEMENTS: Topic = Topic::EventAnnouncements(EVENT);
    const TEAM: TeamId = TeamId(5);

    fn epoch() -> Epoch {
        Epoch("k3f9".into())
    }

    fn bearer(role: Role, team: Option<TeamId>) -> Bearer {
        Bearer {
            user: OWNER,
            name: "Kim".into(),
            token: TokenId(9),
            role,
            event: Some(EVENT),
            area: None,
            team,
            expires_at: None,
        }
    }

    fn viewer(actor: Actor) -> Viewer {
        Viewer { actor, event: EVENT, team: None, visibility: Visibility::Public, judged_at: 0, boards: Boards::Apart }
    }

    fn judged_at(pos: u64) -> Viewer {
        Viewer { judged_at: pos, ..viewer(None) }
    }

    fn join(streams: &[Stream], since: Option<&str>) -> Join {
        let since = since.map(|cursor| cursor.parse().unwrap());
        Join { streams: streams.to_vec(), base: Base::Leave, since }
    }

    /// A hub, and what each session of it was told.
    struct Observed {
        hub: Hub,
        followers: Followers<SessionId>,
    }

    impl Observed {
        fn new(epoch: Epoch, applied: u64) -> Self {
            Self { hub: Hub::new(epoch, applied), followers: Followers::default() }
        }
    }

    impl std::ops::Deref for Observed {
        type Target = Hub;

        fn deref(&self) -> &Hub {
            &self.hub
        }
    }

    impl std::ops::DerefMut for Observed {
        fn deref_mut(&mut self) -> &mut Hub {
            &mut self.hub
        }
    }

    /// What is said, session by session.
    fn outputs(hub: &mut Observed) -> Vec<Output> {
        let mut told = Vec::new();
        while let Some(output) = hub.hub.output() {
            match single(output, &mut hub.followers) {
                Ok(deliveries) => {
                    told.extend(deliveries.into_iter().map(|(session, delivery)| Output::Deliver(session, delivery)));
                }
                Err(need) => told.push(Output::Need(need)),
            }
        }
        told
    }

    fn deliveries(hub: &mut Observed) -> Vec<Delivery> {
        let delivery = |output| match output {
            Output::Deliver(_, delivery) => Some(delivery),
            _ => None,
        };
        outputs(hub).into_iter().filter_map(delivery).collect()
    }

    fn open_topics(hub: &mut Observed, pos: u64) {
        for output in outputs(hub) {
            if let Output::Need(Need::Opening(topic)) = output {
                hub.opening(topic, Opening { pos, states: vec![], tail: vec![] }, Timestamp::UNIX_EPOCH);
            }
        }
    }

    /// Positions of what the sessions were shown as it happened.
    fn shown(deliveries: &[Delivery]) -> Vec<(Topic, u64)> {
        deliveries
            .iter()
            .filter_map(|delivery| match delivery {
                Delivery::Log(shown) => Some((shown.frame.topic, shown.frame.pos)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_join_waits_for_its_opening_and_for_the_rows_up_to_it() {
        let mut hub = Observed::new(epoch(), 4);
        hub.open(SessionId(1), judged_at(10), join(&[Stream::Results], None));
        assert!(matches!(&outputs(&mut hub)[..], [Output::Need(Need::Opening(RESULTS))]));
        let tail = vec![result_row(3, EVENT, &[(RESULTS, 1)]), result_row(6, EVENT, &[(RESULTS, 2)])];
        let states = vec![(StateLane::board(RESULTS, Some("A")), board_data("A", 2))];
        hub.opening(RESULTS, Opening { pos: 6, states, tail }, Timestamp::UNIX_EPOCH);
        assert!(deliveries(&mut hub).is_empty(), "rows 5 and 6 are still to come");
        hub.row(&changed_row(5, &[]));
        hub.row(&result_row(6, EVENT, &[(RESULTS, 2)]));
        hub.row(&result_row(7, EVENT, &[(RESULTS, 3)]));
        let delivered = deliveries(&mut hub);
        let [Delivery::Joined(joined), Delivery::Page(Page { frames, end: Some(end) }), live @ ..] = &delivered[..]
        else {
            panic!("{delivered:?}");
        };
        assert_eq!((joined.from, joined.outcome), (6, Err(NotRecovered::Fresh)));
        assert!(frames.is_empty());
        let snapshot: Vec<_> = end.snapshot.iter().map(|shown| (shown.frame.kind, shown.frame.pos)).collect();
        let (board, result) = (MessageType::LeaderboardUpdate, MessageType::ResultUpdate);
        assert_eq!(snapshot, [(board, 6), (result, 3), (result, 6)], "boards, then results, oldest first");
        assert_eq!(shown(live), [(RESULTS, 7)], "what came after the snapshot, once");
    }

    #[test]
    fn a_cursor_is_continued_or_the_reason_is_said() {
        // Applied up to 10, floor at 3, the ring of a warm topic reaches back to 8.
        for (why, since, warm, needs, outcome) in [
            ("no cursor", None, false, 0, Err(NotRecovered::Fresh)),
            ("another log", Some("other.9"), false, 0, Err(NotRecovered::Epoch)),
            ("from the future", Some("k3f9.11"), false, 0, Err(NotRecovered::Ahead)),
            ("too old", Some("k3f9.2"), false, 1, Err(NotRecovered::Expired)),
            ("just not too old", Some("k3f9.3"), false, 1, Ok(())),
            ("up to date", Some("k3f9.10"), false, 0, Ok(())),
            ("a short cut", Some("k3f9.8"), true, 0, Ok(())),
            ("before the ring", Some("k3f9.7"), true, 1, Ok(())),
        ] {
            let mut hub = Observed::new(epoch(), if warm { 8 } else { 10 });
            if warm {
                hub.open(SessionId(1), judged_at(10), join(&[Stream::Results], None));
                open_topics(&mut hub, 8);
                hub.row(&result_row(9, EVENT, &[(RESULTS, 1)]));
                hub.row(&changed_row(10, &[]));
                outputs(&mut hub);
            }
            hub.open(SessionId(2), judged_at(10), join(&[Stream::Results], since));
            let mut floors = 0;
            let mut joined = None;
            let mut pending: VecDeque<_> = outputs(&mut hub).into();
            while let Some(output) = pending.pop_front() {
                match output {
                    Output::Need(Need::Opening(topic)) => {
                        let opening = Opening { pos: 10, states: vec![], tail: vec![] };
                        hub.opening(topic, opening, Timestamp::UNIX_EPOCH);
                    }
                    Output::Need(Need::Floor { session, .. }) => {
                        floors += 1;
                        hub.floor(session, 3);
                    }
                    Output::Deliver(SessionId(2), Delivery::Joined(found)) => joined = Some(found),
                    _ => {}
                }
                pending.extend(outputs(&mut hub));
            }
            assert_eq!(joined.map(|joined| joined.outcome), Some(outcome), "{why}");
            assert_eq!(floors, needs, "{why}: reads of the floor");
        }
    }

    #[test]
    fn a_cursor_that_is_committed_but_not_applied_waits_and_is_not_ahead() {
        let mut hub = Observed::new(epoch(), 10);
        hub.set_head(11);
        hub.open(SessionId(1), judged_at(10), join(&[Stream::Results], Some("k3f9.11")));
        open_topics(&mut hub, 11);
        assert!(deliveries(&mut hub).is_empty());
        hub.row(&result_row(11, EVENT, &[(RESULTS, 1)]));
        let delivered = deliveries(&mut hub);
        assert!(
            matches!(&delivered[..], [Delivery::Joined(Joined { outcome: Ok(()), .. }), Delivery::Page(page)]
                if page.frames.is_empty() && page.end.is_some()),
            "{delivered:?}"
        );
    }

    /// Session 1 follows results from 0 and the schedule from 1200 on; the ring of results begins
    /// after 788. Row 1301 is a fixture, all others are results.
    fn hub_with_a_long_log() -> Observed {
        let mut hub = Observed::new(epoch(), 0);
        hub.open(SessionId(1), viewer(None), join(&[Stream::Results], None));
        open_topics(&mut hub, 0);
        for pos in 1..=1_200 {
            hub.row(&result_row(pos, EVENT, &[(RESULTS, pos)]));
        }
        hub.request(SessionId(1), Request::Join(join(&[Stream::Schedule], None)));
        open_topics(&mut hub, 1_200);
        for pos in 1_201..=1_300 {
            hub.row(&result_row(pos, EVENT, &[(RESULTS, pos)]));
        }
        hub.row(&fixture_row(1_301, EVENT, &[(Topic::EventSchedule(EVENT), 1)]));
        outputs(&mut hub);
        hub
    }

    #[test]
    fn who_fell_behind_gets_each_topic_from_where_it_stands_and_in_the_order_of_the_log() {
        let mut hub = hub_with_a_long_log();
        hub.request(SessionId(1), Request::CatchUp { after: 50 });
        let needs = outputs(&mut hub);
        assert!(matches!(&needs[..], [Output::Need(Need::Floor { session: SessionId(1), .. })]), "{needs:?}");
        hub.floor(SessionId(1), 50);
        let mut told = Vec::new();
        let mut stretches = Vec::new();
        let mut pending: VecDeque<_> = outputs(&mut hub).into();
        while let Some(output) = pending.pop_front() {
            match output {
                Output::Need(need) => {
                    assert!(hub.wants(&need));
                    let Need::Replay { session, topics, after, upto } = need else { panic!("{need:?}") };
                    assert_eq!(topics, [RESULTS], "the schedule was joined later");
                    let rows: Vec<_> = (after + 1..=upto)
                        .take(PAGE_ROWS_MAX)
                        .map(|pos| result_row(pos, EVENT, &[(RESULTS, pos)]))
                        .collect();
                    hub.replay(session, after, upto, &rows);
                    stretches.push((after, upto));
                    // What happens meanwhile comes in its turn.
                    let pos = 1_301 + stretches.len() as u64;
                    hub.row(&result_row(pos, EVENT, &[(RESULTS, pos)]));
                }
                Output::Deliver(_, Delivery::Page(page)) => {
                    told.extend(page.frames.iter().map(|shown| (shown.frame.topic, shown.frame.pos)));
                    if page.end.is_none() {
                        hub.request(SessionId(1), Request::NextPage);
                    }
                }
                other => panic!("neither connected nor resync nor anything live: {other:?}"),
            }
            pending.extend(outputs(&mut hub));
        }
        assert_eq!(stretches, [(50, 1_200), (306, 1_200), (562, 1_200)], "then the ring reaches back");
        let topic = |pos| if pos == 1_301 { Topic::EventSchedule(EVENT) } else { RESULTS };
        assert_eq!(told, (51..=1_304).map(|pos| (topic(pos), pos)).collect::<Vec<_>>());
        hub.row(&result_row(1_305, EVENT, &[(RESULTS, 1_305)]));
        assert_eq!(shown(&deliveries(&mut hub)), [(RESULTS, 1_305)], "live again");
        hub.gone(SessionId(1));
        assert_eq!(hub.len(), (0, 0), "nothing is kept");
    }

    #[test]
    fn who_fell_behind_the_log_itself_starts_over_with_the_reason() {
        let mut hub = hub_with_a_long_log();
        hub.request(SessionId(1), Request::CatchUp { after: 50 });
        outputs(&mut hub);
        hub.floor(SessionId(1), 51);
        let delivered = deliveries(&mut hub);
        let [Delivery::Joined(joined), Delivery::Page(Page { frames, end: Some(end) })] = &delivered[..] else {
            panic!("{delivered:?}");
        };
        assert_eq!((joined.cause, joined.outcome, joined.from), (Cause::Lagged, Err(NotRecovered::Lagged), 1_301));
        assert_eq!((frames.len(), end.snapshot.len()), (0, RESULTS_TAIL_MAX), "the recent tail");
        hub.row(&result_row(1_302, EVENT, &[(RESULTS, 1_302)]));
        assert_eq!(shown(&deliveries(&mut hub)), [(RESULTS, 1_302)], "followed as before, and once");
    }

    #[test]
    fn an_emergency_reaches_those_who_catch_up_before_its_turn() {
        let mut hub = Observed::new(epoch(), 0);
        for session in 1..=2 {
            hub.open(SessionId(session), viewer(None), join(&[Stream::Announcements], None));
        }
        open_topics(&mut hub, 0);
        for pos in 1..=600 {
            hub.row(&announcement_row(pos, EVENT, 1, "GENERAL", "NORMAL", &[(ANNOUNCEMENTS, pos)]));
        }
        outputs(&mut hub);
        hub.request(SessionId(1), Request::CatchUp { after: 1 });
        outputs(&mut hub);
        hub.floor(SessionId(1), 0);
        assert!(matches!(&outputs(&mut hub)[..], [Output::Need(Need::Replay { after: 1, .. })]));
        for (pos, kind) in [(601, "GENERAL"), (602, "EMERGENCY")] {
            hub.row(&announcement_row(pos, EVENT, 7, kind, "NORMAL", &[(ANNOUNCEMENTS, pos)]));
        }
        let told: Vec<_> = outputs(&mut hub)
            .into_iter()
            .filter_map(|output| match output {
                Output::Deliver(SessionId(session), Delivery::Early(shown)) => Some((session, true, shown.frame.pos)),
                Output::Deliver(SessionId(session), Delivery::Log(shown)) => Some((session, false, shown.frame.pos)),
                _ => None,
            })
            .collect();
        assert_eq!(told.len(), 3, "{told:?}");
        for expected in [(2, false, 601), (2, false, 602), (1, true, 602)] {
            assert!(told.contains(&expected), "{told:?}");
        }
    }

    #[test]
    fn a_row_of_several_topics_is_shown_once_under_the_first_joined() {
        let team = Topic::TeamAnnouncements(TEAM);
        let staff = Topic::EventStaff(EVENT);
        let participants = Topic::EventParticipants(EVENT);
        for (why, actor, topics, expected) in [
            ("public", None, &[(ANNOUNCEMENTS, 1)][..], Some(ANNOUNCEMENTS)),
            ("participants only", None, &[(participants, 1)], None),
            ("a participant", Some(bearer(Role::Viewer, None)), &[(participants, 1)], Some(participants)),
            ("staff hear what teams are told", Some(bearer(Role::Scorer, None)), &[(team, 1), (staff, 1)], Some(staff)),
            (
                "a member hears it as a member",
                Some(bearer(Role::Viewer, Some(TEAM))),
                &[(team, 1), (staff, 1)],
                Some(team),
            ),
            ("another team", Some(bearer(Role::Viewer, Some(TeamId(6)))), &[(team, 1), (staff, 1)], None),
            ("all at once", Some(bearer(Role::Organiser, None)), &[(staff, 1), (participants, 1)], Some(participants)),
        ] {
            let mut hub = Observed::new(epoch(), 0);
            hub.open(SessionId(1), viewer(actor), join(&[Stream::Announcements], None));
            open_topics(&mut hub, 0);
            outputs(&mut hub);
            hub.row(&announcement_row(1, EVENT, 1, "GENERAL", "NORMAL", topics));
            let seen: Vec<_> = shown(&deliveries(&mut hub)).into_iter().map(|(topic, _)| topic).collect();
            assert_eq!(seen, Vec::from_iter(expected), "{why}");
        }
    }

    #[test]
    fn changes_of_rights_end_streams_in_the_order_of_the_log() {
        let private = AccessChange::Visibility { event: EVENT, visibility: Visibility::Private };
        for (why, actor, change, code) in [
            (
                "its token ended",
                Some(bearer(Role::Viewer, None)),
                AccessChange::TokenEnded { token: TokenId(9) },
                Some(close::CREDENTIAL),
            ),
            (
                "another token ended",
                Some(bearer(Role::Viewer, None)),
                AccessChange::TokenEnded { token: TokenId(8) },
                None,
            ),
            ("hidden from strangers", None, private.clone(), Some(close::GONE)),
            ("not from participants", Some(bearer(Role::Viewer, None)), private.clone(), None),
            (
                "deleted",
                Some(bearer(Role::Organiser, None)),
                AccessChange::EventDeleted { event: EVENT },
                Some(close::GONE),
            ),
            ("another event", None, AccessChange::EventDeleted { event: EventId(2) }, None),
        ] {
            let mut hub = Observed::new(epoch(), 0);
            hub.open(SessionId(1), viewer(actor.clone()), join(&[Stream::Results], None));
            open_topics(&mut hub, 0);
            outputs(&mut hub);
            hub.row(&row(1, EVENT, RowKind::Access(change.clone()), String::new(), &[]));
            hub.row(&result_row(2, EVENT, &[(RESULTS, 1)]));
            let delivered = deliveries(&mut hub);
            match code {
                None => assert_eq!(shown(&delivered), [(RESULTS, 2)], "{why}"),
                Some(code) => {
                    assert!(matches!(delivered[..], [Delivery::Closed(said)] if said == code), "{why}: {delivered:?}");
                    assert_eq!(hub.len(), (0, 0), "{why}: nothing is kept");
                }
            }

            // Judged before the change, joining after it: the same end.
            hub.open(SessionId(2), viewer(actor), join(&[Stream::Results], None));
            let delivered = deliveries(&mut hub);
            assert_eq!(
                matches!(delivered[..], [Delivery::Closed(said)] if Some(said) == code),
                code.is_some(),
                "{why}"
            );
        }
    }

    #[test]
    fn a_viewer_judged_after_a_change_is_not_judged_by_it_again() {
        let mut hub = Observed::new(epoch(), 0);
        let private = AccessChange::Visibility { event: EVENT, visibility: Visibility::Private };
        // Made public again at 2, where the viewer was judged; here only 1 has been applied.
        hub.open(SessionId(1), judged_at(2), join(&[Stream::Results], None));
        open_topics(&mut hub, 2);
        hub.row(&row(1, EVENT, RowKind::Access(private), String::new(), &[]));
        hub.row(&changed_row(2, &[]));
        hub.row(&result_row(3, EVENT, &[(RESULTS, 1)]));
        assert_eq!(shown(&deliveries(&mut hub)), [(RESULTS, 3)]);
    }

    #[test]
    fn a_viewer_judged_longer_ago_than_is_remembered_comes_back_to_be_judged() {
        let mut hub = Observed::new(epoch(), 0);
        for pos in 1..=RECENT_ACCESS_MAX as u64 + 1 {
            let change = AccessChange::TokenEnded { token: TokenId(1_000) };
            hub.row(&row(pos, EVENT, RowKind::Access(change), String::new(), &[]));
        }
        hub.open(SessionId(1), viewer(None), join(&[Stream::Results], None));
        assert!(matches!(deliveries(&mut hub)[..], [Delivery::Closed(close::RESUME)]));
        hub.open(SessionId(2), judged_at(1), join(&[Stream::Results], None));
        assert_eq!(hub.len().0, 1);
    }

    #[test]
    fn a_deleted_team_ends_its_streams_and_leaves_those_of_the_event() {
        let mut hub = Observed::new(epoch(), 0);
        let member = Some(bearer(Role::Viewer, Some(TEAM)));
        hub.open(SessionId(1), viewer(member.clone()), join(&[Stream::Announcements], None));
        hub.open(SessionId(2), Viewer { team: Some(TEAM), ..viewer(member) }, join(&[Stream::Results], None));
        open_topics(&mut hub, 0);
        outputs(&mut hub);
        let gone = AccessChange::TeamDeleted { event: EVENT, team: TEAM };
        hub.row(&row(1, EVENT, RowKind::Access(gone), String::new(), &[]));
        let delivered = outputs(&mut hub);
        assert!(
            matches!(delivered[..], [Output::Deliver(SessionId(2), Delivery::Closed(close::GONE))]),
            "{delivered:?}"
        );
        hub.row(&announcement_row(2, EVENT, 1, "GENERAL", "NORMAL", &[(ANNOUNCEMENTS, 1)]));
        assert_eq!(shown(&deliveries(&mut hub)), [(ANNOUNCEMENTS, 2)]);
    }

    /// Ids of the announcements in the snapshot of a newcomer.
    fn announced(hub: &mut Observed, session: u64) -> Vec<i64> {
        hub.open(SessionId(session), viewer(None), join(&[Stream::Announcements], None));
        let found = deliveries(hub).into_iter().find_map(|delivery| match delivery {
            Delivery::Page(Page { end: Some(end), .. }) => Some(end.snapshot),
            _ => None,
        });
        let ids = found.unwrap().into_iter().filter_map(|shown| shown.frame.subject);
        ids.map(|subject| subject.announcement.0).collect()
    }

    #[test]
    fn newcomers_see_the_newest_fifty_announcements_and_every_loud_one() {
        let mut hub = Observed::new(epoch(), 0);
        hub.open(SessionId(1), viewer(None), join(&[Stream::Announcements], None));
        open_topics(&mut hub, 0);
        for pos in 1..=60 {
            let (kind, priority) = match pos {
                3 => ("EMERGENCY", "NORMAL"),
                5 => ("GENERAL", "URGENT"),
                _ => ("GENERAL", "HIGH"),
            };
            let row =
                announcement_row(pos, EVENT, i64::try_from(pos).unwrap(), kind, priority, &[(ANNOUNCEMENTS, pos)]);
            hub.row(&row);
        }
        outputs(&mut hub);
        let expected: Vec<i64> = [3, 5].into_iter().chain(13..=60).collect();
        assert_eq!(announced(&mut hub, 2), expected, "fifty, oldest first");

        // An edit moves it to the end; a removal takes it away and may uncover an older one.
        hub.row(&announcement_row(61, EVENT, 20, "GENERAL", "LOW", &[(ANNOUNCEMENTS, 61)]));
        outputs(&mut hub);
        assert_eq!(announced(&mut hub, 3).last(), Some(&20));
        hub.row(&removal_row(62, EVENT, 3, &[(ANNOUNCEMENTS, 62)]));
        hub.open(SessionId(4), viewer(None), join(&[Stream::Announcements], None));
        assert!(
            outputs(&mut hub).iter().any(|output| matches!(output, Output::Need(Need::Opening(ANNOUNCEMENTS)))),
            "announcement 12 is active and not known here"
        );
    }

    #[test]
    fn a_replay_from_the_ring_leaves_out_what_has_left_the_screens() {
        let mut hub = Observed::new(epoch(), 0);
        hub.open(SessionId(1), viewer(None), join(&[Stream::Announcements], None));
        open_topics(&mut hub, 0);
        hub.row(&announcement_row(1, EVENT, 7, "GENERAL", "NORMAL", &[(ANNOUNCEMENTS, 1)]));
        hub.row(&announcement_row(2, EVENT, 8, "GENERAL", "NORMAL", &[(ANNOUNCEMENTS, 2)]));
        hub.row(&removal_row(3, EVENT, 7, &[(ANNOUNCEMENTS, 3)]));
        outputs(&mut hub);
        hub.open(SessionId(2), viewer(None), join(&[Stream::Announcements], Some("k3f9.0")));
        let frames = deliveries(&mut hub).into_iter().find_map(|delivery| match delivery {
            Delivery::Page(page) => Some(page.frames),
            _ => None,
        });
        let positions: Vec<_> = frames.unwrap().iter().map(|shown| shown.frame.pos).collect();
        assert_eq!(positions, [2, 3]);
    }

    #[test]
    fn the_board_beside_a_frame_is_that_of_its_group_and_of_the_first_for_a_knockout() {
        let mut hub = Observed::new(epoch(), 0);
        let viewer = Viewer { boards: Boards::Beside, ..viewer(None) };
        hub.open(SessionId(1), viewer, join(&[Stream::Results], None));
        open_topics(&mut hub, 0);
        for (group, pos) in [("B", 1), ("A", 2)] {
            hub.row(&changed_row(pos, &[]));
            let lane = StateLane::board(RESULTS, Some(group));
            let frame = Frame::state(&lane, &board_data(group, pos), pos, Timestamp::UNIX_EPOCH).unwrap();
            hub.state(Released::Frame(Arc::new(frame)));
        }
        outputs(&mut hub);
        for (why, pos, group, board) in [
            ("its group", 3, Some("B"), Some("B")),
            ("a knockout", 4, None, Some("A")),
            ("a group without a board yet", 5, Some("C"), None),
        ] {
            hub.row(&LogRow { group: group.map(str::to_owned), ..result_row(pos, EVENT, &[(RESULTS, pos)]) });
            let delivered = deliveries(&mut hub);
            let [Delivery::Log(shown)] = &delivered[..] else { panic!("{why}: {delivered:?}") };
            assert_eq!(shown.board.as_ref().map(|frame| frame.key.as_str()), board, "{why}");
        }
    }

    #[test]
    fn topics_are_kept_while_somebody_follows_them_and_no_longer() {
        let mut hub = Observed::new(epoch(), 0);
        for session in 1..=2 {
            hub.open(SessionId(session), viewer(None), join(Stream::ALL, None));
        }
        assert_eq!(hub.len(), (2, 3));
        hub.gone(SessionId(1));
        assert_eq!(hub.len(), (1, 3), "the other still waits for them");
        open_topics(&mut hub, 0);
        hub.request(SessionId(2), Request::Leave(Stream::Schedule));
        assert_eq!(hub.len(), (1, 2));
        outputs(&mut hub);
        hub.row(&fixture_row(1, EVENT, &[(Topic::EventSchedule(EVENT), 1)]));
        assert!(deliveries(&mut hub).is_empty(), "unsubscribed");
        hub.gone(SessionId(2));
        assert_eq!(hub.len(), (0, 0));
    }

    #[test]
    fn an_answer_for_earlier_followers_is_not_taken_for_the_later_ones() {
        let mut hub = Observed::new(epoch(), 0);
        hub.open(SessionId(1), viewer(None), join(&[Stream::Results], None));
        hub.gone(SessionId(1));
        hub.row(&result_row(1, EVENT, &[(RESULTS, 1)]));
        hub.open(SessionId(2), viewer(None), join(&[Stream::Results], None));
        outputs(&mut hub);
        hub.opening(RESULTS, Opening { pos: 0, states: vec![], tail: vec![] }, Timestamp::UNIX_EPOCH);
        assert!(deliveries(&mut hub).is_empty(), "row 1 is neither in it nor in the ring");
        let tail = vec![result_row(1, EVENT, &[(RESULTS, 1)])];
        hub.opening(RESULTS, Opening { pos: 1, states: vec![], tail }, Timestamp::UNIX_EPOCH);
        assert_eq!(deliveries(&mut hub).len(), 2, "joined, and its page");
    }
}
