//! Carries out what the app asks of the server, and brings what the server says.
//!
//! Nothing is decided here: every outcome, failures included, becomes a message.

use timely_client::live::{About, Subscription, Target, Update, Version};
use timely_client::{Client, Error};
use timely_core::cursor::Epoch;
use timely_core::id::EventId;
use timely_core::topic::Stream;
use tokio::task::JoinSet;

use crate::app::{Live, Loaded, Message};

/// The server, as the dashboard knows it.
#[derive(Debug)]
pub(crate) struct Server {
    client: Client,
    event: EventId,
    subscription: Subscription,
    /// The stream has ended for good and must not be asked again.
    has_ended: bool,
    /// At most one read: a new one ends the one before.
    loads: JoinSet<Loaded>,
}

impl Server {
    /// Connects with the first [`Server::next`].
    pub(crate) fn new(client: Client, event: EventId) -> Self {
        let target = Target {
            about: About::Event(event),
            streams: vec![Stream::Results, Stream::Schedule, Stream::Announcements],
            since: None,
            version: Version::V2,
            only: None,
        };
        let subscription = Subscription::new(&client, target);
        Self { client, event, subscription, has_ended: false, loads: JoinSet::new() }
    }

    /// What the server says next. Cancelling loses nothing.
    pub(crate) async fn next(&mut self) -> Message {
        loop {
            tokio::select! {
                update = self.subscription.next(), if !self.has_ended => {
                    return Message::Live(match update {
                        Ok(Update::Open(transport)) => Live::Open(transport),
                        Ok(Update::RoundTrip(took)) => Live::RoundTrip(took),
                        // The age is reckoned from the last word; this is only the moment to look.
                        Ok(Update::Stale { .. }) => return Message::Tick,
                        Ok(Update::Message(message)) => Live::Said(Box::new(message)),
                        Ok(Update::Lost { cause, failures, retry_in }) => Live::Lost { cause, failures, retry_in },
                        Err(error) => {
                            self.has_ended = true;
                            Live::Ended { reason: error.to_string() }
                        }
                    });
                }
                Some(loaded) = self.loads.join_next() => match loaded {
                    Ok(loaded) => return Message::Loaded(loaded),
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        // Ended because a newer read took its place.
                        Err(_cancelled) => {}
                    },
                },
                else => std::future::pending().await,
            }
        }
    }

    /// Tries the connection at once.
    pub(crate) fn reconnect(&mut self) {
        self.subscription.retry_now();
    }

    /// Reads what the opening of the stream leaves out.
    pub(crate) fn load(&mut self, epoch: Epoch) {
        self.loads.abort_all();
        let (client, event) = (self.client.clone(), self.event);
        self.loads.spawn(async move {
            match read(&client, event).await {
                Ok((is_demo, results)) => Loaded::Opening { epoch, is_demo, results },
                Err(error) => Loaded::Failed { epoch, cause: error.to_string() },
            }
        });
    }
}

async fn read(client: &Client, event: EventId) -> Result<(bool, Vec<timely_core::result::FixtureResult>), Error> {
    let (health, results) = tokio::try_join!(client.health(), client.results(event))?;
    Ok((health.demo, results))
}
