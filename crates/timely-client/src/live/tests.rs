use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::testing::{PATIENCE, Server, closed_port, connected, live, result, status};
use super::*;

fn target(since: Option<&str>, only: Option<Transport>) -> Target {
    Target {
        about: About::Event(EventId(1)),
        streams: vec![Stream::Results, Stream::Schedule],
        since: since.map(|cursor| cursor.parse().unwrap()),
        version: Version::V2,
        only,
    }
}

/// Short waits, and no clock that interferes: each test sets the one it is about.
const BRISK: Pace = Pace {
    first_try: Duration::from_secs(5),
    last_try: Duration::from_secs(5),
    wait_first: Duration::from_millis(10),
    wait_max: Duration::from_millis(20),
    retry_after_max: Duration::from_mins(1),
    probe_every: Duration::from_mins(1),
    probe_soon: Duration::from_mins(1),
    stale_after: Duration::from_mins(1),
    silence_max: Duration::from_mins(1),
};

/// An update in a word.
fn word(update: &Update) -> String {
    match update {
        Update::Open(transport) => transport.to_string(),
        Update::Message(Message { said, .. }) => match said {
            Said::Data(header) => header.pos.to_string(),
            Said::Control(Control::Connected { .. }) => "hello".to_owned(),
            Said::Control(Control::Live { .. }) => "live".to_owned(),
            Said::Control(Control::Status { .. }) => "status".to_owned(),
            other => panic!("{other:?}"),
        },
        Update::RoundTrip(_) => "pong".to_owned(),
        Update::Stale { .. } => "stale".to_owned(),
        Update::Lost { .. } => "lost".to_owned(),
    }
}

/// Everything up to a word.
async fn follow(subscription: &mut Subscription, last: &str) -> String {
    let mut words = Vec::new();
    while words.last().is_none_or(|word| word != last) {
        let update = timeout(PATIENCE, subscription.next()).await;
        let update = update.unwrap_or_else(|_| panic!("{words:?} and then nothing; {last} is missing"));
        words.push(word(&update.unwrap_or_else(|error| panic!("{words:?} and then {error}"))));
    }
    words.join(" ")
}

/// The next loss: its cause, how many in a row, and the wait.
async fn loss(subscription: &mut Subscription) -> (String, u32, Duration) {
    loop {
        let update = timeout(PATIENCE, subscription.next()).await.expect("nothing is lost").unwrap();
        if let Update::Lost { cause, failures, retry_in } = update {
            return (cause, failures, retry_in);
        }
    }
}

/// The end, which must stay the same.
async fn end(subscription: &mut Subscription) -> Error {
    let error = loop {
        if let Err(error) = timeout(PATIENCE, subscription.next()).await.expect("it does not end") {
            break error;
        }
    };
    let again = timeout(PATIENCE, subscription.next()).await.unwrap().unwrap_err();
    assert_eq!(again.to_string(), error.to_string());
    error
}

async fn say(socket: &mut WebSocketStream<TcpStream>, messages: &[String]) {
    for message in messages {
        socket.send(Frame::text(message.clone())).await.unwrap();
    }
}

/// Closes with a code and waits for the other side to have read it.
async fn close_with(mut socket: WebSocketStream<TcpStream>, code: u16) {
    let frame = CloseFrame { code: code.into(), reason: "".into() };
    socket.send(Frame::Close(Some(frame))).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
}

#[tokio::test]
async fn a_cut_is_told_and_the_next_connection_goes_on_from_the_cursor() {
    let server = Server::new().await;
    let mut subscription = Subscription::new(&server.client, target(Some("e.5"), None));
    let serve = async {
        let mut queries = Vec::new();
        for (says, code) in [([connected(), result(6), result(7)], 4200), ([connected(), result(7), result(8)], 4004)] {
            let visit = server.visit_over(Transport::WebSocket).await;
            assert_eq!(visit.header("authorization"), Some("Bearer t0"));
            queries.push(visit.query().to_owned());
            let mut socket = visit.upgrade().await;
            say(&mut socket, &says).await;
            close_with(socket, code).await;
        }
        queries
    };
    let listen = async {
        let mut seen = Vec::new();
        let error = loop {
            match subscription.next().await {
                Ok(Update::Lost { failures, retry_in, .. }) => {
                    assert_eq!((failures, retry_in), (1, Duration::ZERO), "4200 resumes at once");
                    seen.push("cut".to_owned());
                }
                Ok(update) => seen.push(word(&update)),
                Err(error) => break error,
            }
        };
        assert_eq!(seen.join(" "), "ws hello 6 7 cut ws hello 8", "7 came twice and is told once");
        assert!(matches!(error, Error::Closed { code: 4004, .. }), "{error}");
        assert!(matches!(subscription.next().await, Err(Error::Closed { code: 4004, .. })), "and stays so");
        assert_eq!(subscription.cursor().unwrap().to_string(), "e.8");
    };
    let (queries, ()) = tokio::join!(serve, listen);
    assert_eq!(queries, ["v=2&topics=results,schedule&since=e.5", "v=2&topics=results,schedule&since=e.7"]);
}

