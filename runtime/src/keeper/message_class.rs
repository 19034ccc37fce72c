//! The two classes of messages: sent to one hold, or published to a topic.

use abeyance_core::mechanisms::send_buffer::Kind;

/// Where a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageClass {
    /// The application sent it to this hold alone. It is written at once, also before the hold is open.
    Direct,
    /// It was published to a topic. It waits until `on_suspend` has returned and the replies are written.
    Published,
}

impl MessageClass {
    /// The kind of a piece of this class. A direct message that was accepted is never dropped.
    pub(super) fn kind(self) -> Kind {
        match self {
            MessageClass::Direct => Kind::Message,
            MessageClass::Published => Kind::Published,
        }
    }
}
