//! Ends that come while a hook awaits: the hook runs to its end, then the messages before the end, then the end hook.

use abeyance::Transport;
use abeyance_tests::net::{LASTING, Peer, TRANSPORTS, TcpTestServer, eventually, frame};

use super::application::{self, HookLog, all_handled};

/// A client that sent three messages: the hook of the first waits at the gate, the other two wait for it.
struct BlockedClient {
    peer: Peer,
    name: String,
    transport: Transport,
    path: String,
    token: String,
}

impl BlockedClient {
    fn new(server: &TcpTestServer, hooks: &HookLog, endpoint: &str, transport: Transport) -> Self {
        let name = format!("{endpoint} {}", transport.as_str()).replace(' ', "-");
        let path = format!("/{endpoint}/{name}");
        let mut peer = Peer::connect(server.addr).nodelay();
        peer.ask(&path, transport);
        let head = peer.head();
        let token = head.header("abeyance-hold").unwrap_or_default().to_owned();
        hooks.gates().suspend.add_permits(1);
        hooks.wait(&name, "suspended");
        let mut client = BlockedClient { peer, name, transport, path, token };
        for number in 0..3 {
            client.say(server, number);
        }
        hooks.wait(&client.name, "begin 0");
        client
    }

    fn say(&mut self, server: &TcpTestServer, number: usize) {
        let text = number.to_string();
        if self.transport == Transport::WebSocket {
            return self.peer.send(frame(0x81, text.as_bytes()));
        }
        let mut speaker = Peer::connect(server.addr);
        let (path, token) = (&self.path, &self.token);
        speaker.send(format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nAbeyance-Hold: {token}\r\nContent-Length: 1\r\n\r\n{text}"
        ));
        assert_eq!(speaker.answer().status, 202);
    }
}

/// Opens the gate once the end has begun; returns what the hooks did.
fn go_on(server: &TcpTestServer, hooks: &HookLog, name: &str) -> Vec<String> {
    eventually("an end that has begun", || server.hub.stats().held == 0);
    assert_eq!(
        hooks.of(name).last().map(String::as_str),
        Some("begin 0"),
        "nothing happens before the hook is done"
    );
    hooks.gates().message.add_permits(3);
    hooks.whole(name)
}

#[test]
fn every_message_of_a_peer_that_leaves_is_handled() {
    for transport in LASTING {
        let hooks = HookLog::gated();
        let server = TcpTestServer::start(application::server(&hooks));
        let client = BlockedClient::new(&server, &hooks, "hold", transport);
        client.peer.fin();
        assert_eq!(go_on(&server, &hooks, &client.name), all_handled(3, "gone"), "{transport:?}");
        drop(client);
        server.until_quiet();
    }
}

#[test]
fn a_timeout_or_the_end_of_a_lifetime_waits_for_the_hook_and_for_the_messages_before_it() {
    for (endpoint, end) in [("brief", "timeout"), ("aged", "lifetime")] {
        for transport in LASTING {
            let hooks = HookLog::gated();
            let server = TcpTestServer::start(application::server(&hooks));
            let client = BlockedClient::new(&server, &hooks, endpoint, transport);
            assert_eq!(go_on(&server, &hooks, &client.name), all_handled(3, end), "{transport:?}");
            drop(client);
            server.until_quiet();
        }
    }
}

#[test]
fn every_message_of_an_evicted_hold_is_handled_though_its_place_is_taken() {
    for transport in LASTING {
        let hooks = HookLog::gated();
        let server = TcpTestServer::start(application::server(&hooks));
        let client = BlockedClient::new(&server, &hooks, "evicting", transport);
        hooks.gates().suspend.add_permits(1);
        // Refused while the oldest is younger than a second.
        let mut newcomer = None;
        eventually("a newcomer that is let in", || {
            let mut peer = Peer::connect(server.addr);
            peer.ask("/evicting/newcomer", Transport::Sse);
            let is_in = peer.head().status == 200;
            newcomer = is_in.then_some(peer);
            is_in
        });
        assert_eq!(server.hub.held_count(), 1);
        assert_eq!(hooks.of(&client.name).last().map(String::as_str), Some("begin 0"));
        hooks.gates().message.add_permits(3);
        assert_eq!(hooks.whole(&client.name), all_handled(3, "evicted"), "{transport:?}");
        drop((newcomer, client));
        server.until_quiet();
    }
}

