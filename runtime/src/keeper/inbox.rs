//! What came from a peer, on its way to `on_message`: messages by `POST`, and the account of what the reader has.

use abeyance_core::words::cause::Disconnect;
use abeyance_core::words::message::Message;

use super::hold::Hold;
use super::outbox::posted;

/// Why a message that came by `POST` was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PostRefusal {
    Ended,
    Full,
}

/// How many may wait.
const INBOX: usize = 8;

impl Hold {
    /// A message that came by `POST`.
    pub(crate) fn post(&self, message: Message) -> Result<(), PostRefusal> {
        let mut outbox = self.outbox();
        if outbox.end_request.is_some() {
            return Err(PostRefusal::Ended);
        }
        // What was accepted is heard. So it is refused before, where too much waits already: nobody else shall pay for it.
        if !self.keeper().has_room_ahead(posted(&message)) {
            return Err(PostRefusal::Full);
        }
        let inbox = outbox.inbox.get_or_insert_default();
        if inbox.len() >= INBOX {
            return Err(PostRefusal::Full);
        }
        inbox.push_back(message);
        outbox.wake();
        Ok(())
    }

    /// Counts what was read from the peer and is not heard yet: so many bytes now.
    pub(crate) fn count_inbound(&self, bytes: usize) {
        let mut outbox = self.outbox();
        let is_given_up = outbox
            .end_request
            .as_ref()
            .is_some_and(|end_request| end_request.end == Disconnect::Overload.into());
        if is_given_up {
            return;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let has_grown = bytes > outbox.inbound;
        outbox.inbound = bytes;
        drop(outbox);
        if has_grown {
            self.keeper().relieve();
        }
    }

    /// The next message that came by `POST`.
    pub(crate) fn take_posted(&self) -> Option<Message> {
        let mut outbox = self.outbox();
        let inbox = outbox.inbox.as_mut()?;
        let message = inbox.pop_front();
        if inbox.is_empty() {
            outbox.inbox = None;
        }
        message
    }
}
