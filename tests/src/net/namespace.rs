//! A network namespace without a name: a thread enters it and keeps it alive.
//!
//! What that thread opens stays in its network, and can be used from any thread.

use std::io::{self, Write};
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, spawn};

use nix::sched::{CloneFlags, unshare};

/// One network namespace. It is gone when this is dropped and its last socket is closed.
#[derive(Debug)]
pub struct Namespace {
    /// Its path in `/proc`.
    path: String,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Namespace {
    /// Makes a namespace, with its loopback up.
    ///
    /// # Errors
    /// When the process may not: it needs CAP_SYS_ADMIN for this, and CAP_NET_ADMIN to configure it.
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
        let path = told.recv().expect("the thread sends its path first")?;
        let namespace = Namespace { path, jobs: Some(jobs), thread: Some(thread) };
        namespace.ip(["link set lo up".to_owned()])?;
        Ok(namespace)
    }

    /// The path by which `ip` names the namespace.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Runs a closure in this namespace.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = channel();
        let job =
            Box::new(move || _ = tell.send(std::panic::catch_unwind(std::panic::AssertUnwindSafe(job))));
        self.jobs.as_ref().expect("it is not dropped").send(job).expect("its thread");
        told.recv().expect("its thread").unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs commands of `ip` in this namespace, all in one process.
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
