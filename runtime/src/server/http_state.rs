//! Where an HTTP exchange stands, as hyper does not tell: recorded by the service, the answer's body and the socket, and
//! judged by the one owner of deadlines (`drive_hyper.rs`). Pure; `now` comes in.

use std::task::Waker;
use std::time::Duration;

use super::request_framing::{Follows, RequestFraming};
use super::strict_crlf::Broken;
use crate::settings::ServerConfig;
use abeyance_core::words::min_rate;
use abeyance_core::words::tick::Tick;

/// How long a connection may rest under hyper before its buffers are taken away.
pub(super) const REST: Duration = Duration::from_secs(1);

/// How long a head may take to be whole once the server stops: what is on its way is answered, not cut.
pub(super) const LAST_HEAD: Duration = Duration::from_secs(1);

/// Where an exchange stands. Ground rules:
///
/// 1. hyper calls the service after a whole head, and for the next request only when the last one's body is read
///    and its answer is encoded (though perhaps not written).
/// 2. hyper flushes the wire only when it has nothing left to write. So `flushed` after the service was called, or
///    after an answer ended, means that hyper's write buffer is empty, and only then may the socket be taken back.
/// 3. A request that is to be held is held in any case: its function has said yes.
pub(super) struct HttpState<P> {
    phase: Phase,
    framing: RequestFraming,
    /// How much was read that hyper was not given yet.
    pub(super) unread: usize,
    /// What was to be the next head is none that may be read.
    malformed: bool,
    /// Everything that hyper had to write is written.
    flushed: bool,
    /// Since when the peer has taken nothing of what hyper has to write; later by what it took since is worth.
    blocked: Option<Tick>,
    /// The connection may be used again after this request.
    lasting: bool,
    pending: Option<P>,
    /// The wire is dropped; before that an upgraded connection (a WebSocket of the fallback) lives on it.
    pub(super) released: bool,
    /// The task that waits for `released`.
    pub(super) waiting: Option<Waker>,
    /// hyper, which wants to read and is not given the next request before it has answered this one.
    pub(super) reading: Option<Waker>,
}

#[derive(Clone, Copy)]
enum Phase {
    /// A head is arriving.
    Head { due: Tick },
    /// The request is being answered.
    Answering,
    /// Between two requests.
    Idle { since: Tick },
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait, at most until then.
    Wait(Option<Tick>),
    /// Take the socket back, for the hold.
    Hold,
    /// Take the socket back, to wait without hyper's buffers.
    Rest,
    /// Close: nothing is under way.
    Close,
    /// Tell the peer that its head took too long, and close.
    Late,
    /// Tell the peer that its head is none, and close.
    Malformed,
    /// Cut: the peer takes nothing.
    Cut,
    /// Leave: another connection shall have the parser.
    MakeWay,
}

impl<P> HttpState<P> {
    pub(super) fn new(head_due: Tick) -> Self {
        HttpState {
            phase: Phase::Head { due: head_due },
            framing: RequestFraming::begin(),
            unread: 0,
            malformed: false,
            flushed: true,
            blocked: None,
            lasting: false,
            pending: None,
            released: false,
            waiting: None,
            reading: None,
        }
    }

    /// A whole head has come.
    pub(super) fn asked(&mut self, follows: Follows, lasting: bool) {
        self.phase = Phase::Answering;
        // What is left of a body cannot be told from the next request once hyper is gone.
        self.lasting = lasting && follows == Follows::Nothing;
        self.framing.asked(follows);
    }

    /// Whether the request's body has not come as a whole: an answer that is given now is the last one, since hyper reads
    /// on no further than to what lies here.
    pub(super) fn is_body_due(&self) -> bool {
        self.framing.is_longer_than(self.unread)
    }

    /// The answer was that the connection is not HTTP any more.
    pub(super) fn upgraded(&mut self) {
        self.framing = RequestFraming::Upgraded;
    }

