//! Support for the suites over real sockets: a server in the test's own process, peers that are nothing but sockets,
//! and programs of others.
//!
//! Nothing here sleeps for a fixed time: whatever must come true is waited for, with a patience so long that only a
//! failure needs it.

mod frames; // WebSocket frames, right and wrong
mod hook_recorder; // what the application was told
mod kernel; // what it keeps for a server's peers
mod machine; // what the machine itself does to a test
mod namespace; // a network stack of its own
mod network; // two of them and a cable, so that peers can vanish
mod nginx; // a proxy, set up as the README says
mod peer; // a client that is only a socket
mod process; // programs of others
mod tcp_test_server; // a server under test

pub use frames::{Frame, frame, unmasked};
pub use hook_recorder::{HookCalls, HookRecorder, RecordingContext};
pub use kernel::{Share, attached, kernel_shares, open_sockets};
pub use machine::{Machine, resident};
pub use namespace::Namespace;
pub use network::Network;
pub use nginx::Nginx;
pub use peer::{Answer, Peer, narrow};
pub use process::{Child, curl, found, skipped};
pub use tcp_test_server::{TcpTestServer, descriptors, eventually};

use std::time::Duration;

use abeyance::Transport;

/// How long a test waits for what must come true; only a failing test takes so long.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Every transport: most contracts hold for all of them.
pub const TRANSPORTS: [Transport; 4] =
    [Transport::WebSocket, Transport::Sse, Transport::Stream, Transport::LongPoll];

/// Those that go on after a message.
pub const LASTING: [Transport; 3] = [Transport::WebSocket, Transport::Sse, Transport::Stream];
