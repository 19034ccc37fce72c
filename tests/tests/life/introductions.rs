//! The peer and client addresses that annotated functions and handlers of the fallback get.

use std::net::SocketAddr;

use abeyance::extract::{ClientIp, State};
use abeyance::{Refusal, Server, Suspend, Transport, suspend};
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{QueryParams, TestEndpoint, TestServer, test_server};
use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};

type Peer = ConnectInfo<SocketAddr>;

async fn who(ConnectInfo(peer): Peer, ClientIp(client): ClientIp) -> String {
    format!("{peer} for {client}")
}

#[suspend(path = "/held")]
async fn held(
    State(endpoint): State<TestEndpoint>,
    ConnectInfo(peer): Peer,
    ClientIp(client): ClientIp,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(QueryParams::new()).await.map(|hold| hold.reply(format!("{peer} for {client}")))
}

fn open(introduce: impl FnOnce(Server) -> Server) -> TestServer {
    let app = Router::new().route("/who", get(who)).route("/held", post(who));
    let server = |server: Server| server.mount(held).fallback(app).trusted_proxies(["10.9.0.0/16"]);
    test_server().server(server).server(introduce).start()
}

fn connect_info(server: Server) -> Server {
    server.connect_info(ConnectInfo::<SocketAddr>)
}

#[tokio::test(start_paused = true)]
async fn a_handler_of_the_fallback_learns_its_peer_and_its_client() {
    let server = open(connect_info);
    for (address, forwarded, expected) in [
        ("10.0.0.1:7", "203.0.113.1", "10.0.0.1:7 for 10.0.0.1"),
        ("10.9.0.1:7", "203.0.113.1", "10.9.0.1:7 for 203.0.113.1"),
        ("10.9.0.1:7", "203.0.113.1, 10.9.0.2", "10.9.0.1:7 for 203.0.113.1"),
    ] {
        // A POST without a token at the path of a function is the fallback's.
        for first in ["GET /who", "POST /held"] {
            let stream = server.dialer.connect(address.parse().unwrap()).unwrap();
            let mut reader = abeyance_tests::reader::Reader::new(stream);
            let fields = format!("host: a\r\nx-forwarded-for: {forwarded}\r\ncontent-length: 0\r\n");
            reader.write(format!("{first} HTTP/1.1\r\n{fields}\r\n")).await;
            assert_eq!(reader.answer().await.unwrap().body, expected, "{first}");
        }
    }
    server.close().await;
}

contract!(an_annotated_function_learns_them_too of all);
async fn an_annotated_function_learns_them_too(transport: Transport) {
    let server = open(connect_info);
    let request = server.request(transport).path("/held").from([10, 9, 0, 1]);
    let mut client = request.field("x-forwarded-for", "203.0.113.1").hold().await;
    assert_eq!(client.message().await, "10.9.0.1:1 for 203.0.113.1");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn without_it_axum_says_that_there_is_none_and_a_function_says_so_at_start() {
    let app = Router::new().route("/who", get(who));
    let server = test_server().server(|server| server.fallback(app)).start();
    assert_eq!(server.ask("GET /who HTTP/1.1\r\nhost: a\r\n\r\n").await.head.status, 500);
    server.close().await;
    let fault = Server::new().mount(held).bind_memory().expect_err("a start error").to_string();
    assert!(
        fault.contains("ConnectInfo") && fault.contains("or give it with `Server::connect_info`"),
        "{fault}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_introduction_that_panics_is_a_server_error_and_the_server_lives_on() {
    let server = open(|server| server.connect_info(|_| -> Peer { panic!("on purpose") }));
    assert_eq!(server.ask("GET /who HTTP/1.1\r\nhost: a\r\n\r\n").await.head.status, 500);
    let answer = server.request(Transport::Sse).path("/held").refused().await;
    assert_eq!((answer.head.status, server.hub.held_count()), (500, 0));
    server.close().await;
}
