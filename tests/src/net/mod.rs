//! Support for the suites over real sockets: a server in the test's own process, peers that are bare sockets, and
//! third-party programs.
//!
//! Nothing here sleeps for a fixed time. A test waits for a condition, with a timeout so long that only a failure
//! reaches it.

mod frames; // WebSocket frames, right and wrong
mod hook_recorder; // the calls of an application's hooks
mod kernel; // what the kernel says of a server's sockets
mod machine; // stalls of the machine, and resident memory
mod namespace; // a network namespace
mod network; // two namespaces and a cable, so that peers can vanish
mod nginx; // a proxy, configured as in the guide
mod peer; // a client that is a bare socket
mod process; // child processes
mod tcp_test_server; // the server under test, on a TCP socket

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

/// How long a test waits for a condition; only a failing test takes so long.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Every transport: most contracts hold for all of them.
pub const TRANSPORTS: [Transport; 4] =
    [Transport::WebSocket, Transport::Sse, Transport::Stream, Transport::LongPoll];

/// The transports whose hold lasts longer than one message.
pub const LASTING: [Transport; 3] = [Transport::WebSocket, Transport::Sse, Transport::Stream];
