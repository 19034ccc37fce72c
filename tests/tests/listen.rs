//! Where a server listens that is started without `#[abeyance::main]`: the arguments of `bind` decide.

use std::process::Command;

use abeyance::Server;
use abeyance_tests::log::Log;

/// Not a test: the process that the tests start, since a process must not change its own environment.
#[test]
#[ignore = "is started by the other tests"]
fn child() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = Log::listen();
        let bound = Server::new().bind("127.0.0.1:0").await.unwrap();
        assert_eq!(bound.local_addr().ip().to_string(), "127.0.0.1");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let served = Server::new().serve(listener).unwrap();
        let said = Server::new().listen("127.0.0.1:1").bind("127.0.0.1:0").await.unwrap();
        for line in log.lines(&["WARN"]) {
            println!("{line}");
        }
        for running in [bound, served, said] {
            running.shutdown().await;
        }
    });
}

fn warnings(variable: Option<&str>) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().expect("the tests are a program"));
    command.args(["--ignored", "--exact", "child", "--nocapture"]).env_remove("ABEYANCE_LISTEN");
    if let Some(value) = variable {
        command.env("ABEYANCE_LISTEN", value);
    }
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    said.lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect()
}

#[test]
fn an_address_that_has_no_effect_is_warned_of() {
    let of = |warnings: &[String], words: [&str; 2]| {
        warnings.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
    };
    let said = warnings(Some("0.0.0.0:80"));
    assert_eq!(said.len(), 4, "{said:?}");
    assert_eq!(of(&said, ["`ABEYANCE_LISTEN` has no effect", "`Server::bind`"]), 2);
    assert_eq!(of(&said, ["`ABEYANCE_LISTEN` has no effect", "`Server::serve`"]), 1);
    assert_eq!(of(&said, ["`Server::listen` has no effect", "`Server::bind`"]), 1);
    assert_eq!(warnings(None).len(), 1);
}
