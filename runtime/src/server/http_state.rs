//! How far an HTTP exchange is. hyper does not tell it, so the service, the answer's body and the socket record it, and
//! the owner of deadlines (`drive_hyper.rs`) judges it. Pure; `now` comes in.

use std::task::Waker;
use std::time::Duration;

use super::request_framing::{Follows, RequestFraming};
use super::strict_crlf::Broken;
use crate::settings::ServerConfig;
use abeyance_core::words::min_rate;
use abeyance_core::words::tick::Tick;

/// How long a connection may rest under hyper before its buffers are taken away.
pub(super) const REST: Duration = Duration::from_secs(1);

/// How long a head may take to be whole once the server stops: a request that is on its way is answered, not cut.
pub(super) const LAST_HEAD: Duration = Duration::from_secs(1);

/// How far an exchange is. Ground rules:
///
/// 1. hyper calls the service after a whole head, and for the next request only when the last one's body is read
///    and its answer is encoded (though perhaps not written).
/// 2. hyper flushes the wire only when it has nothing left to write. So `flushed` after the service was called, or
///    after an answer ended, means that hyper's write buffer is empty, and only then may the socket be taken back.
/// 3. A request that is to be held is held in any case: its function has returned `Ok`.
pub(super) struct HttpState<P> {
    phase: Phase,
    framing: RequestFraming,
    /// How many bytes were read that hyper was not given yet.
    pub(super) unread: usize,
    /// What came as the next head is malformed.
    malformed: bool,
    /// All that hyper had to write is written.
    flushed: bool,
    /// Since when the peer has taken nothing of what hyper has to write. Bytes that it took since move this later
    /// ([`min_rate`]).
    blocked: Option<Tick>,
    /// The connection may be used again after this request.
    lasting: bool,
    pending: Option<P>,
    /// The I/O that hyper had is dropped. Until then an upgraded connection (a WebSocket of the fallback) uses it.
    pub(super) released: bool,
    /// The task that waits for `released`.
    pub(super) waiting: Option<Waker>,
    /// hyper's task, which wants to read. It is not given the next request before it has answered this one.
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
    /// Tell the peer that its head is malformed, and close.
    Malformed,
    /// Cut: the peer takes nothing.
    Cut,
    /// Leave: another connection gets the parser.
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
    pub(super) fn head_read(&mut self, follows: Follows, lasting: bool) {
        self.phase = Phase::Answering;
        // What is left of a body cannot be told from the next request once hyper is gone.
        self.lasting = lasting && follows == Follows::Nothing;
        self.framing.head_read(follows);
    }

    /// Whether some of the request's body has not come yet. An answer that is given now is the last one then: hyper
    /// reads no more of the body than has come.
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

    /// Bytes have come; tells how many of them hyper may have now. If it may have none, it waits for the end of its
    /// answer, or for the owner of deadlines.
    ///
    /// # Errors
    /// A body is malformed.
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
                self.framing.begin_next();
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
            // What the peer took earns it some time; a byte now and then earns less than has passed.
            Some(since) => Some(now.min(since.plus(min_rate::worth(taken)))),
            None if taken == 0 => Some(now),
            None => None,
        };
    }

    /// hyper has nothing left to write; tells whether no request is being answered either.
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
            // hyper alone knows where a body ends that has not come as a whole.
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
