//! Messages that came by `POST`, on their way to `on_message`.

use crate::words::message::Message;

use super::hold::Hold;
use super::pen::wake;

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
        let mut pen = self.pen();
        if pen.note.is_some() {
            return Err(PostRefusal::Ended);
        }
        let inbox = pen.inbox.get_or_insert_default();
        if inbox.len() >= INBOX {
            return Err(PostRefusal::Full);
        }
        inbox.push_back(message);
        wake(pen);
        Ok(())
    }

    /// The next message that came by `POST`.
    pub(crate) fn take_posted(&self) -> Option<Message> {
        let mut pen = self.pen();
        let inbox = pen.inbox.as_mut()?;
        let message = inbox.pop_front();
        if inbox.is_empty() {
            pen.inbox = None;
        }
        message
    }
}