#[tokio::test]
async fn a_dropped_connection_is_tried_again_after_a_while() {
    let server = Server::new().await;
    let mut subscription = Subscription::new(&server.client, target(None, None));
    let serve = async {
        let mut socket = server.visit_over(Transport::WebSocket).await.upgrade().await;
        say(&mut socket, &[connected(), result(6)]).await;
    };
    let ((_, failures, retry_in), ()) = tokio::join!(loss(&mut subscription), serve);
    assert_eq!(failures, 1);
    assert!(retry_in <= Pace::default().wait_first);
    assert!(!subscription.is_connected());
    drop(server);
    // Nobody listens any more: each round fails and says so.
    subscription.retry_now();
    assert!(matches!(subscription.next().await, Ok(Update::Lost { failures: 2, .. })));
}

/// What stands between, and how it treats a request for a WebSocket.
#[derive(Clone, Copy, Debug)]
enum Blocks {
    Page(&'static str),
    /// The server's own words, about a request that something took the upgrade out of.
    Problem(u16),
    Swallows,
    Resets,
    /// Closes the connection without a word.
    Hangs,
    /// Shakes hands, then carries nothing.
    Greets,
}

#[tokio::test]
async fn where_websockets_are_blocked_events_come_within_four_seconds() {
    let ways = [
        Blocks::Page("403 Forbidden"),
        Blocks::Page("400 Bad Request"),
        Blocks::Page("426 Upgrade Required"),
        Blocks::Page("501 Not Implemented"),
        Blocks::Page("502 Bad Gateway"),
        Blocks::Page("200 OK"),
        Blocks::Problem(400),
        Blocks::Problem(426),
        Blocks::Swallows,
        Blocks::Resets,
        Blocks::Hangs,
        Blocks::Greets,
    ];
    // Side by side: three of them take their time.
    futures_util::future::join_all(ways.map(async |way| {
        let server = Server::new().await;
        // At the pace of everyday.
        let mut subscription = Subscription::new(&server.client, target(Some("e.5"), None));
        let began = Instant::now();
        let serve = async {
            let visit = server.visit_over(Transport::WebSocket).await;
            let held = match way {
                Blocks::Page(status) => {
                    visit.page(status).await;
                    None
                }
                Blocks::Problem(status) => {
                    visit.problem(status, "").await;
                    None
                }
                Blocks::Swallows => Some((Some(visit), None)),
                Blocks::Resets => {
                    visit.reset();
                    None
                }
                Blocks::Hangs => None,
                Blocks::Greets => Some((None, Some(visit.upgrade().await))),
            };
            let visit = server.visit_over(Transport::Sse).await;
            assert_eq!(visit.query(), "v=2&topics=results,schedule&since=e.5");
            let mut stream = visit.events().await;
            stream.say(&connected()).await;
            stream.say(&result(6)).await;
            (held, stream)
        };
        let (words, _held) = tokio::join!(follow(&mut subscription, "6"), serve);
        assert_eq!(words, "sse hello 6", "{way:?}: nothing was lost, nothing is told");
        let took = began.elapsed();
        assert!(took < Duration::from_secs(4), "{way:?}: {took:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_websocket_that_speaks_takes_over_from_events_without_loss_or_double() {
    let server = Server::new().await;
    let pace = Pace { probe_every: Duration::from_millis(50), ..BRISK };
    let mut subscription = Subscription::with_pace(&server.client, target(Some("e.5"), None), pace);
    let serve = async {
        server.visit_over(Transport::WebSocket).await.page("403 Forbidden").await;
        let mut stream = server.visit_over(Transport::Sse).await.events().await;
        for message in [connected(), live(5), result(6)] {
            stream.say(&message).await;
        }
        // Two that fail, and a third that greets late: meanwhile the stream goes on.
        server.visit_over(Transport::WebSocket).await.page("403 Forbidden").await;
        server.visit_over(Transport::WebSocket).await.problem(401, "").await;
        stream.say(&result(7)).await;
        let visit = server.visit_over(Transport::WebSocket).await;
        let since = visit.query().rsplit_once('=').map(|(_, since)| since.to_owned());
        let mut socket = visit.upgrade().await;
        stream.say(&result(8)).await;
        say(&mut socket, &[connected(), result(7), result(8), result(9), live(9), result(10)]).await;
        stream.has_ended().await;
        (since, socket)
    };
    let (words, (since, _socket)) = tokio::join!(follow(&mut subscription, "10"), serve);
    assert!(since.is_some_and(|since| ["e.6", "e.7"].contains(&&*since)), "from where the viewer is");
    let data: Vec<_> = words.split(' ').filter(|word| word.parse::<u64>().is_ok()).collect();
    assert_eq!(data, ["6", "7", "8", "9", "10"], "{words}");
    let opens: Vec<_> = words.split(' ').filter(|word| ["sse", "ws", "lost", "stale"].contains(word)).collect();
    assert_eq!(opens, ["sse", "ws"], "{words}: failing probes are told to nobody");
    assert_eq!(subscription.cursor().unwrap().to_string(), "e.10");
    assert!(!server.is_visited().await);
}

#[tokio::test]
async fn a_websocket_that_has_worked_is_looked_for_soon() {
    let server = Server::new().await;
    let pace = Pace { probe_soon: Duration::from_millis(50), ..BRISK };
    let mut subscription = Subscription::with_pace(&server.client, target(Some("e.5"), None), pace);
    let serve = async {
        let mut socket = server.visit_over(Transport::WebSocket).await.upgrade().await;
        say(&mut socket, &[connected(), live(5)]).await;
        drop(socket);
        // An outage, over in the middle of a round.
        server.visit_over(Transport::WebSocket).await.reset();
        let mut stream = server.visit_over(Transport::Sse).await.events().await;
        stream.say(&connected()).await;
        let mut socket = server.visit_over(Transport::WebSocket).await.upgrade().await;
        say(&mut socket, &[connected(), live(5), result(6)]).await;
        stream.has_ended().await;
        socket
    };
    let (words, _socket) = tokio::join!(follow(&mut subscription, "6"), serve);
    assert_eq!(words, "ws hello live lost sse hello ws hello live 6");
}

#[tokio::test]
async fn events_alone_are_not_probed_beside() {
    let server = Server::new().await;
    let pace = Pace { probe_every: Duration::from_millis(10), ..BRISK };
    let target = target(None, Some(Transport::Sse));
    let mut subscription = Subscription::with_pace(&server.client, target, pace);
    let serve = async {
        let mut stream = server.visit_over(Transport::Sse).await.events().await;
        stream.say(&connected()).await;
        stream
    };
    let (words, _stream) = tokio::join!(follow(&mut subscription, "hello"), serve);
    assert_eq!(words, "sse hello");
    tokio::select! {
        update = subscription.next() => panic!("{update:?}"),
        visited = server.is_visited() => assert!(!visited),
    }
}

#[tokio::test]
async fn the_servers_own_refusal_is_final_over_either_transport() {
    for only in [Some(Transport::WebSocket), Some(Transport::Sse), None] {
        for code in [400, 401, 403, 404, 410] {
            let server = Server::new().await;
            let mut subscription = Subscription::with_pace(&server.client, target(None, only), BRISK);
            let serve = async {
                let first = only.unwrap_or(Transport::WebSocket);
                server.visit_over(first).await.problem(code, "").await;
                if only.is_none() && code == 400 {
                    // Perhaps a proxy spoiled the question: it is put once more.
                    server.visit_over(Transport::Sse).await.problem(code, "").await;
                }
            };
            let (error, ()) = tokio::join!(end(&mut subscription), serve);
            assert!(matches!(&error, Error::Refused(problem) if problem.status == code), "{only:?} {code}: {error:?}");
            assert_eq!(error.to_string(), format!("refused with {code}"));
            assert!(!server.is_visited().await, "{only:?} {code}");
        }
    }
}

#[tokio::test]
async fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    for only in [Some(Transport::WebSocket), Some(Transport::Sse), None] {
        for (code, header, least) in [(429, "Retry-After: 7\r\n", 7), (503, "Retry-After: 3600\r\n", 60), (500, "", 0)]
        {
            let server = Server::new().await;
            let mut subscription = Subscription::with_pace(&server.client, target(None, only), BRISK);
            let serve = async { server.visit().await.problem(code, header).await };
            let ((cause, failures, retry_in), ()) = tokio::join!(loss(&mut subscription), serve);
            assert_eq!((cause, failures), (format!("refused with {code}"), 1));
            let least = Duration::from_secs(least);
            assert!((least..=least.max(BRISK.wait_max)).contains(&retry_in), "{only:?} {code}: {retry_in:?}");
            assert!(!server.is_visited().await, "the other transport leads to the same server");
        }
    }
}

#[tokio::test]
async fn what_a_sign_in_page_says_passes() {
    let server = Server::new().await;
    let mut subscription = Subscription::with_pace(&server.client, target(None, None), BRISK);
    for (failures, status) in [(1, "401 Unauthorized"), (2, "403 Forbidden"), (3, "404 Not Found"), (4, "302 Found")] {
        let serve = async {
            server.visit_over(Transport::WebSocket).await.page(status).await;
            server.visit_over(Transport::Sse).await.page(status).await;
        };
        let ((cause, failed, _), ()) = tokio::join!(loss(&mut subscription), serve);
        assert_eq!(failed, failures, "one round is one failure");
        assert!(cause.contains(&status[..3]), "{cause}");
    }
    let serve = async {
        let mut socket = server.visit_over(Transport::WebSocket).await.upgrade().await;
        say(&mut socket, &[connected(), result(6)]).await;
        socket
    };
    let (words, _socket) = tokio::join!(follow(&mut subscription, "6"), serve);
    assert_eq!(words, "ws hello 6", "somebody has signed in");
}

#[tokio::test]
async fn only_one_transport_is_used_when_only_one_is_wanted() {
    for only in [Transport::WebSocket, Transport::Sse] {
        let server = Server::new().await;
        let mut subscription = Subscription::with_pace(&server.client, target(None, Some(only)), BRISK);
        let serve = async {
            for _ in 0..3 {
                server.visit_over(only).await.page("403 Forbidden").await;
            }
        };
        let listen = async {
            for failures in 1..=3 {
                assert_eq!(loss(&mut subscription).await.1, failures);
            }
        };
        tokio::join!(listen, serve);
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_found_when_it_is_back() {
    let (port, client) = closed_port();
    let mut subscription = Subscription::with_pace(&client, target(Some("e.5"), None), BRISK);
    for failures in 1..=3 {
        let (cause, failed, retry_in) = loss(&mut subscription).await;
        assert!(cause.contains("refused") && !cause.contains("sse"), "both say the same: {cause}");
        assert_eq!(failed, failures);
        assert!(retry_in <= BRISK.wait_max);
    }
    let server = Server::from(port.listen(16).unwrap());
    let serve = async {
        let mut socket = server.visit_over(Transport::WebSocket).await.upgrade().await;
        say(&mut socket, &[connected(), live(5), result(6)]).await;
        socket
    };
    let (words, _socket) = tokio::join!(follow(&mut subscription, "6"), serve);
    assert_eq!(words, "ws hello live 6");
}

#[tokio::test]
async fn each_loss_is_one_try_and_waits_grow_until_there_is_news() {
    let server = Server::new().await;
    let mut subscription = Subscription::with_pace(&server.client, target(Some("e.5"), Some(Transport::Sse)), BRISK);
    // A server that greets, tells what is known and hangs up: no reason to come back sooner.
    let serve = async {
        for round in 0..4 {
            let visit = server.visit_over(Transport::Sse).await;
            assert_eq!(visit.header("last-event-id"), None, "round {round}");
            assert!(visit.query().ends_with("since=e.6") || round == 0, "{}", visit.query());
            let mut stream = visit.events().await;
            stream.send("retry: 0\n\n").await;
            for message in [connected(), result(6), live(6)] {
                stream.say(&message).await;
            }
            stream.send("id: e.6\n\n").await;
        }
    };
    let listen = async {
        let mut failures = Vec::new();
        for _ in 0..4 {
            failures.push(loss(&mut subscription).await.1);
        }
        failures
    };
    let (failures, ()) = tokio::join!(listen, serve);
    assert_eq!(failures, [1, 2, 3, 4]);
    let serve = async {
        let mut stream = server.visit_over(Transport::Sse).await.events().await;
        for message in [connected(), live(6), status()] {
            stream.say(&message).await;
        }
    };
    let ((_, failures, _), ()) = tokio::join!(loss(&mut subscription), serve);
    assert_eq!(failures, 1, "it has lasted");
}

#[tokio::test]
async fn a_server_that_answers_503_once_is_asked_again() {
    let server = Server::new().await;
    let mut subscription = Subscription::with_pace(&server.client, target(None, Some(Transport::Sse)), BRISK);
    let serve = async {
        let mut stream = server.visit().await.events().await;
        stream.say(&connected()).await;
        stream.say(&result(6)).await;
        drop(stream);
        server.visit().await.page("503 Service Unavailable").await;
        let mut stream = server.visit().await.events().await;
        stream.say(&connected()).await;
        stream.say(&result(7)).await;
        stream
    };
    let (words, _stream) = tokio::join!(follow(&mut subscription, "7"), serve);
    assert_eq!(words, "sse hello 6 lost lost sse hello 7");
}

#[tokio::test]
async fn the_transport_that_worked_last_comes_first_and_the_cursor_goes_along() {
    let server = Server::new().await;
    let mut subscription = Subscription::with_pace(&server.client, target(Some("e.5"), None), BRISK);
    let serve = async {
        let mut queries = Vec::new();
        // Over a WebSocket, cut in the middle.
        let mut socket = server.visit_over(Transport::WebSocket).await.upgrade().await;
        say(&mut socket, &[connected(), live(5), result(6)]).await;
        drop(socket);
        // It is tried first and now blocked.
        let visit = server.visit_over(Transport::WebSocket).await;
        queries.push(visit.query().to_owned());
        visit.page("403 Forbidden").await;
        let visit = server.visit_over(Transport::Sse).await;
        queries.push(visit.query().to_owned());
        let mut stream = visit.events().await;
        for message in [connected(), result(7), live(7)] {
            stream.say(&message).await;
        }
        drop(stream);
        // Events worked: they come first, and a WebSocket when they fail.
        let visit = server.visit_over(Transport::Sse).await;
        queries.push(visit.query().to_owned());
        visit.page("502 Bad Gateway").await;
        let visit = server.visit_over(Transport::WebSocket).await;
        queries.push(visit.query().to_owned());
        let mut socket = visit.upgrade().await;
        say(&mut socket, &[connected(), result(7), result(8)]).await;
        (queries, socket)
    };
    let (words, (queries, _socket)) = tokio::join!(follow(&mut subscription, "8"), serve);
    assert_eq!(words, "ws hello live 6 lost sse hello 7 live lost ws hello 8");
    let since: Vec<_> = queries.iter().filter_map(|query| query.rsplit_once('=')).map(|(_, since)| since).collect();
    assert_eq!(since, ["e.6", "e.6", "e.7", "e.7"]);
}

#[tokio::test]
async fn a_websocket_that_only_greets_gives_way_to_events() {
    let server = Server::new().await;
    let pace = Pace { silence_max: Duration::from_millis(100), ..BRISK };
    let mut subscription = Subscription::with_pace(&server.client, target(None, None), pace);
    let serve = async {
        let mut socket = server.visit_over(Transport::WebSocket).await.upgrade().await;
        say(&mut socket, &[connected()]).await;
        let mut stream = server.visit_over(Transport::Sse).await.events().await;
        stream.say(&connected()).await;
        (socket, stream)
    };
    let listen = async {
        let first = follow(&mut subscription, "lost").await;
        (first, follow(&mut subscription, "hello").await)
    };
    let ((first, then), _held) = tokio::join!(listen, serve);
    assert_eq!((&*first, &*then), ("ws hello lost", "sse hello"));
}

#[tokio::test]
async fn silence_is_told_once_and_ends_the_connection() {
    for only in [Transport::WebSocket, Transport::Sse] {
        let server = Server::new().await;
        let pace = Pace { stale_after: Duration::from_millis(200), silence_max: Duration::from_millis(300), ..BRISK };
        let mut subscription = Subscription::with_pace(&server.client, target(None, Some(only)), pace);
        assert_eq!(subscription.age(), None);
        let serve = async {
            let visit = server.visit().await;
            let mut held = (None, None);
            match only {
                Transport::WebSocket => {
                    let mut socket = visit.upgrade().await;
                    say(&mut socket, &[connected(), live(5)]).await;
                    held.0 = Some(socket);
                }
                Transport::Sse => {
                    let mut stream = visit.events().await;
                    stream.say(&connected()).await;
                    // Comments show that a proxy lives, not that the server speaks.
                    stream.say(&live(5)).await;
                    stream.send(": comment\n\n").await;
                    held.1 = Some(stream);
                }
            }
            // And while the connection is made again: three rounds without a word.
            for _ in 0..3 {
                server.visit().await.page("502 Bad Gateway").await;
            }
            held
        };
        let listen = async {
            let first = follow(&mut subscription, "lost").await;
            assert!(subscription.age().is_some_and(|age| age >= pace.silence_max));
            let mut then = Vec::new();
            for _ in 0..3 {
                then.push(follow(&mut subscription, "lost").await);
            }
            (first, then.join(" "))
        };
        let ((first, then), _held) = tokio::join!(listen, serve);
        let hello = format!("{only} hello live stale lost");
        assert_eq!((first, &*then), (hello, "lost lost lost"), "{only}: once");
        // A word ends the silence; the next one is told anew, now without a connection.
        let serve = async {
            let visit = server.visit().await;
            match only {
                Transport::WebSocket => say(&mut visit.upgrade().await, &[connected()]).await,
                Transport::Sse => visit.events().await.say(&connected()).await,
            }
            loop {
                server.visit().await.page("502 Bad Gateway").await;
            }
        };
        let again = tokio::select! {
            words = follow(&mut subscription, "stale") => words,
            () = serve => unreachable!("it serves for ever"),
        };
        assert!(again.starts_with(&format!("{only} hello lost lost")), "{again}");
        assert_eq!(again.matches("stale").count(), 1);
    }
}

#[tokio::test]
async fn nothing_is_stale_before_something_was_heard() {
    let server = Server::new().await;
    let pace = Pace { stale_after: Duration::ZERO, ..BRISK };
    let mut subscription = Subscription::with_pace(&server.client, target(None, None), pace);
    let serve = async {
        server.visit().await.page("502 Bad Gateway").await;
        server.visit().await.page("502 Bad Gateway").await;
    };
    let (words, ()) = tokio::join!(follow(&mut subscription, "lost"), serve);
    assert_eq!(words, "lost");
}

#[tokio::test]
async fn a_status_is_answered_by_one_ping_at_a_time() {
    let server = Server::new().await;
    let mut subscription = Subscription::with_pace(&server.client, target(None, None), BRISK);
    let serve = async {
        let mut socket = server.visit().await.upgrade().await;
        // Both are read before the first ping is answered.
        say(&mut socket, &[connected(), status(), status(), live(5)]).await;
        // A pong that answers nothing is not taken for one that does.
        socket.send(Frame::Pong(vec![7; 8].into())).await.unwrap();
        let Some(Ok(Frame::Ping(first))) = socket.next().await else { panic!("a ping is expected") };
        socket.flush().await.unwrap();
        say(&mut socket, &[result(6), status()]).await;
        let Some(Ok(Frame::Ping(second))) = socket.next().await else { panic!("another ping is expected") };
        assert_ne!(first, second);
        socket.flush().await.unwrap();
        say(&mut socket, &[result(7)]).await;
        socket
    };
    let (words, _socket) = tokio::join!(follow(&mut subscription, "7"), serve);
    assert_eq!(words, "ws hello status status live pong 6 status pong 7");
}

#[tokio::test]
async fn a_caller_that_drops_each_call_loses_and_restarts_nothing() {
    let server = Server::new().await;
    let pace = Pace { first_try: Duration::from_millis(200), probe_every: Duration::from_millis(100), ..BRISK };
    let mut subscription = Subscription::with_pace(&server.client, target(Some("e.5"), None), pace);
    let serve = async {
        // Swallowed; then a slow head and a slow greeting, each longer than the caller's patience.
        let swallowed = server.visit_over(Transport::WebSocket).await;
        let mut stream = server.visit_over(Transport::Sse).await.events_after(Duration::from_millis(30)).await;
        for message in [connected(), live(5), result(6)] {
            stream.say(&message).await;
        }
        let mut socket = server.visit_over(Transport::WebSocket).await.upgrade_after(Duration::from_millis(30)).await;
        stream.say(&result(7)).await;
        say(&mut socket, &[connected(), result(7), result(8)]).await;
        stream.has_ended().await;
        (swallowed, socket)
    };
    let listen = async {
        let mut words = Vec::new();
        let began = Instant::now();
        while words.last().is_none_or(|word| word != "8") {
            assert!(began.elapsed() < PATIENCE, "{words:?}");
            if let Ok(update) = timeout(Duration::from_millis(1), subscription.next()).await {
                words.push(word(&update.unwrap()));
            }
        }
        words.retain(|word| word != "live" && word != "hello");
        words.join(" ")
    };
    let (words, _held) = tokio::join!(listen, serve);
    // What comes over both in the moment of the change may be told by either.
    assert!(["sse 6 7 ws 8", "sse 6 ws 7 8"].contains(&&*words), "{words}");
    assert!(!server.is_visited().await, "a handshake was started again");
}

#[tokio::test]
async fn the_time_of_the_event_is_what_the_server_says() {
    for is_blocked in [false, true] {
        let server = Server::new().await;
        let serve = async {
            let visit = server.visit_over(Transport::WebSocket).await;
            assert_eq!(visit.query(), "");
            if is_blocked {
                visit.page("403 Forbidden").await;
                server.visit_over(Transport::Sse).await.events().await.say(&connected()).await;
            } else {
                say(&mut visit.upgrade().await, &[connected()]).await;
            }
        };
        let (now, ()) = tokio::join!(event_time(&server.client, EventId(1)), serve);
        assert_eq!(now.unwrap().to_string(), "2026-07-18T12:00:00Z");
    }
    let (_port, client) = closed_port();
    let error = event_time(&client, EventId(1)).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let server = Server::new().await;
    let serve = async { server.visit().await.problem(404, "").await };
    let (refused, ()) = tokio::join!(event_time(&server.client, EventId(1)), serve);
    assert!(matches!(refused, Err(Error::Refused(problem)) if problem.status == 404));
}

#[tokio::test]
async fn what_is_no_message_ends_it() {
    for only in [Transport::WebSocket, Transport::Sse] {
        for first in [true, false] {
            let server = Server::new().await;
            let mut subscription = Subscription::with_pace(&server.client, target(None, Some(only)), BRISK);
            let says: Vec<_> = if first { vec!["{".to_owned()] } else { vec![connected(), "{".to_owned()] };
            let serve = async {
                let visit = server.visit().await;
                match only {
                    Transport::WebSocket => {
                        let mut socket = visit.upgrade().await;
                        say(&mut socket, &says).await;
                        // Until it is understood that nothing is.
                        while let Some(Ok(_)) = socket.next().await {}
                    }
                    Transport::Sse => {
                        let mut stream = visit.events().await;
                        for message in &says {
                            stream.say(message).await;
                        }
                        stream.has_ended().await;
                    }
                }
            };
            let (error, ()) = tokio::join!(end(&mut subscription), serve);
            assert!(matches!(error, Error::Protocol { .. }), "{only} {first}: {error:?}");
        }
    }
}

#[test]
fn transports_go_by_a_word() {
    for transport in [Transport::WebSocket, Transport::Sse] {
        assert_eq!(transport.to_string().parse(), Ok(transport));
    }
    assert_eq!("WS".parse::<Transport>().unwrap_err().to_string(), "`WS` is not a transport; use ws or sse");
}
