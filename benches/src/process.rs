//! A server or its peers in a process of its own, which is told what to do, and answers, a line at a time.

use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::Fault;
use crate::crowd::Crowd;
use crate::server::Kind;
use crate::time;
use crate::wire::{Batch, Wire};

/// The first argument of a process that serves; the others are the kind, the wire and the number of peers.
pub(crate) const SERVER: &str = "server";

/// The first argument of a process of peers; the others are those of its server, and the server's address.
pub(crate) const CROWD: &str = "crowd";

/// How long peers wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long peers listen for what must not come.
const REST: Duration = Duration::from_millis(100);

/// A child process, killed when it is dropped.
pub(crate) struct Child {
    child: std::process::Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Child {
    /// Starts this program as something else.
    pub(crate) fn start(role: &str, arguments: &[&dyn Display]) -> Result<Self, Fault> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(role).args(arguments.iter().map(ToString::to_string));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let to = child.stdin.take().expect("it was asked for");
        let from = BufReader::new(child.stdout.take().expect("it was asked for"));
        Ok(Child { child, to, from })
    }

    pub(crate) fn tell(&mut self, order: impl Display) -> Result<(), Fault> {
        // One write, so that it is read at once.
        self.to.write_all(format!("{order}\n").as_bytes())?;
        Ok(())
    }

    /// The next line it says.
    pub(crate) fn hear(&mut self) -> Result<String, Fault> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        match line.strip_suffix('\n') {
            Some(line) => Ok(line.to_owned()),
            None => Err(format!("a child process has failed: {}", self.child.wait()?).into()),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is a server: says its address, then answers `processor` with the nanoseconds it has used, and a batch, once it is
/// published, with the moment when that began and how many deliveries were accepted.
pub(crate) fn serve(arguments: &[String]) -> Result<(), Fault> {
    let [kind, wire, peers] = arguments else { return Err("expected a kind, a wire and a number".into()) };
    let (kind, wire, peers): (Kind, Wire, usize) = (kind.parse()?, wire.parse()?, peers.parse()?);
    raise_descriptors(peers)?;
    let mut server = kind.start(wire, peers)?;
    say(server.local_addr())?;
    for order in io::stdin().lock().lines() {
        let order = order?;
        if order == "processor" {
            say(time::processor().as_nanos())?;
            continue;
        }
        let batch: Batch = order.parse()?;
        let began = time::now();
        let accepted: usize = batch.texts().map(|text| server.publish(text)).sum();
        say(format_args!("{} {accepted}", began.as_nanos()))?;
    }
    Ok(())
}

/// Is the peers of a server: says when all are connected, then answers `rest` if nothing came, and a batch once when it
/// is ready and once more with the moment when all had it.
pub(crate) fn gather(arguments: &[String]) -> Result<(), Fault> {
    let [kind, wire, peers, server] = arguments else {
        return Err("expected a kind, a wire, a number and an address".into());
    };
    let (kind, wire, peers): (Kind, Wire, usize) = (kind.parse()?, wire.parse()?, peers.parse()?);
    let server: SocketAddr = server.parse()?;
    raise_descriptors(peers)?;
    let wrong = |wrong: String| format!("{kind}, {peers} {} peers: {wrong}", wire.as_str());
    let mut crowd = Crowd::gather(kind, wire, peers, server).map_err(|error| wrong(error.to_string()))?;
    say("ready")?;
    for order in io::stdin().lock().lines() {
        let order = order?;
        if order == "rest" {
            crowd.rest(REST).map_err(|fault| wrong(fault.to_string()))?;
            say("ready")?;
            continue;
        }
        let bytes = order.parse::<Batch>()?.bytes(wire);
        say("ready")?;
        let received = crowd.receive(&bytes, PATIENCE).map_err(|fault| wrong(fault.to_string()))?;
        say(received.as_nanos())?;
    }
    Ok(())
}

fn say(what: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{what}\n").as_bytes())?;
    out.flush()
}

/// Allows this process the sockets it needs.
fn raise_descriptors(peers: usize) -> Result<(), Fault> {
    // Beside the sockets: what tokio and mio need, what was inherited, and the 64 that abeyance sets aside.
    let needed = peers as u64 + 256;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if most < needed {
        return Err(
            format!("{peers} peers need {needed} open files, and this process may have {most}").into()
        );
    }
    // Not the utmost: where there is no limit, some systems refuse it.
    setrlimit(Resource::RLIMIT_NOFILE, needed, most)?;
    Ok(())
}
