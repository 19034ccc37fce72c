//! The chat example as a process of its own, to be stopped, killed and started again.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

pub(crate) struct ChatServer {
    process: Child,
    pub(crate) address: String,
}

impl ChatServer {
    /// Starts it on a free port, with these settings in its environment.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_at("127.0.0.1:0", settings)
    }

    pub(crate) fn start_at(address: &str, settings: &[(&str, &str)]) -> Self {
        let mut process = Command::new(program())
            .env("ABEYANCE_LISTEN", address)
            .envs(settings.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let mut lines = BufReader::new(process.stderr.take().expect("stderr is piped")).lines();
        let first = lines.next().expect("a line at start").expect("text");
        let address = first.split_once("http://").expect(&first).1.to_owned();
        // Read to its end, so that the server never waits for us; shown when a test fails.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        ChatServer { process, address }
    }

    pub(crate) fn url(&self, query: &str) -> String {
        format!("http://{}/?{query}", self.address)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.process.id())]).status();
        assert!(sent.expect("a shell").success());
        self.process.wait().expect("our own child")
    }

    /// Ends it without a word, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("our own child");
        self.process.wait().expect("our own child");
    }
}

impl Drop for ChatServer {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Where the example's program is: built as it stands now. (`cargo test` of the workspace has just done so, and this is
/// a look; `cargo test -p abeyance-tests` builds no examples of other packages.)
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        // The whole workspace: for one package alone other features would be chosen, and everything built anew.
        let output = Command::new(cargo)
            .args(["build", "--workspace", "--examples", "--message-format=json"])
            .args((!cfg!(debug_assertions)).then_some("--release"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "the examples do not build");
        let artifacts = output.stdout.split(|byte| *byte == b'\n').filter_map(|line| {
            serde_json::from_slice::<Value>(line).ok().filter(|artifact| artifact["target"]["name"] == "chat")
        });
        let mut programs =
            artifacts.filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
        programs.next().expect("the chat example is a program")
    })
}
