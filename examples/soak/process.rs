//! The resources of this process, and the process of the clients.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::HEAP;
use super::client_log::{self, Seen};
use super::options::Options;

/// The resources of a process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Bytes it has allocated.
    pub(super) heap: usize,
    /// Bytes of resident memory; `None` where `/proc` does not say.
    pub(super) resident: Option<usize>,
    /// How many descriptors are open; `None` where `/proc` does not say.
    pub(super) descriptors: Option<usize>,
}

impl Usage {
    pub(super) fn now() -> Self {
        let descriptors = std::fs::read_dir("/proc/self/fd").ok().map(|list| list.count() - 1);
        Usage { heap: HEAP.current_usage(), resident: resident(), descriptors }
    }
}

fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<usize>().ok()? << 10)
}

/// How many descriptors this process may have.
pub(super) fn most_descriptors() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The process of the clients.
pub(super) struct Child(std::process::Child);

impl Child {
    pub(super) fn start(server: SocketAddr, options: &Options) -> Self {
        let program = std::env::current_exe().expect("a running program has a file");
        let mut command = Command::new(program);
        command.args(options.arguments(server));
        if options.is_logged {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        }
        Child(command.spawn().expect("this very program can be started"))
    }

    /// Tells the clients that the server has shut down; waits for their longest stall, and for what they saw.
    ///
    /// # Panics
    /// As [`is_running`](Child::is_running).
    pub(super) fn report(mut self) -> (Duration, Vec<Seen>) {
        drop(self.0.stdin.take());
        let mut told = String::new();
        let output = self.0.stdout.take().map(|mut output| output.read_to_string(&mut told));
        let status = self.0.wait();
        let heard = client_log::read(&told);
        assert!(output.is_some_and(|read| read.is_ok()), "the clients have nothing to say");
        assert!(status.as_ref().is_ok_and(|status| status.success()), "the clients failed: {status:?}");
        heard.unwrap_or_else(|| panic!("the clients said: {told}"))
    }

    /// Whether the process is still running.
    ///
    /// # Panics
    /// When it failed: the measurements are worthless then.
    pub(super) fn is_running(&mut self) -> bool {
        let status = self.0.try_wait().expect("a child of ours");
        assert!(status.is_none_or(|status| status.success()), "the clients failed: {status:?}");
        status.is_none()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
