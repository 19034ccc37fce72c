//! What arrived is heard: every message that was read, lay whole in the socket, or was answered `202`, is given to
//! `on_message`, in order and to its end, before the end hook runs; and no hook is dropped in its interrupted.
//!
//! The peers are bare sockets that leave as rudely as a peer can; the hooks await.

mod application; // the application: it writes down what its hooks did
mod ends_during_hooks; // ends that come while a hook awaits
mod rounds; // a thousand peers that speak and leave
