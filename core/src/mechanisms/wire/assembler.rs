//! WebSocket messages from a client's bytes, however they are cut: frames unmasked, fragments joined (RFC 6455 §5).
//!
//! Ground rules:
//! 1. Memory follows what was received, never what a header declares: at most twice a message's bytes so far, and a
//!    message too large is refused at the header that makes it so.
//! 2. When `poll` wants more bytes, less than one header is left of what was fed.
//! 3. After a close frame or a fault nothing is read any more (§5.5.1, §7.1.7).

use std::io::Cursor;
use std::mem;
use std::str::from_utf8;

use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::mask;
use super::partial_message::Draft;
use super::protocol_fault::ProtocolFault;
use super::websocket::{MAX_CONTROL, code};
use crate::words::message::Message;

/// Takes bytes in, gives messages out.
#[derive(Debug)]
pub struct Assembler {
    max_message: usize,
    /// What was fed; the first `read` bytes of it are done with.
    inbox: Vec<u8>,
    read: usize,
    /// The frame whose payload is arriving.
    frame: Option<Frame>,
    /// The data message whose frames are arriving. Control frames may stand between them (§5.4).
    draft: Option<Draft>,
    /// The payload of the control frame that is arriving.
    control: Vec<u8>,
    state: State,
}

/// Something whole that the peer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    Message(Message),
    /// So small a part of a message of which more is to come that the frame around it is worth more, and one more of
    /// these than the message is worth so far. Other parts are not told of: the message's bound is theirs.
    Crumb,
    /// To be answered with a pong of the same payload.
    Ping(Bytes),
    Pong,
    Close {
        code: Option<u16>,
        reason: String,
    },
}

#[derive(Clone, Copy, Debug)]
enum State {
    Open,
    Closed,
    Faulty(ProtocolFault),
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: OpCode,
    is_final: bool,
    mask: [u8; 4],
    taken: usize,
    left: usize,
}

impl Assembler {
    pub fn new(max_message: usize) -> Self {
        Assembler {
            max_message,
            inbox: Vec::new(),
            read: 0,
            frame: None,
            draft: None,
            control: Vec::new(),
            state: State::Open,
        }
    }

    /// Takes in what the peer sent. `poll` until `None` before feeding more: what waits here is not bounded.
    pub fn feed(&mut self, bytes: &[u8]) {
        if let State::Open = self.state {
            self.inbox.drain(..self.read);
            self.read = 0;
            self.inbox.extend_from_slice(bytes);
        }
    }

    /// The next whole thing the peer said; `None` if that needs more bytes. A fault stays.
    pub fn poll(&mut self) -> Result<Option<Incoming>, ProtocolFault> {
        match self.state {
            State::Open => {}
            State::Closed => return Ok(None),
            State::Faulty(fault) => return Err(fault),
        }
        let polled = self.advance();
        match &polled {
            Ok(None) => {
                self.inbox = self.inbox[self.read..].to_vec();
                self.read = 0;
            }
            Ok(Some(Incoming::Close { .. })) => self.stop(State::Closed),
            // The application may have the message for long: nothing is kept beside it.
            Ok(Some(_)) if self.read == self.inbox.len() => {
                self.inbox = Vec::new();
                self.read = 0;
            }
            Ok(Some(_)) => {}
            Err(fault) => self.stop(State::Faulty(*fault)),
        }
        polled
    }

    /// How much there is of a message of which more is to come.
    pub fn drafted(&self) -> Option<usize> {
        self.draft.as_ref().map(|draft| draft.payload.len())
    }

    /// How many bytes it has of what came and was not given away.
    pub fn bytes(&self) -> usize {
        let draft = self.draft.as_ref().map_or(0, |draft| draft.payload.len());
        self.inbox.len() - self.read + draft + self.control.len()
    }

