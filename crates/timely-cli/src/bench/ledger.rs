//! What one subscriber received of a lane whose numbers are dense: nothing may be missing, come
//! twice or come late.
//!
//! Only the exceptions take room: a subscriber that gets everything in order is one number.

/// The account of one subscriber. Numbers start at 1.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    /// The next number in order.
    next: u64,
    /// Numbers below `next` that have not come: first and last of each stretch, in order.
    gaps: Vec<(u64, u64)>,
    pub doubled: u64,
    pub reordered: u64,
}

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Live,
    /// Marked as a repetition: one that is known is no second delivery, and a late one is no disorder.
    Replay,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { next: 1, gaps: Vec::new(), doubled: 0, reordered: 0 }
    }
}

impl Ledger {
    /// Enters a message; true if it is new to this subscriber.
    pub(crate) fn take(&mut self, seq: u64, delivery: Delivery) -> bool {
        if seq >= self.next {
            if seq > self.next {
                self.gaps.push((self.next, seq - 1));
            }
            self.next = seq + 1;
            return true;
        }
        let was_missing = self.fill(seq);
        if delivery == Delivery::Live {
            if was_missing {
                self.reordered += 1;
            } else {
                self.doubled += 1;
            }
        }
        was_missing
    }

    /// Closes a gap by one number; false if the number was not missing.
    fn fill(&mut self, seq: u64) -> bool {
        let Some(index) = self.gaps.iter().position(|(first, last)| (*first..=*last).contains(&seq)) else {
            return false;
        };
        let (first, last) = self.gaps.remove(index);
        if seq < last {
            self.gaps.insert(index, (seq + 1, last));
        }
        if first < seq {
            self.gaps.insert(index, (first, seq - 1));
        }
        true
    }

    /// How many of the numbers 1 to `last` never came.
    pub(crate) fn lost(&self, last: u64) -> u64 {
        let inside: u64 = self.gaps.iter().map(|(first, last)| last - first + 1).sum();
        inside + (last + 1).saturating_sub(self.next)
    }

    /// The highest number that came; 0 before the first.
    pub(crate) const fn highest(&self) -> u64 {
        self.next - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(received: &[u64]) -> Ledger {
        let mut ledger = Ledger::default();
        for seq in received {
            ledger.take(*seq, Delivery::Live);
        }
        ledger
    }

    #[test]
    fn every_fault_is_found_and_none_is_invented() {
        for (why, received, lost, doubled, reordered) in [
            ("all in order", &[1, 2, 3, 4, 5][..], 0, 0, 0),
            ("nothing at all", &[], 5, 0, 0),
            ("one lost inside", &[1, 2, 4, 5], 1, 0, 0),
            ("the first lost", &[2, 3, 4, 5], 1, 0, 0),
            ("the last lost", &[1, 2, 3, 4], 1, 0, 0),
            ("several lost in two places", &[3, 5], 3, 0, 0),
            ("one doubled at once", &[1, 2, 2, 3, 4, 5], 0, 1, 0),
            ("one doubled much later", &[1, 2, 3, 4, 5, 1], 0, 1, 0),
            ("one three times", &[1, 1, 1, 2, 3, 4, 5], 0, 2, 0),
            ("two swapped", &[1, 3, 2, 4, 5], 0, 0, 1),
            ("backwards", &[5, 4, 3, 2, 1], 0, 0, 4),
            ("late, and again", &[1, 3, 2, 2, 4, 5], 0, 1, 1),
            ("late out of the middle of a gap", &[5, 3], 3, 0, 1),
            ("everything at once", &[2, 2, 1, 5], 2, 1, 1),
        ] {
            let ledger = account(received);
            assert_eq!((ledger.lost(5), ledger.doubled, ledger.reordered), (lost, doubled, reordered), "{why}");
        }
    }

    #[test]
    fn a_repetition_fills_gaps_and_is_never_a_double() {
        let mut ledger = account(&[1, 4]);
        let new: Vec<_> = [1, 2, 3, 4].map(|seq| ledger.take(seq, Delivery::Replay)).into();
        assert_eq!(new, [false, true, true, false]);
        assert_eq!((ledger.lost(4), ledger.doubled, ledger.reordered), (0, 0, 0));
        assert_eq!(ledger.highest(), 4);
        assert!(!ledger.take(2, Delivery::Live), "but live it is");
        assert_eq!(ledger.doubled, 1);
    }
}
