//! Fetch: the CORS protocol, and where an `Origin` is one's own.

use abeyance::Server;
use abeyance_tests::test_server::{TestServer, test_server};

use super::answer;

fn server() -> TestServer {
    let origins = ["https://friend.example", "capacitor://localhost", "null"];
    test_server().hold(|hold| hold.reply("one")).server(move |server| server.allowed_origins(origins)).start()
}

async fn status(server: &TestServer, target: &str, fields: &[&str]) -> u16 {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    answer(server, format!("GET {target} HTTP/1.1\r\n{fields}\r\n")).await.head.status
}

#[tokio::test(start_paused = true)]
async fn section_3_2_an_origin_is_ones_own_by_scheme_and_host() {
    let server = server();
    for (target, fields, expected) in [
        ("/hold", &["host: a", "origin: http://a"][..], 200),
        ("/hold", &["host: a:443", "origin: https://a"], 200),
        ("/hold", &["host: A.example", "origin: https://a.EXAMPLE"], 200),
        ("/hold", &["host: a", "origin: http://b"], 403),
        ("/hold", &["host: a", "origin: http://a:8080"], 403),
        ("/hold", &["host: h", "origin: ://h"], 403),
        ("/hold", &["host: h", "origin: chrome-extension://h"], 403),
        ("/hold", &["host:", "origin: http://"], 403),
        ("/hold", &["host: a", "origin: http://a", "origin: http://a"], 403),
        ("/hold", &["host: a", "origin: http://a, http://b"], 403),
        ("/hold", &["host: a", "origin:"], 403),
        // The host of the target counts (RFC 9112 3.2.2).
        ("http://a/hold", &["host: b", "origin: http://a"], 200),
        ("http://a/hold", &["host: b", "origin: http://b"], 403),
        // Only a trusted proxy may say otherwise.
        ("/hold", &["host: a", "x-forwarded-host: b", "origin: http://b"], 403),
        ("/hold", &["host: a", "origin: capacitor://localhost"], 200),
        ("/hold", &["host: a", "origin: null"], 200),
        ("/hold", &["host: a", "origin: http://b", "sec-fetch-site: same-origin"], 200),
        ("/hold", &["host: a", "origin: http://b", "sec-fetch-site: same-site"], 403),
    ] {
        assert_eq!(status(&server, target, fields).await, expected, "{target} {fields:?}");
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn behind_a_trusted_proxy_the_first_forwarded_host_counts_however_it_is_written() {
    let set_up = |server: Server| server.trusted_proxies(["10.0.0.0/8"]);
    let server = test_server().hold(|hold| hold.reply("one")).server(set_up).start();
    for (forwarded, expected) in [
        (&["x-forwarded-host: a.example"][..], 200),
        (&["x-forwarded-host: a.example, inner"], 200),
        (&["x-forwarded-host: a.example", "x-forwarded-host: inner"], 200),
        (&["x-forwarded-host:", "x-forwarded-host: a.example"], 200),
        (&["x-forwarded-host: inner, a.example"], 403),
        (&["x-forwarded-host: inner", "x-forwarded-host: a.example"], 403),
        (&["x-forwarded-host:"], 403),
    ] {
        let fields = [&["host: inner", "origin: https://a.example"], forwarded].concat();
        assert_eq!(status(&server, "/hold", &fields).await, expected, "{forwarded:?}");
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_3_3_3_a_page_that_may_read_is_told_by_its_very_origin() {
    let server = server();
    for origin in ["https://friend.example", "capacitor://localhost", "null"] {
        let head =
            answer(&server, format!("GET /hold HTTP/1.1\r\nhost: a\r\norigin: {origin}\r\n\r\n")).await.head;
        assert_eq!(head.all("access-control-allow-origin"), [origin]);
        assert_eq!(head.get("access-control-allow-credentials"), Some("true"));
        // "CORS protocol and HTTP caches": what depends on the origin says so.
        assert!(head.get("vary").unwrap().contains("Origin"));
        let exposed = head.get("access-control-expose-headers").unwrap();
        assert!(["Abeyance-Hold", "Last-Event-ID", "Retry-After"].iter().all(|name| exposed.contains(name)));
    }
    let own = answer(&server, "GET /hold HTTP/1.1\r\nhost: a\r\norigin: http://a\r\n\r\n").await.head;
    assert_eq!(own.get("access-control-allow-origin"), None);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_3_3_5_where_all_may_read_none_brings_credentials() {
    let server =
        test_server().hold(|hold| hold.reply("one")).server(|server| server.allowed_origins(["*"])).start();
    let head = answer(&server, "GET /hold HTTP/1.1\r\nhost: a\r\norigin: https://b\r\n\r\n").await.head;
    assert_eq!(head.all("access-control-allow-origin"), ["*"]);
    assert_eq!(head.get("access-control-allow-credentials"), None);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn section_4_8_a_preflight_is_answered_with_what_the_page_may_send() {
    let set_up = |server: Server| server.allowed_origins(["https://b"]).allowed_headers(["X-CSRF-Token"]);
    let server = test_server().server(set_up).start();
    let preflight = "OPTIONS /hold HTTP/1.1\r\nhost: a\r\norigin: https://b\r\n\
                     access-control-request-method: DELETE\r\naccess-control-request-headers: x-csrf-token\r\n\r\n";
    let head = answer(&server, preflight).await.head;
    // An ok status, without redirection.
    assert_eq!(head.status, 204);
    assert_eq!(head.all("access-control-allow-origin"), ["https://b"]);
    let list = |name: &str| -> Vec<String> {
        head.get(name).unwrap().split(',').map(|item| item.trim().to_ascii_lowercase()).collect()
    };
    assert_eq!(list("access-control-allow-methods"), ["get", "post", "delete"]);
    for name in ["last-event-id", "abeyance-hold", "content-type", "authorization", "x-csrf-token"] {
        assert!(list("access-control-allow-headers").iter().any(|allowed| allowed == name), "{name}");
    }
    let stranger = preflight.replace("https://b", "https://c");
    let head = answer(&server, stranger).await.head;
    assert_eq!((head.status, head.get("access-control-allow-origin")), (403, None));
    server.close().await;
}
