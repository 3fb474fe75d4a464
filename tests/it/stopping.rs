//! The server stops: streams end, what was acknowledged stays.

use crate::server::{Cup, TestServer};
use crate::stream::{Socket, Sse};

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    let mut stream = Sse::open(&server, &format!("/api/events/{}/stream/", cup.event)).await;
    socket.subscribe("results").await;
    stream.until_type("connected").await;
    server.score(cup.fixtures[&1], 2, 0).await;
    let (directory, code, ()) = tokio::join!(server.stop(), socket.closed(), stream.ended());
    assert_eq!(code, Some(4200), "resume at once, on the next start");
    let server = TestServer::start_on(directory, std::sync::Arc::new(timely_server::clock::Clock::real())).await;
    assert_eq!(server.table(cup.event, "A").await[0], "Reds 3");
}

#[tokio::test]
async fn aborted_streams_leave_the_server_as_it_was() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    for _ in 0..200 {
        let mut stream = Sse::open(&server, &format!("/api/events/{}/stream/", cup.event)).await;
        stream.until_type("connected").await;
        let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
        socket.until_type("connected").await;
    }
    // A new listener is served as ever, and the stop below waits for no stray stream.
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    socket.subscribe("results").await;
    server.score(cup.fixtures[&1], 2, 0).await;
    socket.until_type("result_update").await;
    drop(socket);
    server.stop().await;
}
