//! The main entry: what `#[abeyance::main]` calls.

use std::fmt;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

use super::builder::Server;
use super::handle::{DrainReport, ServerHandle};
use super::signals::Signals;
use super::socket_activation::handed_over;
use super::stuck_runtime::StuckRuntime;
use crate::settings::ServerOptions;
use abeyance_settings::endpoint::WhenFull;

/// What was written in `#[abeyance::main]`.
#[derive(Clone, Copy, Debug)]
pub struct Main {
    /// Where to listen.
    pub listen: Option<&'static str>,
    /// How many holds there may be.
    pub max_suspended: Option<usize>,
    /// How many of one peer.
    pub max_per_peer: Option<usize>,
    /// What happens to a newcomer beyond that.
    pub when_full: Option<WhenFull>,
    /// How long a shutdown may take.
    pub drain: Option<Duration>,
}

/// What the body of `#[abeyance::main]` may return.
#[diagnostic::on_unimplemented(
    message = "the body of `#[abeyance::main]` cannot return `{Self}`",
    label = "expected `()`, `Server` or a `Result` of these",
    note = "an error implements `Debug`, as `Box<dyn std::error::Error>` does"
)]
pub trait MainOutput {
    /// The server to run, or what went wrong.
    ///
    /// # Errors
    /// The error, as text.
    fn server(self) -> Result<Server, String>;
}

impl MainOutput for () {
    fn server(self) -> Result<Server, String> {
        Ok(Server::new())
    }
}

impl MainOutput for Server {
    fn server(self) -> Result<Server, String> {
        Ok(self)
    }
}

impl<E: fmt::Debug + 'static> MainOutput for Result<(), E> {
    fn server(self) -> Result<Server, String> {
        self.map(|()| Server::new()).map_err(|fault| format!("{fault:?}"))
    }
}

impl<E: fmt::Debug + 'static> MainOutput for Result<Server, E> {
    fn server(self) -> Result<Server, String> {
        self.map_err(|fault| format!("{fault:?}"))
    }
}

/// Runs the body of `main`, then the server, until a signal; a second signal stops at once.
pub fn main<F, R>(body: F, settings: Main) -> ExitCode
where
    F: FnOnce() -> R,
    R: Future<Output: MainOutput>,
{
    // Before the runtime has threads.
    let handed = handed_over();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let stuck = StuckRuntime::of(builder.enable_all());
    let runtime = match builder.build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start the runtime: {error}")),
    };
    stuck.start(runtime.handle().clone());
    let code = runtime.block_on(async {
        match serve(body().await, settings, handed).await {
            Ok(code) => code,
            Err(fault) => failed(&fault),
        }
    });
    // Tasks of the application that block a thread must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

async fn serve(
    output: impl MainOutput,
    settings: Main,
    handed: Result<Option<TcpListener>, String>,
) -> Result<ExitCode, String> {
    let handed = handed?;
    let origin = if handed.is_some() { " (the service manager's socket)" } else { "" };
    let server = output.server()?.mount_all();
    // Before anything is served, so that no signal is missed.
    let mut signals = Signals::new().map_err(|error| format!("cannot listen for signals: {error}"))?;
    let running = server.start(settings.into(), handed).await.map_err(|error| error.to_string())?;
    report(&running, origin);
    let name = signals.next().await.0;
    say(&format!("abeyance: {name}: stopping"));
    let mut again = None;
    let drained = running.shutdown_until(async { again = Some(signals.next().await) }).await;
    let (said, code) = match again {
        Some((name, code)) => (format!("{name} again: stopped at once"), ExitCode::from(code)),
        None => {
            let code = if drained.after_drain_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            (format!("stopped after {:.1?}", drained.took), code)
        }
    };
    let DrainReport { holds_cut: holds, connections_cut: connections, hooks_unfinished: hooks, .. } = drained;
    let mut text = format!("abeyance: {said}; cut {holds} holds, {connections} connections");
    if hooks > 0 {
        text.push_str(&format!("; {hooks} end hooks had not returned"));
    }
    if drained.after_drain_failed {
        text.push_str("; what was to be done after the drain failed");
    }
    say(&text);
    Ok(code)
}

impl From<Main> for ServerOptions {
    fn from(main: Main) -> Self {
        ServerOptions {
            listen: main.listen.map(String::from),
            max_suspended: main.max_suspended,
            max_per_peer: main.max_per_peer,
            when_full: main.when_full,
            drain: main.drain,
            ..ServerOptions::default()
        }
    }
}

/// Says what runs, once: in the log if there is one that takes it, or else on stderr.
fn report(running: &ServerHandle, origin: &str) {
    const NO_FUNCTION: &str =
        "no `#[suspend]` function was found; if yours is in another crate: `use that_crate as _;`";
    // A crate that nothing names is silently not linked.
    let is_empty = running.lines().is_empty();
    if tracing::enabled!(tracing::Level::INFO) {
        if !origin.is_empty() {
            tracing::info!("listening on the service manager's socket");
        }
        running.log();
        if is_empty {
            tracing::warn!("{NO_FUNCTION}");
        }
        return;
    }
    let mut text = format!("abeyance: listening on http://{}{origin}", running.local_addr());
    if is_empty {
        text.push_str("\n  ");
        text.push_str(NO_FUNCTION);
    }
    for line in running.lines().into_iter().chain(running.bounds()) {
        text.push_str("\n  ");
        text.push_str(&line);
    }
    if !tracing::dispatcher::has_been_set() {
        text.push_str("\n  no `tracing` subscriber is set: ends and errors are logged nowhere");
    }
    say(&text);
}

fn failed(fault: &str) -> ExitCode {
    say(&fault.lines().map(|line| format!("error: {line}")).collect::<Vec<_>>().join("\n"));
    ExitCode::FAILURE
}

/// Writes to stderr; a closed stderr is no reason to stop (and `eprintln!` would panic).
fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
