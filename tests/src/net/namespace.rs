//! A network stack of its own, without a name: a thread that has left the process's, and keeps it alive.
//!
//! Whatever that thread opens belongs to its network for good, and can be used from any thread.

use std::io::{self, Write};
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, spawn};

use nix::sched::{CloneFlags, unshare};

/// One network. It is gone when this is dropped and its last socket is closed.
#[derive(Debug)]
pub struct Namespace {
    /// Where the kernel shows it.
    path: String,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Namespace {
    /// Makes one, with its loopback up.
    ///
    /// # Errors
    /// Where the process may not: it needs CAP_SYS_ADMIN for this, and CAP_NET_ADMIN to do anything with it.
    pub fn new() -> io::Result<Self> {
        let (jobs, todo) = channel::<Job>();
        let (tell, told) = channel();
        let thread = spawn(move || {
            let made = unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
            let path = made.and_then(|()| std::fs::read_link("/proc/thread-self"));
            if tell.send(path.map(|path| format!("/proc/{}/ns/net", path.display()))).is_ok() {
                todo.into_iter().for_each(|job| job());
            }
        });
        let path = told.recv().expect("the thread tells first of all")?;
        let namespace = Namespace { path, jobs: Some(jobs), thread: Some(thread) };
        namespace.ip(["link set lo up".to_owned()])?;
        Ok(namespace)
    }

    /// Where `ip` finds it, as the network of this or that device.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Does something in this network.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = channel();
        let job =
            Box::new(move || _ = tell.send(std::panic::catch_unwind(std::panic::AssertUnwindSafe(job))));
        self.jobs.as_ref().expect("it is not dropped").send(job).expect("its thread");
        told.recv().expect("its thread").unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs lines of `ip` in this network, all in one process.
    ///
    /// # Errors
    /// The first line that fails.
    pub fn ip(&self, lines: impl IntoIterator<Item = String>) -> io::Result<()> {
        let lines: String = lines.into_iter().map(|line| line + "\n").collect();
        self.run(move || {
            let mut command = Command::new("ip");
            let command = command.args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn()?;
            child.stdin.take().expect("a pipe").write_all(lines.as_bytes())?;
            let output = child.wait_with_output()?;
            match output.status.success() {
                true => Ok(()),
                false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())),
            }
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
