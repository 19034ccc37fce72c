//! RFC 9112: HTTP/1.1.

use abeyance_tests::dice::Dice;

use super::{Rule, every_route, keep, told};

const PLAIN: &str = "GET /plain HTTP/1.1\r\nhost: a\r\n\r\n";

/// What must be refused, alone and behind another request: with it in one segment, and in one of its own.
const REFUSED: [(&str, &str, &str); 33] = [
    ("2.2", "a line ends with CR and LF: the first", "GET /plain HTTP/1.1\nhost: a\r\n\r\n"),
    ("2.2", "a line ends with CR and LF: a field's", "GET /plain HTTP/1.1\r\nhost: a\nx: y\r\n\r\n"),
    ("2.2", "a line ends with CR and LF: the last", "GET /plain HTTP/1.1\r\nhost: a\r\n\n"),
    ("2.2", "a line ends with CR and LF: one before the request", "\nGET /plain HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("2.2", "a line ends with CR and LF: a second before it", "\r\n\nGET /plain HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("2.2", "blank lines do not excuse what follows", "\r\nGET /plain HTTP/1.1\nhost: a\n\n"),
    ("2.2", "no CR stands alone", "GET /plain HTTP/1.1\r\nhost: a\r\nx: y\rz\r\n\r\n"),
    ("2.2", "no space before the first field", "GET /plain HTTP/1.1\r\n host: a\r\n\r\n"),
    ("2.3", "the version's name is in upper case", "GET /plain http/1.1\r\nhost: a\r\n\r\n"),
    ("2.3", "another major version is not spoken", "GET /plain HTTP/2.0\r\nhost: a\r\n\r\n"),
    ("3", "one space between the parts of the first line", "GET  /plain HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("3", "no tab for a space", "GET\t/plain HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("3.1", "a method is a token", "G(T /plain HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("3.2", "no space in the target", "GET /pl ain HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("3.2", "there is a `Host`", "GET /plain HTTP/1.1\r\n\r\n"),
    ("3.2", "there is one `Host`", "GET /plain HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n"),
    ("3.2", "`Host` is a host: no space", "GET /plain HTTP/1.1\r\nhost: a b\r\n\r\n"),
    ("3.2", "`Host` is a host: no user", "GET /plain HTTP/1.1\r\nhost: u@h\r\n\r\n"),
    ("3.2", "`Host` is a host: no path", "GET /hold HTTP/1.1\r\nhost: h/x\r\n\r\n"),
    ("3.2", "`Host` is a host: a whole address", "GET /hold HTTP/1.1\r\nhost: [::1\r\n\r\n"),
    ("3.2", "`Host` is a host: a port", "GET /hold HTTP/1.1\r\nhost: h:99999\r\n\r\n"),
    ("3.2", "`Host` is a host: no list", "GET /hold HTTP/1.1\r\nhost: a,b\r\n\r\n"),
    ("3.2", "`Host` is a host: ASCII", "GET /hold HTTP/1.1\r\nhost: \u{e4}\r\n\r\n"),
    (
        "3.2.2",
        "an absolute target has a host, and no user",
        "GET http://u@a/plain HTTP/1.1\r\nhost: a\r\n\r\n",
    ),
    ("3.2.3", "an authority is for `CONNECT` only", "GET a:80 HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("3.2.4", "an asterisk is for `OPTIONS` only", "GET * HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("5.1", "no space before a colon", "GET /plain HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n"),
    ("5.1", "a field has a name", "GET /plain HTTP/1.1\r\nhost: a\r\n: y\r\n\r\n"),
    ("5.2", "no folded line", "GET /plain HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n"),
    (
        "6.1",
        "of codings `chunked` is the last",
        "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n",
    ),
    (
        "6.1",
        "`chunked` is there once",
        "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n",
    ),
    ("6.3", "a length is a number", "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1x\r\n\r\n"),
    (
        "6.3",
        "there is one length",
        "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    ),
];

#[tokio::test(start_paused = true)]
async fn what_is_not_http_is_refused_and_nothing_behind_it_is_read() {
    let rules: Vec<_> =
        REFUSED.map(|(section, what, bytes)| (section, what, bytes.to_owned() + PLAIN)).into();
    let rules: Vec<Rule<'_>> = rules
        .iter()
        .map(|(section, what, bytes)| (*section, *what, bytes.as_str(), &[400][..], true))
        .collect();
    keep(&rules).await;
}

#[tokio::test(start_paused = true)]
async fn the_second_request_is_judged_as_the_first_is_however_it_comes() {
    let server = every_route().start();
    for before in [
        PLAIN,
        "GET /hold HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi",
        "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "POST /deaf HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi",
    ] {
        for (section, what, bytes) in REFUSED {
            let (answers, closed) = told(&server, [before, bytes, PLAIN].concat()).await;
            let told: Vec<_> = answers.iter().map(|answer| answer.head.status).collect();
            assert_eq!(
                (told.as_slice(), closed),
                (&[200, 400][..], true),
                "{section} ({what}) behind {before:?}"
            );
            // The first segment ends in the middle of the second head.
            let mut reader = server.dial();
            reader.write([before, &bytes[..1]].concat()).await;
            assert_eq!(reader.answer().await.unwrap().head.status, 200);
            reader.write([&bytes[1..], PLAIN].concat()).await;
            assert_eq!(
                reader.answer().await.unwrap().head.status,
                400,
                "{section} ({what}) behind {before:?}"
            );
            assert_eq!(reader.rest().await.0, b"", "{section} ({what}) behind {before:?}");
        }
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_http_is_served() {
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(8_000));
    keep(&[
        ("2.2", "empty lines before a request are passed over", "\r\n\r\nGET /plain HTTP/1.1\r\nhost: a\r\n\r\n", &[200], false),
        ("2.2", "also before the second", "GET /plain HTTP/1.1\r\nhost: a\r\n\r\n\r\nGET /plain HTTP/1.1\r\nhost: a\r\n\r\n", &[200, 200], false),
        ("2.3", "HTTP/1.0 is served, and needs no `Host`", "GET /plain HTTP/1.0\r\n\r\n", &[200], true),
        ("3", "a target of 8,000 bytes is read", &long, &[404], false),
        ("3.2", "an empty `Host` is one", "GET /plain HTTP/1.1\r\nhost:\r\n\r\n", &[200], false),
        ("3.2", "a host may be an address, and have a port", "GET /plain HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", &[200], false),
        ("3.2.2", "an absolute target is served", "GET http://a/plain HTTP/1.1\r\nhost: a\r\n\r\n", &[200], false),
        ("3.2.2", "and its path may be empty", "GET http://a HTTP/1.1\r\nhost: a\r\n\r\n", &[404], false),
        ("5", "names are in any case", "GET /plain HTTP/1.1\r\nHOST: a\r\n\r\n", &[200], false),
        ("5", "spaces around a value are none of it", "POST /echo HTTP/1.1\r\nhost:  a \t\r\ncontent-length: \t2 \r\n\r\nhi", &[200], false),
        ("5", "a value may have bytes over 127", "GET /plain HTTP/1.1\r\nhost: a\r\nx: \u{e4}\r\n\r\n", &[200], false),
        ("6.1", "`chunked` is in any case", "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n", &[200], false),
        ("6.3", "without a length there is no body", "POST /echo HTTP/1.1\r\nhost: a\r\n\r\nGET /plain HTTP/1.1\r\nhost: a\r\n\r\n", &[200, 200], false),
        ("7.1", "a size is in hexadecimal, in any case", "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nA\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", &[200], false),
        ("7.1.1", "extensions are passed over", "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2;x=\"y\"\r\nhi\r\n0;z\r\n\r\n", &[200], false),
        ("7.1.2", "trailers are read", "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n\r\nGET /plain HTTP/1.1\r\nhost: a\r\n\r\n", &[200, 200], false),
        ("9.3", "a connection is kept", "GET /plain HTTP/1.1\r\nhost: a\r\n\r\nGET /hold HTTP/1.1\r\nhost: a\r\n\r\nGET /plain HTTP/1.1\r\nhost: a\r\n\r\n", &[200, 200, 200], false),
        ("9.3.2", "requests that wait are answered in order", "GET /plain HTTP/1.1\r\nhost: a\r\n\r\nGET /x HTTP/1.1\r\nhost: a\r\n\r\nGET /plain HTTP/1.1\r\nhost: a\r\n\r\n", &[200, 404, 200], false),
        ("9.6", "after `close` nothing more is served", "GET /plain HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\nGET /plain HTTP/1.1\r\nhost: a\r\n\r\n", &[200], true),
        ("9.6", "`close` in a list, in any case, of a request that is held", "GET /hold HTTP/1.1\r\nhost: a\r\nconnection: x, CLOSE\r\n\r\nGET /plain HTTP/1.1\r\nhost: a\r\n\r\n", &[200], true),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_none_are_refused() {
    keep(&[
        ("6.1", "a length beside chunks: the chunks count, and it is the last request", "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nGET /plain HTTP/1.1\r\nhost: a\r\n\r\n", &[200], true),
        ("6.1", "HTTP/1.0 has no codings", "POST /echo HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", &[400], true),
        ("7.1", "a size is a number", "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nx\r\n\r\n", &[400], true),
        ("7.1", "a size is not without end", "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n10000000000000000\r\n", &[400], true),
        ("7.1", "a chunk ends where it says", "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhix\r\n0\r\n\r\n", &[400], true),
        ("7.1.2", "trailers have lines as heads have", "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\n\nGET /plain HTTP/1.1\r\nhost: a\r\n\r\n", &[400], true),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn rfc_9112_section_8_a_request_that_is_cut_is_not_served() {
    let server = every_route().start();
    for bytes in [
        "GET /plain HTTP/1.1\r\nhost: a\r\n",
        "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel",
    ] {
        let mut reader = server.dial();
        reader.write(bytes).await;
        tokio::io::AsyncWriteExt::shutdown(&mut reader.stream).await.unwrap();
        let (said, _) = reader.rest().await;
        let said = String::from_utf8_lossy(&said);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{said}");
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn rfc_9112_section_9_6_an_answer_before_the_body_says_that_it_is_the_last() {
    let server = every_route().start();
    let token = "0123456789abcdef0123456789abcdef";
    for first in [
        "POST /deaf HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n".to_owned(),
        "POST /nothing HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
        format!("POST /hold?hold={token} HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n"),
        format!("DELETE /hold?hold={token} HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n"),
        "POST /hold HTTP/1.1\r\nhost: a b\r\ncontent-length: 5\r\n\r\n".to_owned(),
    ] {
        let mut reader = server.dial();
        reader.write(&first).await;
        let answer = reader.answer().await.unwrap();
        assert!(!answer.head.is_kept(), "{first}{answer:?}");
        // The body comes later. The answer is not destroyed, and what it has is not taken for a request.
        reader.write("hello").await;
        assert_eq!(reader.rest().await, (Vec::new(), "FIN"), "{first}");
        // Together with its body it is an ordinary request.
        if !first.contains("chunked") && !first.contains("a b") {
            let (answers, closed) = told(&server, [&first, "hello", PLAIN].concat()).await;
            assert_eq!((answers.len(), closed), (2, false), "{first}{answers:?}");
        }
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn rfc_9112_section_3_and_5_what_is_too_long_is_told_so() {
    let server = every_route().start();
    let long = "x".repeat(70_000);
    for (request, statuses) in [
        (format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n"), [414, 431]),
        (format!("GET /plain HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"), [431, 431]),
        (format!("GET /plain HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(200)), [431, 431]),
    ] {
        let (answers, closed) = told(&server, request).await;
        assert!(closed && answers.len() == 1, "{answers:?}");
        let head = &answers[0].head;
        assert!(statuses.contains(&head.status), "{head:?}");
        assert_eq!((head.all("date").len(), head.is_kept()), (1, false), "{head:?}");
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn rfc_9112_section_9_3_2_requests_are_answered_in_order_however_they_are_torn() {
    let server = every_route().start();
    let requests = [
        (PLAIN.to_owned(), "plain"),
        ("\r\nGET /hold HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), "one"),
        (
            "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\na\n\nGET\r\nb".to_owned(),
            "a\n\nGET\r\nb",
        ),
        (
            "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
             3;x\r\nc\n\n\r\n02\r\n\r\n\r\n0\r\nx: y\r\n\r\n"
                .to_owned(),
            "c\n\n\r\n",
        ),
        (format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9000\r\n\r\n{}", "d\n".repeat(4500)), ""),
        ("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), ""),
        ("PUT /hold HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n".to_owned(), "put"),
    ];
    let large = "d\n".repeat(4500);
    let mut dice = Dice::new(9);
    for round in 0..100 {
        let asked: Vec<_> = (0..1 + dice.roll(8)).map(|_| &requests[dice.roll(requests.len())]).collect();
        let bytes: String = asked.iter().map(|(request, _)| request.as_str()).collect();
        let mut rest = bytes.as_bytes();
        let reader = server.dial();
        let (stream, mut writer) = tokio::io::split(reader.stream);
        let most = [9, 60, 5000, 100_000][dice.roll(4)];
        let write = async {
            while !rest.is_empty() {
                let count = (1 + dice.roll(most)).min(rest.len());
                tokio::io::AsyncWriteExt::write_all(&mut writer, &rest[..count]).await.unwrap();
                rest = &rest[count..];
                for _ in 0..dice.roll(4) {
                    tokio::task::yield_now().await;
                }
            }
        };
        let read = read_bodies(stream, asked.len());
        let ((), bodies) = tokio::join!(write, read);
        let expected: Vec<_> = asked
            .iter()
            .map(|(request, body)| if request.contains("9000") { large.as_str() } else { body })
            .collect();
        assert_eq!(bodies, expected, "round {round}: {bytes:?}");
    }
    server.close().await;
}

/// The bodies of so many answers, which all tell their length.
async fn read_bodies(mut stream: impl tokio::io::AsyncRead + Unpin, count: usize) -> Vec<String> {
    let (mut unread, mut bodies) = (Vec::new(), Vec::new());
    let mut buffer = [0; 4096];
    while bodies.len() < count {
        let head = unread.windows(4).position(|four| four == b"\r\n\r\n");
        let length = head.map(|end| {
            let head = String::from_utf8_lossy(&unread[..end]).to_ascii_lowercase();
            let length = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
            (end + 4, length.unwrap_or_else(|| panic!("no length: {head}")))
        });
        match length {
            Some((begin, length)) if unread.len() >= begin + length => {
                let rest: Vec<u8> = unread.split_off(begin + length);
                bodies.push(String::from_utf8(unread.split_off(begin)).unwrap());
                unread = rest;
            }
            _ => {
                let read = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await.unwrap();
                assert!(read > 0, "closed after {bodies:?}");
                unread.extend_from_slice(&buffer[..read]);
            }
        }
    }
    bodies
}
