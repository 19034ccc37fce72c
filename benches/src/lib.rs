//! What publishing costs, measured side by side with what others do.
//!
//! Three kinds of server in turn send the same bytes to the same number of peers. Each server, and its peers, is a
//! process of its own: the server's processor time can then be told from everybody else's, and there are more sockets
//! than one process may open. The peers compare every byte they get with what they were to get, so no server looks
//! cheap because it lost something.

// The layers, lowest first.

/// What is published, and how it looks on the wire.
mod wire;

/// Time, and what a process has used of it.
mod time;

/// The three servers.
mod server;

/// The peers.
mod crowd;

/// Child processes that are told what to do, a line at a time.
mod process;

/// What is asked of the benchmark.
mod options;

/// What was measured in several rounds, as one number and its spread.
mod sample;

/// A server and its peers, and a round of publishing.
mod contestant;

/// The contests: all servers, round by round, in every order.
mod contest;

/// What was measured, as tables.
mod report;

use std::process::ExitCode;

/// Runs the benchmark, or as a child of it a server or its peers, as the arguments say.
///
/// Fails if any peer misses a message, gets one twice or gets a wrong byte.
pub fn publish(arguments: impl Iterator<Item = String>) -> ExitCode {
    match run(&arguments.collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("publish: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// What went wrong, as text to read.
type Fault = Box<dyn std::error::Error>;

fn run(arguments: &[String]) -> Result<(), Fault> {
    match arguments {
        [role, rest @ ..] if role == process::SERVER => process::serve(rest),
        [role, rest @ ..] if role == process::CROWD => process::gather(rest),
        _ => match options::BenchOptions::read(arguments)? {
            Some(options) => contest::hold(&options),
            None => {
                print!("{}", options::HELP);
                Ok(())
            }
        },
    }
}
