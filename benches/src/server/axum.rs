//! axum as its users write it: a broadcast channel, one receiver for each connection.
//!
//! Where users differ, the cheaper way is taken: one task a connection and no `split`, texts that are shared and not
//! copied, and no timer that keeps an SSE stream alive.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::broadcast::{Receiver, Sender};

use super::Server;
use crate::wire::Wire;

pub(super) struct Axum {
    addr: SocketAddr,
    news: Sender<Utf8Bytes>,
    _runtime: Runtime,
}

impl Axum {
    /// More than is ever published back to back: who falls behind by more would miss something.
    const CAPACITY: usize = 1024;

    pub(super) fn start(wire: Wire) -> io::Result<Self> {
        let news = Sender::new(Self::CAPACITY);
        let router = match wire {
            Wire::WebSocket => Router::new().route("/news", get(websocket)),
            Wire::Sse => Router::new().route("/news", get(sse)),
        };
        let router = router.with_state(news.clone());
        let runtime = Runtime::new()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let addr = listener.local_addr()?;
        let listener = listener.tap_io(|peer| peer.set_nodelay(true).expect("an open socket"));
        runtime.spawn(async { axum::serve(listener, router).await });
        Ok(Axum { addr, news, _runtime: runtime })
    }
}

impl Server for Axum {
    fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    fn publish(&mut self, text: String) -> usize {
        self.news.send(text.into()).unwrap_or(0)
    }
}

async fn websocket(State(news): State<Sender<Utf8Bytes>>, upgrade: WebSocketUpgrade) -> Response {
    let news = news.subscribe();
    upgrade.on_upgrade(|socket| attend(socket, news))
}

async fn attend(mut socket: WebSocket, mut news: Receiver<Utf8Bytes>) {
    loop {
        tokio::select! {
            text = news.recv() => {
                let Ok(text) = text else { return };
                if socket.send(Message::Text(text)).await.is_err() {
                    return;
                }
            }
            said = socket.recv() => {
                if !matches!(said, Some(Ok(_))) {
                    return;
                }
            }
        }
    }
}

async fn sse(State(news): State<Sender<Utf8Bytes>>) -> impl IntoResponse {
    Sse::new(stream::unfold(news.subscribe(), async |mut news| {
        let text = news.recv().await.ok()?;
        Some((Ok::<_, Infallible>(Event::default().data(text.as_str())), news))
    }))
}