    /// The request is to be held.
    pub(super) fn held(&mut self, pending: P) {
        self.pending = Some(pending);
        self.flushed = false;
    }

    /// The answer's body has ended.
    pub(super) fn answered(&mut self, now: Tick) {
        self.phase = Phase::Idle { since: now };
        self.flushed = false;
    }

    /// Bytes have come; says how many of them hyper may have now. If these are none it waits, and the owner of deadlines
    /// goes on, or the answer's end does.
    ///
    /// # Errors
    /// A body is not as it must be.
    pub(super) fn received(
        &mut self,
        bytes: &[u8],
        now: Tick,
        server_config: &ServerConfig,
    ) -> Result<usize, Broken> {
        if let Phase::Idle { .. } = self.phase {
            self.phase = Phase::Head { due: now.plus(server_config.head_timeout) };
        }
        let mut given = 0;
        while !self.malformed {
            if !matches!(self.phase, Phase::Answering) {
                self.framing.go_on();
            }
            let is_head = matches!(self.framing, RequestFraming::Head(_));
            match self.framing.take(&bytes[given..]) {
                Ok(0) => return Ok(given),
                Ok(count) => given += count,
                Err(Broken) if is_head => self.malformed = true,
                Err(Broken) => return Err(Broken),
            }
        }
        Ok(0)
    }

    /// hyper tried to write, and the peer took so many bytes.
    pub(super) fn wrote(&mut self, now: Tick, taken: usize) {
        self.flushed = false;
        self.blocked = match self.blocked {
            // What it took earns it some time; a byte now and then does not earn all of it.
            Some(since) => Some(now.min(since.plus(min_rate::worth(taken)))),
            None if taken == 0 => Some(now),
            None => None,
        };
    }

    /// hyper has nothing left to write; says whether nothing is being answered either.
    pub(super) fn flushed(&mut self) -> bool {
        self.flushed = true;
        self.blocked = None;
        !matches!(self.phase, Phase::Answering)
    }

    /// The request that is to be held, and whether its connection may be used afterwards.
    pub(super) fn pending(&mut self) -> Option<(P, bool)> {
        self.pending.take().map(|pending| (pending, self.lasting))
    }

    /// Whether the last request and its answer are over and nothing of the next has come: hyper can be left.
    pub(super) fn rests(&self) -> bool {
        let is_over = matches!((self.phase, &self.framing), (Phase::Idle { .. }, RequestFraming::Over));
        is_over && self.flushed && self.pending.is_none()
    }

    /// Whether a head is arriving.
    pub(super) fn is_arriving(&self) -> bool {
        matches!(self.phase, Phase::Head { .. })
    }

    /// What to do now that hyper waits. If the server is `stopping`, no head may take longer than until then.
    pub(super) fn step(&self, now: Tick, stopping: Option<Tick>, server_config: &ServerConfig) -> Step {
        let blocked = self.blocked.map(|since| since.plus(server_config.write_timeout));
        if blocked.is_some_and(|due| due <= now) {
            return Step::Cut;
        }
        if self.pending.is_some() {
            return if self.flushed { Step::Hold } else { Step::Wait(blocked) };
        }
        let due = match self.phase {
            Phase::Answering => return Step::Wait(blocked),
            _ if !self.flushed => return Step::Wait(blocked),
            _ if self.malformed => return Step::Malformed,
            Phase::Head { due } => {
                let due = stopping.map_or(due, |last| last.min(due));
                if due <= now {
                    return Step::Late;
                }
                due
            }
            _ if stopping.is_some() => return Step::Close,
            // Of a body that has not come as a whole hyper alone knows the end.
            Phase::Idle { since } if !matches!(self.framing, RequestFraming::Over) => {
                let due = since.plus(server_config.keep_alive);
                if due <= now {
                    return Step::Close;
                }
                due
            }
            Phase::Idle { since } if since.plus(REST) <= now => return Step::Rest,
            Phase::Idle { since } => since.plus(REST),
        };
        Step::Wait(Some(due))
    }
}
