//! The stream over Server-Sent Events: `reqwest-eventsource`, held so that its faults do no harm.
//!
//! The crate is stale, and what it does after a first error is not to be relied on. So it is never
//! asked for more than one connection: it parses, we decide.
//!
//! | fault of the crate | remedy |
//! |---|---|
//! | the count of retries never grows: a closed port is tried for ever, hundreds of times a second | the policy is `Never`; the subscription waits and tries |
//! | anything but 200 on its own reconnect ends it for good, without asking the policy | a new `EventSource` for each connection; the answer is judged as that to a WebSocket is |
//! | each reconnect appends another `Last-Event-ID` | none is ever sent; `since` stands in the address |
//! | no jitter, no idle timeout, a clock of its own | all waiting is the subscription's |
//! | `EventSource::get` builds a client with proxies and redirects, and panics | [`Client`] builds the request; clippy forbids `get` |
//! | an event may be of any size, and one without an end is read without a pause | one that is too large ends the connection; [`Reader`] reads where it can be stopped, so that silence ends one without an end |
//!
//! The ids of the blocks are not needed: with `v=2` the message `live` carries the cursor of the
//! snapshot and every later log message its own place, so the rule knows what the ids know.

use std::thread;

use futures_util::StreamExt as _;
use reqwest::{Response, Url};
use reqwest_eventsource::retry::Never;
use reqwest_eventsource::{Error as SourceError, Event, EventSource};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

use crate::client::{Client, chain};
use crate::error::Error;
use crate::live::MESSAGE_BYTES_MAX;
use crate::live::failure::{Cut, Failure};

/// Largest body of a refusal that is read; the rest does not matter.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// Messages that are read ahead of their reader.
const AHEAD_MAX: usize = 4;
/// Type of the events without a name: the only ones that the server sends.
const UNNAMED: &str = "message";

/// One open stream of events. Dropping it ends the connection.
pub(super) struct Events(mpsc::Receiver<Result<String, Cut>>);

/// Asks for the stream and waits for the head of the answer.
pub(super) async fn open(client: &Client, url: &Url) -> Result<Events, Failure> {
    open_within(client, url, MESSAGE_BYTES_MAX).await
}

async fn open_within(client: &Client, url: &Url, message_bytes_max: usize) -> Result<Events, Failure> {
    let (opened, open) = oneshot::channel();
    let (messages, heard) = mpsc::channel(AHEAD_MAX);
    let reader = Reader { client: client.clone(), url: url.clone(), message_bytes_max, opened, messages };
    thread::Builder::new()
        .name("sse".to_owned())
        .spawn(move || reader.run())
        .map_err(|error| Failure::blocked(format!("cannot start a thread: {error}")))?;
    open.await.unwrap_or_else(|_| Err(Failure::blocked("the stream did not open")))?;
    Ok(Events(heard))
}

impl Events {
    /// The next message. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Result<String, Cut> {
        self.0.recv().await.unwrap_or_else(|| Err(Cut::Broken("the stream ended".to_owned())))
    }
}

/// Reads one connection, on a thread of its own.
///
/// The crate takes in an unfinished event for as long as bytes are there, without a bound and without
/// giving way: beside the task that reads the socket it never comes to an end, and no timeout around it
/// fires. On a runtime with a single thread the two take turns, so that dropping [`Events`] ends both.
struct Reader {
    client: Client,
    url: Url,
    message_bytes_max: usize,
    opened: oneshot::Sender<Result<(), Failure>>,
    messages: mpsc::Sender<Result<String, Cut>>,
}

