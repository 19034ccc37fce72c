//! The server's audits of itself, over real sockets.

#![cfg(target_os = "linux")]

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::scope;
use std::time::Duration;

use abeyance::{Server, Suspend, suspend};
use abeyance_tests::net::{Peer, TRANSPORTS, eventually};
use tokio::runtime::Runtime;
use tokio::time::sleep;

#[suspend(path = "/hold")]
async fn hold() -> Suspend {
    Suspend::new()
}

#[test]
fn an_audit_finds_what_is_there() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::new().mount(hold).bind("127.0.0.1:0")).unwrap();
    let hub = server.hub();
    assert_eq!(hub.audit(), None, "the first comes after a minute");
    let mut peers: Vec<_> =
        TRANSPORTS.iter().map(|transport| Peer::hold(server.local_addr(), "/hold", *transport)).collect();
    // It is a connection, and no hold.
    peers.push(Peer::connect(server.local_addr()));
    eventually("all to be held", || hub.held_count() == TRANSPORTS.len());
    let audit = eventually_audited(&runtime, &server, TRANSPORTS.len() + 1);
    assert_eq!((audit.holds, audit.open, audit.is_clean()), (TRANSPORTS.len(), audit.connections, true));
    assert!(hub.audit().is_some_and(|last| last.connections == audit.connections));
    drop(peers);
    let audit = eventually_audited(&runtime, &server, 0);
    assert_eq!((audit.holds, audit.open, audit.is_clean()), (0, 0, true));
    runtime.block_on(server.shutdown());
}

fn eventually_audited(
    runtime: &Runtime,
    server: &abeyance::ServerHandle,
    connections: usize,
) -> abeyance::Audit {
    let mut last = None;
    eventually("the connections", || {
        last = runtime.block_on(server.audit());
        last.as_ref().is_some_and(|audit| audit.connections == connections && audit.open == connections)
    });
    last.expect("an audit")
}

#[tokio::test(start_paused = true)]
async fn the_server_audits_itself_every_minute() {
    let server = Server::new().mount(hold).bind("127.0.0.1:0").await.unwrap();
    let hub = server.hub();
    for _ in 0..3 {
        sleep(Duration::from_secs(62)).await;
        let audit = hub.audit().expect("an audit");
        assert!(audit.ago < Duration::from_secs(61) && audit.is_clean(), "{audit:?}");
    }
    server.shutdown().await;
    let last = hub.audit();
    sleep(Duration::from_secs(300)).await;
    assert!(hub.audit().map(|audit| audit.ago) > last.map(|audit| audit.ago + Duration::from_secs(299)));
}

/// Connections come and go all the time, and each look takes a while.
#[test]
fn coming_and_going_raises_no_alarm() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::new().mount(hold).bind("127.0.0.1:0")).unwrap();
    let addr = server.local_addr();
    let standing: Vec<_> =
        (0..200).map(|turn| Peer::hold(addr, "/hold", TRANSPORTS[turn % 4]).idle()).collect();
    let over = AtomicBool::new(false);
    scope(|scope| {
        for transport in TRANSPORTS {
            let over = &over;
            scope.spawn(move || {
                let mut turn = 0;
                while !over.load(Relaxed) {
                    let peer = Peer::hold(addr, "/hold", transport);
                    turn += 1;
                    if turn % 3 == 0 {
                        peer.reset();
                    }
                }
            });
        }
        let alarm = (0..30)
            .map(|_| runtime.block_on(server.audit()).expect("procfs"))
            .find(|audit| !audit.is_clean());
        over.store(true, Relaxed);
        assert_eq!(alarm, None);
    });
    drop(standing);
    eventually_audited(&runtime, &server, 0);
    let drained = runtime.block_on(server.shutdown());
    assert!(drained.took < Duration::from_secs(10));
}
