//! Whether the registry of connections and the process disagree, and not only in passing.

use crate::words::socket_count::SocketCount;

/// In how many audits in a row a difference must be seen. Each look takes a while, and the edges of a connection's
/// life are not told at one instant; what is really wrong stays.
const AUDITS: usize = 3;

/// What the audits so far come to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judge {
    leaked: Suspicion,
    vanished: Suspicion,
    homeless: Suspicion,
    found: Findings,
}

/// Differences that persist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Sockets that are open, and not in the registry.
    pub leaked: usize,
    /// Connections in the registry whose sockets are closed.
    pub vanished: usize,
    /// Holds without a connection.
    pub homeless: usize,
}

/// What a look is worth telling for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    Nothing,
    /// From now on something is wrong.
    Begins,
    /// All is well again.
    Ends,
}

impl Judge {
    /// Hears what one more look found.
    pub fn hear(&mut self, look: &SocketCount) -> (Findings, News) {
        let SocketCount { connections, changes, open, holds, .. } = *look;
        let surely = |more: usize, less: usize| more.saturating_sub(less).saturating_sub(changes);
        let found = Findings {
            leaked: self.leaked.hear(surely(open, connections)),
            vanished: self.vanished.hear(surely(connections, open)),
            homeless: self.homeless.hear(surely(holds, connections)),
        };
        let (before, now) = (self.found.is_clean(), found.is_clean());
        self.found = found;
        let news = match (before, now) {
            (true, false) => News::Begins,
            (false, true) => News::Ends,
            _ => News::Nothing,
        };
        (found, news)
    }
}

impl Findings {
    pub fn is_clean(&self) -> bool {
        *self == Findings::default()
    }
}

/// One kind of difference, as the last audits saw it.
#[derive(Clone, Copy, Debug, Default)]
struct Suspicion([usize; AUDITS]);

impl Suspicion {
    /// Says how much of it all of the last audits saw.
    fn hear(&mut self, difference: usize) -> usize {
        self.0.rotate_left(1);
        self.0[AUDITS - 1] = difference;
        self.0.iter().copied().min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CLEAN: Findings = Findings { leaked: 0, vanished: 0, homeless: 0 };

    fn look(connections: usize, open: usize) -> SocketCount {
        SocketCount { connections, changes: 0, open, holds: 0, took: Duration::ZERO }
    }

    #[test]
    fn a_difference_counts_once_it_persists() {
        let mut judge = Judge::default();
        assert_eq!(judge.hear(&look(7, 9)), (CLEAN, News::Nothing));
        assert_eq!(judge.hear(&look(7, 9)), (CLEAN, News::Nothing));
        assert_eq!(judge.hear(&look(4, 6)), (Findings { leaked: 2, ..CLEAN }, News::Begins));
    }

    #[test]
    fn an_episode_is_told_when_it_begins_and_when_it_ends() {
        let mut judge = Judge::default();
        let news: Vec<_> = [9, 9, 9, 12, 12, 12, 7, 9, 9, 9]
            .map(|open| judge.hear(&look(7, open)))
            .map(|(found, news)| (found.leaked, news))
            .into();
        let mut expected = vec![(0, News::Nothing); 10];
        (expected[2], expected[3], expected[4]) = ((2, News::Begins), (2, News::Nothing), (2, News::Nothing));
        (expected[5], expected[6]) = ((5, News::Nothing), (0, News::Ends));
        expected[9] = (2, News::Begins);
        assert_eq!(news, expected);
    }

    #[test]
    fn differences_that_change_their_sign_are_nothing() {
        let mut judge = Judge::default();
        for open in [9, 5, 9, 5, 9, 5, 9, 9, 5] {
            assert_eq!(judge.hear(&look(7, open)), (CLEAN, News::Nothing));
        }
    }

    #[test]
    fn what_may_have_changed_during_the_look_is_no_difference() {
        let mut judge = Judge::default();
        let busy = SocketCount { changes: 3, ..look(100, 103) };
        for _ in 0..9 {
            assert_eq!(judge.hear(&busy), (CLEAN, News::Nothing));
            assert_eq!(judge.hear(&SocketCount { open: 97, ..busy }), (CLEAN, News::Nothing));
        }
        for _ in 0..3 {
            judge.hear(&SocketCount { open: 104, ..busy });
        }
        assert_eq!(judge.found, Findings { leaked: 1, ..CLEAN });
    }

    #[test]
    fn connections_without_a_socket_and_holds_without_a_connection_are_seen() {
        let mut judge = Judge::default();
        for _ in 0..3 {
            judge.hear(&SocketCount { holds: 13, ..look(10, 6) });
        }
        assert_eq!(judge.found, Findings { leaked: 0, vanished: 4, homeless: 3 });
    }
}
