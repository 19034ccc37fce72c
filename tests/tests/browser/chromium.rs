//! A headless Chromium for tests, driven over its debugging pipe: no port, no further crate than `serde_json`.
//!
//! Chromium reads commands on descriptor 3 and writes answers on descriptor 4, JSON with a zero byte after each.
//! `Command` cannot hand over such descriptors without unsafe code, so a shell renames our stdin and stdout.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use abeyance_tests::net::{found, skipped};
use serde_json::{Value, json};

const LAUNCH: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

const FLAGS: [&str; 10] = [
    "--remote-debugging-pipe",
    "--headless",
    "--no-sandbox",                // only calls of our own are opened, and tests may run as root
    "--ignore-certificate-errors", // our own proxy's certificate is self-signed
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

pub(crate) struct Browser {
    process: Child,
    commands: Option<ChildStdin>,
    answers: Receiver<Value>,
    last: u64,
    profile: PathBuf,
}

pub(crate) struct Page {
    session: String,
}

impl Browser {
    /// Starts Chromium; `None`, and a line that says so, where there is none.
    pub(crate) fn start() -> Option<Self> {
        let program = "chromium";
        if !found(program, "--version") {
            skipped("chromium is not installed");
            return None;
        }
        let thread = std::thread::current().id();
        let profile =
            std::env::temp_dir().join(format!("abeyance-browser-{}-{thread:?}", std::process::id()));
        let mut process = Command::new("sh")
            .args(["-c", LAUNCH, program])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let commands = process.stdin.take();
        let mut output = BufReader::new(process.stdout.take().expect("stdout is piped"));
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            while output.read_until(0, &mut bytes).is_ok_and(|read| read > 0) {
                bytes.pop();
                let Ok(answer) = serde_json::from_slice(&bytes) else { return };
                if sender.send(answer).is_err() {
                    return;
                }
                bytes.clear();
            }
        });
        Some(Browser { process, commands, answers, last: 0, profile })
    }

    /// A new tab at `url`.
    pub(crate) fn page(&mut self, url: &str) -> Page {
        let target = self.call(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call(None, "Target.attachToTarget", attach)["sessionId"]
            .as_str()
            .expect("a session")
            .to_owned();
        self.call(Some(&session), "Page.enable", json!({}));
        let page = Page { session };
        self.go(&page, url);
        page
    }

    /// Opens `url` in this tab.
    pub(crate) fn go(&mut self, page: &Page, url: &str) {
        let went = self.call(Some(&page.session), "Page.navigate", json!({ "url": url }));
        assert!(went["errorText"].is_null(), "{url}: {went}");
        // The new document is there when this is answered, but its scripts may not have run yet.
        self.wait_until(page, "document.readyState === 'complete'");
    }

    /// What `script` evaluates to in the page; a promise is awaited.
    pub(crate) fn evaluate(&mut self, page: &Page, script: &str) -> Value {
        let params = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
        let answer = self.call(Some(&page.session), "Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Waits until `script`, an expression, is true in the page. A real browser lives in real time.
    pub(crate) fn wait_until(&mut self, page: &Page, script: &str) {
        // Inside the page, so that a short-lived state is seen: at most 30 s, looked at every 10 ms.
        let look = json!(format!("return !!({script})"));
        let poll = format!(
            "new Promise(done => {{ const look = new Function({look}), end = performance.now() + 30000; \
             (function again() {{ let seen = false; try {{ seen = look(); }} catch {{}} \
             seen || performance.now() > end ? done(seen) : setTimeout(again, 10); }})(); }})"
        );
        let seen = self.evaluate(page, &poll);
        assert!(
            seen == true,
            "never: {script}; the page says {}",
            self.evaluate(page, "document.body.innerText")
        );
    }

    /// Closes the tab as a user would: `pagehide` runs.
    pub(crate) fn close(&mut self, page: Page) {
        self.call(Some(&page.session), "Page.close", json!({}));
    }

    fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut command = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.commands.as_mut().expect("open until dropped").write_all(&bytes).expect("chromium runs");
        loop {
            let answer = self.answers.recv_timeout(Duration::from_secs(60)).expect("chromium answers");
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium exits, with all its children, when the pipe closes; its answers then end as well.
        self.commands = None;
        while self.answers.recv_timeout(Duration::from_secs(5)).is_ok() {}
        _ = self.process.kill();
        _ = self.process.wait();
        _ = std::fs::remove_dir_all(&self.profile);
    }
}
