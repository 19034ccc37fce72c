//! The rules: what happens where a limit is reached, or a peer is slow.

use crate::amount::Misread;
use crate::kind::Kind;

/// What happens to a newcomer when a limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// The newcomer is refused.
    Reject,
    /// The oldest hold under that limit is resumed, and the newcomer takes its place.
    ResumeOldest,
}

/// What a hold is told that is ended because a limit with `resume_oldest` is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenEvicted {
    /// Its client may come back after a while, and may take the place of another then. If more clients come back than
    /// there are places, they take turns without end.
    ComeBack,
    /// Its client shall stay away until its user says otherwise. It is told as it is by
    /// `Held::disconnect` with the reason `evicted`: a poll by `410`, a WebSocket by 1008, an
    /// event stream by `event: disconnected`. An `EventSource` comes back once all the same unless its page closes it.
    /// It brings the id of that event along, is answered with `204`, and is closed for good by that.
    StayAway,
}

/// What happens to what is published when a peer reads more slowly than messages come, and its send buffer has no room.
///
/// Only what is published is ever dropped. What the application sends to one hold is refused when it has no room, with
/// the message in `SendError::Full`, and what waits already is not dropped for it, under
/// any rule. Heads and heartbeats are no messages, and are not dropped either.
///
/// A long poll's first message is its answer, so there the rule counts only for what is published while `on_suspend`
/// still runs. That is little, but no contradiction: it may be set where long polling is all that is offered.
///
/// `Ended::dropped` and `Stats::dropped` say how many were dropped. A
/// peer that takes nothing at all is `Stalled` after `Server::write_timeout` under every rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenSlow {
    /// The peer is disconnected, as `Disconnect::Slow`.
    Disconnect,
    /// The newest message takes the place of what has waited longest, which is dropped and counted. A message that is
    /// half written is not dropped. If not even all of what may be dropped made room enough, the newest is dropped alone.
    ///
    /// What the kernel has taken cannot be dropped any more. On Linux it is asked to take little (`TCP_NOTSENT_LOWAT`);
    /// elsewhere it may take so much of the oldest that no room is left for the newest.
    DropOldest,
    /// The newest message is dropped, and counted; what waits stays.
    DropNewest,
}

impl WhenFull {
    /// The rule as it is written in annotations.
    pub const fn as_str(&self) -> &'static str {
        match self {
            WhenFull::Reject => "reject",
            WhenFull::ResumeOldest => "resume_oldest",
        }
    }
}

impl WhenEvicted {
    /// The rule as it is written in annotations.
    pub const fn as_str(&self) -> &'static str {
        match self {
            WhenEvicted::ComeBack => "come_back",
            WhenEvicted::StayAway => "stay_away",
        }
    }
}

impl WhenSlow {
    /// The rule as it is written in annotations.
    pub const fn as_str(&self) -> &'static str {
        match self {
            WhenSlow::Disconnect => "disconnect",
            WhenSlow::DropOldest => "drop_oldest",
            WhenSlow::DropNewest => "drop_newest",
        }
    }
}

impl Kind for WhenFull {
    type Value = WhenFull;
    const EXPECTED: &'static str = "\"reject\" or \"resume_oldest\"";

    fn read(text: &str) -> Result<WhenFull, Misread> {
        match text {
            "reject" => Ok(WhenFull::Reject),
            "resume_oldest" => Ok(WhenFull::ResumeOldest),
            _ => Err(Misread::new(WhenFull::EXPECTED, format!("{text:?}"), "")),
        }
    }

    fn spell(value: &WhenFull) -> String {
        value.as_str().to_owned()
    }
}

impl Kind for WhenEvicted {
    type Value = WhenEvicted;
    const EXPECTED: &'static str = "\"come_back\" or \"stay_away\"";

    fn read(text: &str) -> Result<WhenEvicted, Misread> {
        match text {
            "come_back" => Ok(WhenEvicted::ComeBack),
            "stay_away" => Ok(WhenEvicted::StayAway),
            _ => Err(Misread::new(WhenEvicted::EXPECTED, format!("{text:?}"), "")),
        }
    }

    fn spell(value: &WhenEvicted) -> String {
        value.as_str().to_owned()
    }
}

impl Kind for WhenSlow {
    type Value = WhenSlow;
    const EXPECTED: &'static str = "\"disconnect\", \"drop_oldest\" or \"drop_newest\"";

    fn read(text: &str) -> Result<WhenSlow, Misread> {
        match text {
            "disconnect" => Ok(WhenSlow::Disconnect),
            "drop_oldest" => Ok(WhenSlow::DropOldest),
            "drop_newest" => Ok(WhenSlow::DropNewest),
            _ => Err(Misread::new(WhenSlow::EXPECTED, format!("{text:?}"), "")),
        }
    }

    fn spell(value: &WhenSlow) -> String {
        value.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_read_as_it_is_written() {
        for rule in [WhenSlow::Disconnect, WhenSlow::DropOldest, WhenSlow::DropNewest] {
            assert_eq!(WhenSlow::read(rule.as_str()), Ok(rule));
        }
        for rule in [WhenFull::Reject, WhenFull::ResumeOldest] {
            assert_eq!(WhenFull::read(rule.as_str()), Ok(rule));
        }
        for rule in [WhenEvicted::ComeBack, WhenEvicted::StayAway] {
            assert_eq!(WhenEvicted::read(rule.as_str()), Ok(rule));
        }
    }
}
