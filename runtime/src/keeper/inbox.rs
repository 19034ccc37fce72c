//! What came from a peer and waits for `on_message`: messages by `POST`, and the count of the bytes that the reader
//! has.

use abeyance_core::words::cause::Disconnect;
use abeyance_core::words::message::Message;

use super::hold::Hold;
use super::outbox::posted;
use super::outbox_guard::wake;

/// Why a message that came by `POST` was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PostRefusal {
    Ended,
    Full,
}

/// How many messages may wait.
const INBOX: usize = 8;

impl Hold {
    /// Queues a message that came by `POST`.
    ///
    /// # Errors
    /// [`PostRefusal`] if the end has begun, or if too much waits.
    pub(crate) fn post(&self, message: Message) -> Result<(), PostRefusal> {
        let mut outbox = self.outbox();
        if outbox.end_request.is_some() {
            return Err(PostRefusal::Ended);
        }
        // `on_message` is called with every message that was accepted. So a message is refused here if too much waits
        // already: no other hold must pay for it.
        if !self.keeper().has_room_ahead(posted(&message)) {
            return Err(PostRefusal::Full);
        }
        let inbox = outbox.inbox.get_or_insert_default();
        if inbox.len() >= INBOX {
            return Err(PostRefusal::Full);
        }
        inbox.push_back(message);
        wake(outbox);
        Ok(())
    }

    /// Sets how many bytes were read from the peer and not yet passed to a hook.
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

    /// Takes the next message that came by `POST`.
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