impl Reader {
    fn run(self) {
        let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                // Nobody waits for it any more: then it does not matter.
                let _ = self.opened.send(Err(Failure::blocked(format!("cannot start a runtime: {error}"))));
                return;
            }
        };
        let unwanted = self.messages.clone();
        runtime.block_on(async {
            tokio::select! {
                () = unwanted.closed() => {}
                () = self.read() => {}
            }
        });
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
    }

    async fn read(self) {
        let Self { client, url, message_bytes_max, opened, messages } = self;
        let mut source = match ask(&client, &url).await {
            Ok(source) => source,
            Err(failure) => {
                // Nobody waits for it any more: then it does not matter.
                let _ = opened.send(Err(failure));
                return;
            }
        };
        if opened.send(Ok(())).is_err() {
            return;
        }
        loop {
            let message = match source.next().await {
                Some(Ok(Event::Message(event))) if event.data.len() > message_bytes_max => {
                    Err(Cut::Broken(format!("a message is larger than {message_bytes_max} bytes")))
                }
                Some(Ok(Event::Message(event))) if event.event == UNNAMED => Ok(event.data),
                Some(Ok(Event::Message(_) | Event::Open)) => continue,
                Some(Err(error)) => Err(Cut::Broken(words(&error))),
                None => return,
            };
            let is_last = message.is_err();
            if messages.send(message).await.is_err() || is_last {
                return;
            }
        }
    }
}

async fn ask(client: &Client, url: &Url) -> Result<EventSource, Failure> {
    let unusable = |error| Failure::Final(Error::Unusable(format!("{url}: {error}")));
    let mut source = EventSource::new(client.stream(url.clone()).map_err(Failure::Final)?).map_err(unusable)?;
    source.set_retry_policy(Box::new(Never));
    match source.next().await {
        Some(Ok(Event::Open)) => Ok(source),
        Some(Err(SourceError::InvalidStatusCode(_, answer) | SourceError::InvalidContentType(_, answer))) => {
            Err(refusal(client, answer).await)
        }
        Some(Err(error)) => Err(Failure::blocked(words(&error))),
        Some(Ok(Event::Message(_))) | None => Err(Failure::blocked("the stream did not open")),
    }
}

async fn refusal(client: &Client, mut answer: Response) -> Failure {
    let mut body = Vec::new();
    // A body that breaks off is judged by what came: half a problem is none.
    while let Ok(Some(chunk)) = answer.chunk().await
        && body.len() < REFUSAL_BYTES_MAX
    {
        body.extend_from_slice(&chunk);
    }
    Failure::refusal(client, answer.status(), answer.headers(), &body)
}

