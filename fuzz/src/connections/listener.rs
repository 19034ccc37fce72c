//! A hold beside the peer's own connection, in whose name the peer may speak: it brings its token, reads all that it
//! is sent, and says nothing.

use std::net::SocketAddr;
use std::time::Duration;

use abeyance::memory::Dialer;
use abeyance::{HoldId, Hub, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::PATIENCE;
use super::answers::answers;
use super::log::Log;
use super::requests::{SentRequest, sent_requests};
use super::script::request;
use super::{client_post, wire};

/// Held until it ends, and sent nothing but what it is told.
const HOW: &str = "quiet";

pub(super) struct Listener {
    pub(super) id: HoldId,
    /// As the application knows it. What the answer said is compared with it.
    pub(super) token: String,
    pub(super) transport: Transport,
    hearing: JoinHandle<Vec<u8>>,
}

impl Listener {
    /// One that is held by now, and leaves after `stay` if that comes before its end.
    pub(super) async fn begin(transport: Transport, stay: Duration, dialer: &Dialer, log: &Log) -> Listener {
        let before = log.begun();
        let mut stream = dialer.connect(SocketAddr::from(([10, 0, 0, 3], 1))).expect("the server listens");
        stream.write_all(request(transport, HOW).as_bytes()).await.expect("the server reads");
        let hearing = tokio::spawn(async move {
            let mut heard = Vec::new();
            let _ = timeout(stay, stream.read_to_end(&mut heard)).await;
            heard
        });
        let begun = async {
            while log.begun() == before {
                sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(timeout(PATIENCE, begun).await.is_ok(), "a good request is not held");
        let (id, token) = log.latest().expect("one has begun");
        Listener { id, token, transport, hearing }
    }

    /// The token of one that was held, and is no more.
    pub(super) async fn past(transport: Transport, dialer: &Dialer, log: &Log, hub: &Hub) -> String {
        let left = Listener::begin(transport, Duration::from_millis(1), dialer, log).await;
        let over = async {
            while hub.stats().held + hub.stats().ending > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(timeout(PATIENCE, over).await.is_ok(), "it left, and is held");
        left.token
    }

    /// Whether a request speaks for it. Only who cannot speak on its own connection is spoken for.
    pub(super) fn is_spoken_for_by(&self, request: &SentRequest) -> bool {
        is_one_way(self.transport) && request.is_by(&self.token)
    }

    /// Checks what it was written, when it has ended or left.
    pub(super) async fn check(self, log: &Log) {
        let Listener { id, token, transport, hearing } = self;
        let heard = hearing.await.expect("it only reads");
        let answers = answers(&sent_requests(request(transport, HOW).as_bytes()), &heard);
        let answer = answers.first();
        answer.into_iter().for_each(wire::check);
        let told = answer.and_then(|answer| answer.token.as_ref());
        assert_eq!(told, is_one_way(transport).then_some(&token), "told with which token to speak");
        if let Some(answer) = answer.filter(|_| is_one_way(transport)) {
            let over = log.over(id).expect("everybody's end was told");
            client_post::check_echoes(transport, answer, &over, &log.heard(id));
        }
    }
}

fn is_one_way(transport: Transport) -> bool {
    matches!(transport, Transport::Sse | Transport::Stream)
}