#[test]
fn a_resume_by_the_application_waits_for_the_hook_and_for_the_messages_before_it() {
    for transport in LASTING {
        let hooks = HookLog::gated();
        let server = TcpTestServer::start(application::server(&hooks));
        let client = BlockedClient::new(&server, &hooks, "hold", transport);
        server.hub.list().iter().for_each(|hold| assert!(server.hub.resume(hold.id)));
        assert_eq!(go_on(&server, &hooks, &client.name), all_handled(3, "released"), "{transport:?}");
        drop(client);
        server.until_quiet();
    }
}

#[test]
fn a_kick_or_a_reset_lets_the_hook_finish_and_counts_what_was_not_begun() {
    for transport in LASTING {
        for end in ["kicked", "reset"] {
            let hooks = HookLog::gated();
            let server = TcpTestServer::start(application::server(&hooks));
            let BlockedClient { peer, name, .. } = BlockedClient::new(&server, &hooks, "hold", transport);
            let mut peer = Some(peer);
            match end {
                "kicked" => {
                    server.hub.list().iter().for_each(|hold| assert!(server.hub.disconnect(hold.id, "out")));
                }
                _ => peer.take().expect("not reset yet").reset(),
            }
            let lines = go_on(&server, &hooks, &name);
            let wanted = ["suspend", "suspended", "begin 0", "done 0"].map(str::to_owned);
            let (told, hooks) = lines.split_last().expect("an end");
            assert_eq!(hooks, wanted, "{transport:?}");
            // An RST destroys what is unread in the socket, which cannot be counted.
            let is_destroyed = transport == Transport::WebSocket && end == "reset";
            let unheard: &[u32] = if is_destroyed { &[0, 1, 2] } else { &[2] };
            let allowed = unheard.iter().map(|count| format!("end {end}, {count} unheard"));
            assert!(allowed.into_iter().any(|line| line == *told), "{transport:?}: {told}");
            drop(peer);
            server.until_quiet();
        }
    }
}

#[test]
fn a_drain_waits_for_the_hook_and_for_the_messages_before_it() {
    for transport in LASTING {
        let hooks = HookLog::gated();
        let server =
            TcpTestServer::start(application::server(&hooks).drain(std::time::Duration::from_secs(30)));
        let hub = server.hub.clone();
        let BlockedClient { mut peer, name, .. } = BlockedClient::new(&server, &hooks, "hold", transport);
        server.stop_beside(|| {
            eventually("an end that has begun", || hub.stats().held == 0);
            assert_eq!(hooks.of(&name).last().map(String::as_str), Some("begin 0"));
            hooks.gates().message.add_permits(3);
            assert_eq!(hooks.whole(&name), all_handled(3, "drained"), "{transport:?}");
            peer.fin();
            peer.read_to_end();
        });
    }
}

#[test]
fn on_suspend_is_done_before_the_end_is_told_and_no_presence_is_negative() {
    for transport in TRANSPORTS {
        for cause in ["gone", "reset", "kicked", "released"] {
            let hooks = HookLog::gated();
            let server = TcpTestServer::start(application::server(&hooks));
            let mut asking = Peer::connect(server.addr);
            asking.ask("/hold/ann", transport);
            let mut peer = Some(asking);
            hooks.wait("ann", "suspend");
            let ids: Vec<_> = server.hub.list().iter().map(|hold| hold.id).collect();
            match cause {
                "gone" => peer.iter().for_each(Peer::fin),
                "reset" => peer.take().expect("not reset yet").reset(),
                "kicked" => ids.iter().for_each(|id| assert!(server.hub.disconnect(*id, "out"))),
                _ => ids.iter().for_each(|id| assert!(server.hub.resume(*id))),
            }
            eventually("an end that has begun", || server.hub.stats().held == 0);
            assert_eq!(hooks.of("ann"), ["suspend"], "{transport:?} {cause}");
            hooks.gates().suspend.add_permits(1);
            assert_eq!(hooks.whole("ann"), all_handled(0, cause), "{transport:?}");
            assert_eq!(hooks.presence(), (0, 0), "{transport:?} {cause}");
            drop(peer);
            server.until_quiet();
        }
    }
}