    /// Whether nothing is begun, so that a new assembler could go on in place of this one.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Open)
            && self.read == self.inbox.len()
            && self.frame.is_none()
            && self.draft.is_none()
    }

    fn stop(&mut self, state: State) {
        *self = Assembler { state, ..Assembler::new(self.max_message) };
    }

    fn advance(&mut self) -> Result<Option<Incoming>, ProtocolFault> {
        loop {
            let Some(mut frame) = self.frame.take().map_or_else(|| self.begin(), |frame| Ok(Some(frame)))?
            else {
                return Ok(None);
            };
            self.take_payload(&mut frame)?;
            if frame.left > 0 {
                self.frame = Some(frame);
                return Ok(None);
            }
            if let Some(incoming) = self.finish(frame)? {
                return Ok(Some(incoming));
            }
        }
    }

    /// Reads the header of a frame, once all of it is there, and judges it.
    fn begin(&mut self) -> Result<Option<Frame>, ProtocolFault> {
        let mut cursor = Cursor::new(&self.inbox[self.read..]);
        let Some((header, length)) =
            FrameHeader::parse(&mut cursor).map_err(|_| ProtocolFault::Protocol("reserved opcode"))?
        else {
            return Ok(None);
        };
        self.read += cursor.position() as usize;

        // §5.2. We negotiate no extension. A length in a longer form than it needs is let pass: the rule is the
        // sender's, and nothing here depends on it.
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(ProtocolFault::Protocol("reserved bit set"));
        }
        if length >> 63 != 0 {
            return Err(ProtocolFault::Protocol("frame length with its top bit set"));
        }
        // §5.1
        let mask = header.mask.ok_or(ProtocolFault::Protocol("frame without a mask"))?;
        match header.opcode {
            // §5.5
            OpCode::Control(_) if !header.is_final => {
                return Err(ProtocolFault::Protocol("fragmented control frame"));
            }
            OpCode::Control(_) if length > MAX_CONTROL as u64 => {
                return Err(ProtocolFault::Protocol("control frame over 125 bytes"));
            }
            OpCode::Control(_) => {}
            OpCode::Data(data) => self.begin_data(data, length)?,
        }
        // Judged above to be no longer than `max_message`, a usize.
        let left = usize::try_from(length).map_err(|_| ProtocolFault::TooLarge)?;
        Ok(Some(Frame { opcode: header.opcode, is_final: header.is_final, mask, taken: 0, left }))
    }

    fn begin_data(&mut self, data: Data, length: u64) -> Result<(), ProtocolFault> {
        // §5.4
        let draft = match (data, &mut self.draft) {
            (Data::Continue, Some(draft)) => draft,
            (Data::Continue, None) => return Err(ProtocolFault::Protocol("continuation of nothing")),
            (_, Some(_)) => return Err(ProtocolFault::Protocol("new message inside a fragmented one")),
            (_, none) => none.insert(Draft::new(data == Data::Text)),
        };
        draft.expect(length, self.max_message)
    }

    /// Moves what is there of a frame's payload from the inbox to where it belongs.
    fn take_payload(&mut self, frame: &mut Frame) -> Result<(), ProtocolFault> {
        let there = &self.inbox[self.read..];
        let there = &there[..there.len().min(frame.left)];
        let payload = match (frame.opcode, &mut self.draft) {
            (OpCode::Data(_), Some(draft)) => &mut draft.payload,
            _ => &mut self.control,
        };
        // Doubling, but not beyond the frame's end: a message in one frame gets no more than its size.
        if payload.capacity() - payload.len() < there.len() {
            payload.reserve_exact(there.len().max(payload.len()).min(frame.left));
        }
        let start = payload.len();
        payload.extend_from_slice(there);
        mask::apply(&mut payload[start..], frame.mask, frame.taken);
        self.read += there.len();
        frame.taken += there.len();
        frame.left -= there.len();

        match (frame.opcode, &mut self.draft) {
            // What is whole is checked once, when it becomes a message.
            (OpCode::Data(_), Some(draft)) if frame.left > 0 || !frame.is_final => draft.check(),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, frame: Frame) -> Result<Option<Incoming>, ProtocolFault> {
        match frame.opcode {
            OpCode::Data(_) if !frame.is_final => {
                let is_crumb = self.draft.as_mut().is_some_and(|draft| draft.is_crumb(frame.taken));
                Ok(is_crumb.then_some(Incoming::Crumb))
            }
            OpCode::Data(_) => Ok(self.draft.take().map(Draft::finish).transpose()?.map(Incoming::Message)),
            OpCode::Control(control) => {
                let payload = mem::take(&mut self.control);
                match control {
                    Control::Close => goodbye(&payload).map(Some),
                    Control::Ping => Ok(Some(Incoming::Ping(payload.into()))),
                    Control::Pong => Ok(Some(Incoming::Pong)),
                    Control::Reserved(_) => Err(ProtocolFault::Protocol("reserved opcode")),
                }
            }
        }
    }
}

/// The body of a close frame (§5.5.1, §7.4).
fn goodbye(payload: &[u8]) -> Result<Incoming, ProtocolFault> {
    match payload {
        [] => Ok(Incoming::Close { code: None, reason: String::new() }),
        [_] => Err(ProtocolFault::Protocol("close frame with half a code")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !code::is_sendable(code) {
                return Err(ProtocolFault::Protocol("close code that must not be sent"));
            }
            let reason = from_utf8(reason).map_err(|_| ProtocolFault::NotUtf8)?.to_owned();
            Ok(Incoming::Close { code: Some(code), reason })
        }
    }
}

#[cfg(test)]
mod tests;
