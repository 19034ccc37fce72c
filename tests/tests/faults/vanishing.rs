//! What vanishing is, and third-party clients.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;

use abeyance::Transport;
use abeyance_tests::net::{Child, Network, TEST_TIMEOUT, TRANSPORTS, descriptors, eventually};
use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::application::Application;
use super::axes::State;
use super::host_network::HostNetwork;
use super::{VANISHING, alone, network, seconds};

/// What `ss` says of a server's connection to a host.
fn seen(network: &Network, host: Ipv4Addr) -> String {
    let look = move || Command::new("ss").args(["-tinH", &format!("dst {host}")]).output();
    String::from_utf8_lossy(&network.at_server(look).expect("ss").stdout).into_owned()
}

/// How many ICMP messages a network has received and sent.
fn icmp() -> Vec<String> {
    let counts = std::fs::read_to_string("/proc/thread-self/net/snmp").expect("procfs");
    let lines: Vec<Vec<_>> = counts
        .lines()
        .filter(|line| line.starts_with("Icmp: "))
        .map(|line| line.split(' ').collect())
        .collect();
    let columns = lines[0].iter().zip(&lines[1]);
    columns
        .filter(|(name, _)| matches!(**name, "InMsgs" | "OutMsgs"))
        .map(|(_, count)| count.to_string())
        .collect()
}

#[test]
fn what_is_written_to_a_vanished_host_is_retransmitted_without_an_error() {
    let _alone = alone();
    let Some(network) = network() else { return };
    let listener = network.listen().expect("a port");
    let host = network.arrive().expect("a host");
    let mut peer =
        network.connect(host, listener.local_addr().expect("an address"), None).expect("a connection");
    let (mut server, from) = listener.accept().expect("a connection");
    assert_eq!(from.ip(), host);
    server.write_all(b"before").expect("an open socket");
    assert_eq!(peer.read_until(b"before"), b"before");

    network.vanish(&[host]).expect("an address that was there");
    server.write_all(b"after").expect("an open socket");
    peer.send("nothing of this arrives");
    // Twice again at least, each time after twice as long.
    eventually("retransmissions", || {
        let seen = seen(&network, host);
        seen.split_whitespace().any(|word| word.strip_prefix("backoff:").is_some_and(|count| count != "1"))
    });
    let seen = seen(&network, host);
    assert!(seen.starts_with("ESTAB"), "{seen}");
    server.set_nonblocking(true).expect("a socket");
    assert_eq!(
        server.read(&mut [0]).map_err(|error| error.kind()),
        Err(ErrorKind::WouldBlock),
        "no FIN, no RST, no error"
    );
    assert_eq!(peer.received(), 6);
    assert_eq!(network.at_server(icmp), ["0", "0"]);
    assert_eq!(network.at_hosts(icmp), ["0", "0"]);
}

/// A third-party client.
enum Client {
    Curl(Child),
    Tungstenite {
        reader: JoinHandle<WebSocketStream<TcpStream>>,
        freeze: Arc<Notify>,
    },
    /// Its application does nothing any more.
    Frozen(#[expect(dead_code, reason = "only to be there")] Box<WebSocketStream<TcpStream>>),
}

/// What happens to one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Its process is killed.
    Killed,
    /// Its process is stopped; its kernel goes on.
    Frozen,
    Vanished,
}

impl Client {
    fn start(
        network: &Network,
        runtime: &Runtime,
        server: SocketAddr,
        host: Ipv4Addr,
        transport: Transport,
    ) -> Self {
        let url = format!("{server}/{}?transport={}", State::Idle.name(), transport.as_str());
        if transport != Transport::WebSocket {
            let start = move || {
                let mut curl = Command::new("curl");
                let curl = curl.args(["-sN", "--output", "/dev/null", "--interface", &host.to_string()]);
                Child::start(curl.arg(format!("http://{url}")))
            };
            return Client::Curl(network.at_hosts(start));
        }
        let stream = network.connect(host, server, None).expect("a connection").idle();
        stream.set_nonblocking(true).expect("a socket");
        let freeze = Arc::new(Notify::new());
        let frozen = freeze.clone();
        let reader = runtime.spawn(async move {
            let stream = TcpStream::from_std(stream).expect("a socket");
            let (mut socket, _) = client_async(format!("ws://{url}"), stream).await.expect("a WebSocket");
            loop {
                // Reading answers pings.
                tokio::select! {
                    message = socket.next() => if message.is_none_or(|message| message.is_err()) { return socket },
                    () = frozen.notified() => return socket,
                }
            }
        });
        Client::Tungstenite { reader, freeze }
    }