fn words(error: &SourceError) -> String {
    match error {
        SourceError::StreamEnded => "the stream ended".to_owned(),
        error => chain(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::live::testing::{PATIENCE, Server, Stream, closed_port};

    async fn ask_server(client: &Client, message_bytes_max: usize) -> Result<Events, Failure> {
        let url = client.url("api/events/1/stream/?v=2").unwrap();
        timeout(PATIENCE, open_within(client, &url, message_bytes_max)).await.expect("no answer")
    }

    /// Both ends of an open stream.
    async fn opened(server: &Server, message_bytes_max: usize) -> (Events, Stream) {
        let serve = async { server.visit().await.events().await };
        let (events, stream) = tokio::join!(ask_server(&server.client, message_bytes_max), serve);
        (events.unwrap_or_else(|failure| panic!("{failure:?}")), stream)
    }

    async fn next(events: &mut Events) -> Result<String, String> {
        match timeout(PATIENCE, events.next()).await.expect("nothing comes") {
            Ok(text) => Ok(text),
            Err(Cut::Broken(cause)) => Err(cause),
            Err(Cut::Closed(code)) => panic!("event streams have no codes: {code}"),
        }
    }

    #[tokio::test]
    async fn unnamed_data_comes_as_it_was_sent_and_nothing_else_does() {
        let server = Server::new().await;
        let (mut events, mut stream) = opened(&server, 100).await;
        stream
            .send("retry: 5\n\ndata: one\n\n: comment\nid: e.5\n\nevent: named\ndata: two\n\nid: e.6\ndata: th")
            .await;
        assert_eq!(next(&mut events).await, Ok("one".to_owned()));
        stream.send("ree\ndata: four\n\n").await;
        assert_eq!(next(&mut events).await, Ok("three\nfour".to_owned()));
    }

    #[tokio::test]
    async fn the_request_carries_the_credential_and_no_id() {
        let server = Server::new().await;
        let (_, visit) = tokio::join!(ask_server(&server.client, 100), async {
            let visit = server.visit().await;
            let head = visit.head.clone();
            visit.page("404 Not Found").await;
            head
        });
        let head = visit.to_ascii_lowercase();
        assert!(head.starts_with("get /api/events/1/stream/?v=2 http/1.1"), "{head}");
        assert!(head.contains("authorization: bearer t0\r\n"), "{head}");
        assert_eq!(head.matches("accept: text/event-stream").count(), 1, "{head}");
        assert!(!head.contains("last-event-id"), "{head}");
    }

    #[tokio::test]
    async fn a_stream_that_ended_is_not_asked_for_again_behind_our_back() {
        let server = Server::new().await;
        let (mut events, mut stream) = opened(&server, 100).await;
        stream.send("retry: 0\nid: e.5\ndata: one\n\n").await;
        drop(stream);
        assert_eq!(next(&mut events).await, Ok("one".to_owned()));
        for _ in 0..2 {
            assert_eq!(next(&mut events).await, Err("the stream ended".to_owned()));
        }
        assert!(!server.is_visited().await, "the crate's own retry acted");
    }

    #[tokio::test]
    async fn a_refused_connection_is_one_failure() {
        let (_port, client) = closed_port();
        match ask_server(&client, 100).await {
            Err(Failure::Blocked(passing)) => assert!(passing.cause.contains("refused"), "{}", passing.cause),
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("nobody listens"),
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_no_stream_is_judged_by_who_gave_it() {
        let server = Server::new().await;
        for (status, is_problem, expected) in [
            (404, true, "final"),
            (401, true, "final"),
            (503, true, "busy, 7 s"),
            (429, true, "busy, 7 s"),
            (404, false, "blocked"),
            (503, false, "blocked, 7 s"),
            (302, false, "blocked, 7 s"),
            (200, false, "blocked"),
        ] {
            let patience = if expected.ends_with("7 s") { "Retry-After: 7\r\n" } else { "" };
            let elsewhere = if status == 302 { "Location: /elsewhere\r\n" } else { "" };
            let (outcome, ()) = tokio::join!(ask_server(&server.client, 100), async {
                let visit = server.visit().await;
                let headers = format!("{patience}{elsewhere}");
                if is_problem {
                    visit.problem(status, &headers).await;
                } else {
                    visit
                        .answer(&format!("{status} Words"), &format!("Content-Type: text/html\r\n{headers}"), "<html>")
                        .await;
                }
            });
            let (kind, retry_after) = match outcome {
                Err(Failure::Final(_)) => ("final", None),
                Err(Failure::Busy(passing)) => ("busy", passing.retry_after),
                Err(Failure::Blocked(passing)) => ("blocked", passing.retry_after),
                Ok(_) => ("open", None),
            };
            let wait = retry_after.map(|wait| format!(", {} s", wait.as_secs())).unwrap_or_default();
            assert_eq!(format!("{kind}{wait}"), expected, "{status} {is_problem}");
        }
        assert!(!server.is_visited().await, "a redirect was followed, or an answer asked for twice");
    }

    #[tokio::test]
    async fn an_event_that_is_too_large_ends_the_connection() {
        let server = Server::new().await;
        let (mut events, mut stream) = opened(&server, 100).await;
        let (largest, larger) = ("x".repeat(100), "x".repeat(101));
        stream.send(&format!("data: {largest}\n\ndata: {larger}\n\ndata: after\n\n")).await;
        assert_eq!(next(&mut events).await, Ok(largest));
        assert_eq!(next(&mut events).await, Err("a message is larger than 100 bytes".to_owned()));
        assert_eq!(next(&mut events).await, Err("the stream ended".to_owned()));
        stream.has_ended().await;
    }

    // With more threads than one the crate by itself fails this: its poll never returns.
    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn an_event_without_an_end_can_be_left() {
        let server = Server::new().await;
        let (mut events, mut stream) = opened(&server, 100).await;
        let flood = tokio::spawn(async move {
            let chunk = "x".repeat(64 * 1024);
            stream.try_send("data: ").await.unwrap();
            while stream.try_send(&chunk).await.is_ok() {}
        });
        assert!(timeout(Duration::from_millis(300), events.next()).await.is_err(), "there is no event yet");
        drop(events);
        timeout(PATIENCE, flood).await.expect("the connection goes on").unwrap();
    }
}
