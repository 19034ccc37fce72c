//! The axes of the matrix: what goes wrong, and when. (The third are the transports.)

/// What goes wrong with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its process closes the socket.
    Fin,
    /// It resets the connection.
    Reset,
    /// Its network is gone: nothing comes from it and nothing reaches it, without a FIN, RST or ICMP.
    BlackHole,
    /// It reads nothing, with a small buffer, and says nothing.
    ZeroWindow,
    /// It reads one byte a second, with a small buffer. In the middle of a message it sends one byte a second.
    OneByteASecond,
    /// It sends one unexpected byte.
    StrayByte,
    /// It sends its connection's next request before this one is answered.
    PipelinedRequest,
    /// It sends more unexpected bytes than the server takes.
    Garbage,
    /// It closes its side only, and reads on to the end.
    HalfClose,
    /// We end the hold (a shutdown does, where one has begun), and it neither answers nor closes.
    CloseIgnored,
}

/// Where the hold stands when it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Just suspended: `on_suspend` is running.
    Opening,
    /// Nothing is under way.
    Idle,
    /// `on_message` is running, so the peer is not read.
    OnMessage,
    /// More waits for the peer than kernels take. Of a long poll it is its answer.
    Pending,
    /// Half of a message has come: of a WebSocket's frame, of a `POST` beside an event stream or a stream, of the next request
    /// behind a long poll.
    MidMessage,
    /// It gets a past that is larger than its send buffer, and is not through.
    Replaying,
    /// A shutdown has begun to end it, and its ending waits behind more than kernels take. A long poll's was written.
    Draining,
}

impl Fault {
    pub(crate) const ALL: [Fault; 10] = [
        Fault::Fin,
        Fault::Reset,
        Fault::BlackHole,
        Fault::ZeroWindow,
        Fault::OneByteASecond,
        Fault::StrayByte,
        Fault::PipelinedRequest,
        Fault::Garbage,
        Fault::HalfClose,
        Fault::CloseIgnored,
    ];

    /// As the table calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Fin => "fin",
            Fault::Reset => "reset",
            Fault::BlackHole => "black_hole",
            Fault::ZeroWindow => "zero_window",
            Fault::OneByteASecond => "one_byte_a_second",
            Fault::StrayByte => "stray_byte",
            Fault::PipelinedRequest => "pipelined_request",
            Fault::Garbage => "garbage",
            Fault::HalfClose => "half_close",
            Fault::CloseIgnored => "close_ignored",
        }
    }

    /// Whether its peer reads to the end from then on.
    pub(crate) fn reads_on(self, state: State) -> bool {
        match self {
            Fault::HalfClose => true,
            Fault::StrayByte | Fault::PipelinedRequest | Fault::Garbage | Fault::CloseIgnored => {
                state == State::Draining
            }
            _ => false,
        }
    }

    /// Whether its peer hardly reads from the beginning on.
    pub(crate) fn is_slow(self) -> bool {
        matches!(self, Fault::ZeroWindow | Fault::OneByteASecond)
    }
}

impl State {
    /// In the order of the table's columns.
    pub(crate) const ALL: [State; 7] = [
        State::Opening,
        State::Idle,
        State::OnMessage,
        State::Pending,
        State::MidMessage,
        State::Replaying,
        State::Draining,
    ];

    /// As the table calls it; a part of the path, too.
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Opening => "opening",
            State::Idle => "idle",
            State::OnMessage => "on_message",
            State::Pending => "pending",
            State::MidMessage => "mid_message",
            State::Replaying => "replaying",
            State::Draining => "draining",
        }
    }
}