    /// Makes it happen; returns what is left of the client.
    fn suffer(self, fate: Fate, runtime: &Runtime) -> Option<Client> {
        match (fate, self) {
            (Fate::Killed, Client::Tungstenite { reader, freeze }) => {
                freeze.notify_one();
                drop(runtime.block_on(reader).expect("a reader"));
                None
            }
            // A child is killed when it is dropped.
            (Fate::Killed, _) => None,
            (Fate::Frozen, Client::Tungstenite { reader, freeze }) => {
                freeze.notify_one();
                Some(Client::Frozen(Box::new(runtime.block_on(reader).expect("a reader"))))
            }
            (Fate::Frozen, Client::Curl(child)) => {
                child.signal("STOP");
                Some(Client::Curl(child))
            }
            (_, client) => Some(client),
        }
    }
}

#[test]
fn a_third_party_client_is_held_while_it_is_alive_and_then_ended_for_the_true_cause() {
    let _alone = alone();
    let Some(network) = network() else { return };
    let hosts = HostNetwork::Network(Box::new(network));
    let HostNetwork::Network(network) = &hosts else { unreachable!() };
    let (server, application) = Application::start(VANISHING, &hosts);
    let runtime = Runtime::new().expect("a runtime");
    let open = descriptors();
    let mut clients = Vec::new();
    for fate in [Fate::Killed, Fate::Frozen, Fate::Vanished] {
        for transport in TRANSPORTS {
            let host = hosts.host();
            let client = Client::start(network, &runtime, application.addr, host, transport);
            clients.push((fate, transport, host, Some(client)));
        }
    }
    let well = VANISHING.max_idle + seconds(1);
    eventually("clients that are held for longer than max_idle", || {
        let listed = application.hub.list();
        listed.len() == clients.len() && listed.iter().all(|hold| hold.held_for >= well)
    });
    let vanished: Vec<_> = clients.iter().filter(|(fate, ..)| *fate == Fate::Vanished).collect();
    let vanished: Vec<_> = vanished.into_iter().map(|(_, _, host, _)| *host).collect();
    hosts.vanish(&vanished);
    for (fate, _, _, client) in &mut clients {
        *client = client.take().and_then(|client| client.suffer(*fate, &runtime));
    }
    let ends_with = |host: Ipv4Addr, allowed: &[&str], who: &str| {
        let end =
            application.log.wait(host.into(), TEST_TIMEOUT, |calls| Some(calls.ends.first()?.end.as_str()));
        assert!(end.is_some_and(|end| allowed.contains(&end)), "{who}: {end:?}");
        assert_eq!(application.calls(host).ends.len(), 1, "{who}");
    };
    let mut frozen = Vec::new();
    for (fate, transport, host, client) in clients {
        let who = format!("{fate:?} {transport:?}");
        match (fate, transport) {
            // An RST where its kernel had bytes that it had not read.
            (Fate::Killed, _) => ends_with(host, &["gone", "reset"], &who),
            // Its kernel does not pong, but answers.
            (Fate::Vanished, _) | (Fate::Frozen, Transport::WebSocket) => ends_with(host, &["idle"], &who),
            (Fate::Frozen, _) => frozen.push((host, client, who)),
        }
    }
    let frozen_for = |span| application.hub.list().iter().all(|hold| hold.held_for >= well + span);
    eventually("clients that are frozen for longer than max_idle", || {
        frozen_for(VANISHING.max_idle + seconds(2))
    });
    assert_eq!(application.hub.held_count(), frozen.len(), "their kernels answer");
    for (host, client, who) in frozen {
        drop(client);
        ends_with(host, &["gone", "reset"], &who);
    }
    eventually("no descriptor for any client", || hosts.attached(application.addr).is_empty());
    server.until_quiet();
    drop(runtime);
    eventually("the descriptors of before", || descriptors() <= open);
}
