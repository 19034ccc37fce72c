//! Every message that was read, that was whole in the socket, or that was answered `202`, is handled: `on_message` runs for
//! it, in order and to its end, before the end hook. No hook is dropped before it is done.
//!
//! The peers are bare sockets that leave in every way; the hooks await.

mod application; // records what its hooks did
mod ends_during_hooks; // ends that come while a hook awaits
mod rounds; // a thousand peers that send and leave
