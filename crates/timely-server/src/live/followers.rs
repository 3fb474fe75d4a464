//! Who follows which topic, as the hub said last.
//!
//! The hub says once what goes to all followers of a topic; whoever carries it to them keeps this
//! beside the sessions. `P` is how a session is reached there.

use std::collections::HashMap;

use timely_core::topic::Topic;

/// See the module.
#[derive(Debug)]
pub struct Followers<P>(HashMap<Topic, Vec<P>>);

impl<P> Default for Followers<P> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<P: Copy + Eq> Followers<P> {
    /// Adds a follower, who is not one yet.
    pub fn follow(&mut self, topic: Topic, who: P) {
        self.0.entry(topic).or_default().push(who);
    }

    /// Takes a follower away; no matter if there is none.
    pub fn unfollow(&mut self, topic: Topic, who: P) {
        let Some(followers) = self.0.get_mut(&topic) else { return };
        if let Some(at) = followers.iter().position(|other| *other == who) {
            followers.swap_remove(at);
        }
        if followers.is_empty() {
            self.0.remove(&topic);
        }
    }

    /// Takes a follower away from every topic.
    pub fn forget(&mut self, who: P) {
        self.0.retain(|_, followers| {
            followers.retain(|other| *other != who);
            !followers.is_empty()
        });
    }

    /// In no order that means anything.
    pub fn of(&self, topic: Topic) -> &[P] {
        self.0.get(&topic).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use timely_core::id::EventId;

    use super::*;

    #[test]
    fn followers_come_and_go_and_leave_nothing_behind() {
        let topic = Topic::EventResults(EventId(1));
        let mut followers = Followers::default();
        for who in [1, 2, 3] {
            followers.follow(topic, who);
        }
        followers.unfollow(topic, 1);
        followers.unfollow(topic, 7);
        let mut left = followers.of(topic).to_vec();
        left.sort_unstable();
        assert_eq!(left, [2, 3]);
        followers.unfollow(topic, 2);
        followers.forget(3);
        assert!(followers.of(topic).is_empty() && followers.0.is_empty());
    }
}
