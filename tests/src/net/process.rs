//! Third-party programs, and servers in processes of their own.

use std::io::{Read, Write};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::scope;

use super::TEST_TIMEOUT;
use super::tcp_test_server::eventually;

/// A running program, killed when it is dropped.
#[derive(Debug)]
pub struct Child(std::process::Child);

impl Child {
    /// Starts it, with a pipe for its standard error.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        Child::start_with(command.stdin(Stdio::null()))
    }

    /// The same, with the standard input that the command says.
    #[track_caller]
    pub fn start_with(command: &mut Command) -> Self {
        let command = command.stderr(Stdio::piped());
        Child(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends it a signal, by name.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().expect("kill");
        assert!(status.success(), "kill -s {name}");
    }

    /// Reads standard error line by line until `wanted` finds something in a line.
    #[track_caller]
    pub fn wait_for_line<T>(&mut self, wanted: impl FnMut(&str) -> Option<T>) -> T {
        let id = self.id();
        let found = scope(|scope| {
            let (done, awaited) = channel::<()>();
            // A child that neither writes nor exits is killed, so that the read below returns.
            scope.spawn(move || {
                if awaited.recv_timeout(TEST_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
                    let _ = Command::new("kill").args(["-s", "KILL", &id.to_string()]).status();
                }
            });
            let found = read_lines(self.0.stderr.as_mut().expect("a pipe"), wanted);
            drop(done);
            found
        });
        found.unwrap_or_else(|said| panic!("no such line on standard error: {said}"))
    }

    /// Waits until it exits; returns the status and the rest of its standard error.
    #[track_caller]
    pub fn exit(mut self) -> (ExitStatus, String) {
        let mut status = None;
        eventually("the exit of a process", || {
            status = self.0.try_wait().expect("a child");
            status.is_some()
        });
        let mut said = String::new();
        if let Some(mut pipe) = self.0.stderr.take() {
            let _ = pipe.read_to_string(&mut said);
        }
        (status.expect("it was waited for"), said)
    }

    /// How much processor time it has used, in ticks of the kernel (hundredths of a second).
    pub fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("a process");
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads lines until `wanted` finds something in one. The error is all that was read instead.
fn read_lines<T>(pipe: &mut impl Read, mut wanted: impl FnMut(&str) -> Option<T>) -> Result<T, String> {
    let mut said = String::new();
    let mut byte = [0];
    let mut begin = 0;
    // A byte at a time: what follows the line must stay in the pipe.
    while pipe.read(&mut byte).expect("a pipe") == 1 {
        said.push(char::from(byte[0]));
        if byte[0] == b'\n' {
            if let Some(found) = wanted(&said[begin..]) {
                return Ok(found);
            }
            begin = said.len();
        }
    }
    Err(said)
}

/// Runs curl, which is always there.
#[track_caller]
pub fn curl(arguments: &[&str]) -> Output {
    Command::new("curl").args(["--silent", "--max-time", "60"]).args(arguments).output().expect("curl")
}

/// Whether a program can be run.
pub fn found(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    let quiet = command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Prints that a test is skipped, in a form that `.ci/run` looks for.
pub fn skipped(why: &str) {
    // Not `eprintln`: the test harness hides what a passing test prints by it.
    _ = writeln!(std::io::stderr(), "skipped: {why}");
}
