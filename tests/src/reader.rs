//! The client's side of HTTP, parsed strictly: malformed bytes fail the test.

use std::io;

use abeyance::memory::MemoryStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One connection, and the bytes that were read and not parsed.
#[derive(Debug)]
pub struct Reader {
    /// The connection.
    pub stream: MemoryStream,
    unread: Vec<u8>,
}

/// A status and headers.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The status code.
    pub status: u16,
    /// The fields, names in lower case, in the order they came.
    pub fields: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: String,
}

/// One step in a chunked body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Some bytes.
    Data(Vec<u8>),
    /// The last chunk.
    Last,
    /// The connection ended without one: `FIN`, or `RST`.
    Cut(&'static str),
}

impl Head {
    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// All values of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether the connection may be used again.
    pub fn is_kept(&self) -> bool {
        let said = self.get("connection").unwrap_or_default().to_ascii_lowercase();
        if self.version == "HTTP/1.1" { said != "close" } else { said == "keep-alive" }
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let mut status = lines.next().expect("a status line").splitn(3, ' ');
        let version = status.next().expect("a version").to_owned();
        assert!(matches!(version.as_str(), "HTTP/1.1" | "HTTP/1.0"), "{text:?}");
        let status = status.next().and_then(|code| code.parse().ok()).expect("a status code");
        let field = |line: &str| {
            let (name, value) = line.split_once(':').expect("a field");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Head { version, status, fields: lines.map(field).collect() }
    }
}

impl Reader {
    /// Reads from this connection.
    pub fn new(stream: MemoryStream) -> Self {
        Reader { stream, unread: Vec::new() }
    }

    /// Writes as it is.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("the server takes what is written");
    }

    /// Reads the head of an answer.
    pub async fn head(&mut self) -> io::Result<Head> {
        let text = self.line_of(b"\r\n\r\n").await?;
        Ok(Head::parse(&String::from_utf8(text).expect("a head is text")))
    }

    /// Reads an answer.
    pub async fn answer(&mut self) -> io::Result<Answer> {
        let head = self.head().await?;
        let body = self.body(&head).await?;
        Ok(Answer { head, body: String::from_utf8(body).expect("a body of text") })
    }

    /// Reads the rest of an answer whose head was read.
    pub async fn finish(&mut self, head: Head) -> Answer {
        let body = self.body(&head).await.expect("a body");
        Answer { head, body: String::from_utf8(body).expect("a body of text") }
    }

    async fn body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if matches!(head.status, 100..=199 | 204 | 304) {
            assert_eq!(head.get("content-length"), None, "a {} has no length", head.status);
            return Ok(Vec::new());
        }
        if let Some(length) = head.get("content-length") {
            return self.take(length.parse().expect("a length")).await;
        }
        let mut body = Vec::new();
        if head.get("transfer-encoding") == Some("chunked") {
            loop {
                match self.chunk().await {
                    Chunk::Data(bytes) => body.extend(bytes),
                    Chunk::Last => return Ok(body),
                    Chunk::Cut(how) => panic!("{how} in the middle of a body"),
                }
            }
        }
        while self.more().await? {}
        body.append(&mut self.unread);
        Ok(body)
    }

    /// Reads the next chunk.
    pub async fn chunk(&mut self) -> Chunk {
        let size = match self.line_of(b"\r\n").await {
            Ok(size) => size,
            Err(error) => return Chunk::Cut(how(&error)),
        };
        let size = usize::from_str_radix(std::str::from_utf8(&size).expect("a size"), 16).expect("a size");
        let bytes = match self.take(size + 2).await {
            Ok(mut bytes) => {
                assert_eq!(bytes.split_off(size), b"\r\n", "the end of a chunk");
                bytes
            }
            Err(error) => return Chunk::Cut(how(&error)),
        };
        if size == 0 { Chunk::Last } else { Chunk::Data(bytes) }
    }

    /// Reads to the end of the connection; returns the bytes, and `FIN` or `RST`.
    pub async fn rest(&mut self) -> (Vec<u8>, &'static str) {
        let ended = loop {
            match self.more().await {
                Ok(true) => {}
                Ok(false) => break "FIN",
                Err(error) => break how(&error),
            }
        };
        (std::mem::take(&mut self.unread), ended)
    }

    async fn line_of(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end) {
                let rest = self.unread.split_off(at + end.len());
                let mut line = std::mem::replace(&mut self.unread, rest);
                line.truncate(at);
                return Ok(line);
            }
            if !self.more().await? {
                assert!(self.unread.is_empty(), "cut in {:?}", String::from_utf8_lossy(&self.unread));
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < count {
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.unread.split_off(count);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    /// Reads once, and returns at most `most` bytes; none at the end of the connection.
    pub async fn some(&mut self, most: usize) -> io::Result<Vec<u8>> {
        if self.unread.is_empty() {
            self.more().await?;
        }
        let rest = self.unread.split_off(most.min(self.unread.len()));
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    /// Reads once; `false` at the end of the connection.
    pub async fn more(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).await?;
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }
}

fn how(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "FIN",
        io::ErrorKind::ConnectionReset => "RST",
        _ => panic!("{error}"),
    }
}
