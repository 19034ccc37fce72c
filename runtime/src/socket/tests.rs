//! What every line must do, said once and run over TCP and in memory; and what only a kernel can show.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::memory::{MemoryAcceptor, MemoryStream};
use super::tcp::{TcpAcceptor, TcpStreamIo};
use super::{Listener, Socket};
use abeyance_core::words::keepalive_probes::KeepaliveProbes;
use abeyance_core::words::peer_io::PeerIo;

trait Peer: AsyncRead + AsyncWrite + Unpin + Send + Sized + 'static {
    fn reset(self);
}

impl Peer for TcpStream {
    fn reset(self) {
        self.set_zero_linger().unwrap();
    }
}

impl Peer for MemoryStream {
    fn reset(self) {
        MemoryStream::reset(self);
    }
}

async fn over_tcp() -> (Arc<dyn PeerIo>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut listener = TcpAcceptor::new(listener).unwrap();
    let peer = TcpStream::connect(listener.local_addr()).await.unwrap();
    (listener.accept().await.unwrap(), peer)
}

async fn in_memory() -> (Arc<dyn PeerIo>, MemoryStream) {
    let (mut listener, dialer) = MemoryAcceptor::new();
    let peer = dialer.connect(SocketAddr::from(([10, 0, 0, 1], 4000))).unwrap();
    (listener.accept().await.unwrap(), peer)
}

async fn read(line: &Arc<dyn PeerIo>) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 256];
    let count = poll_fn(|cx| line.poll_read(cx, &mut buffer)).await?;
    buffer.truncate(count);
    Ok(buffer)
}

async fn gone(line: &Arc<dyn PeerIo>) -> io::Result<()> {
    poll_fn(|cx| line.poll_gone(cx)).await
}

/// The contract, once for both kinds of line.
macro_rules! contract {
    ($kind:ident, $pair:path) => {
        mod $kind {
            use super::*;

            #[tokio::test]
            async fn bytes_cross_both_ways() {
                let (line, mut peer) = $pair().await;
                peer.write_all(b"up").await.unwrap();
                assert_eq!(read(&line).await.unwrap(), b"up");
                poll_fn(|cx| line.poll_writable(cx)).await.unwrap();
                assert_eq!(line.try_write(b"down").unwrap(), 4);
                let mut four = [0; 4];
                peer.read_exact(&mut four).await.unwrap();
                assert_eq!(&four, b"down");
            }

            #[tokio::test]
            async fn a_fin_is_told_from_a_reset() {
                let (line, peer) = $pair().await;
                drop(peer);
                gone(&line).await.unwrap();
                assert_eq!(read(&line).await.unwrap(), b"");

                let (line, peer) = $pair().await;
                Peer::reset(peer);
                assert_eq!(gone(&line).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
                assert_eq!(gone(&line).await.unwrap_err().kind(), ErrorKind::ConnectionReset, "asked again");
                assert_eq!(read(&line).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
            }

            #[tokio::test]
            async fn both_are_seen_behind_unread_bytes() {
                let (line, mut peer) = $pair().await;
                peer.write_all(b"x").await.unwrap();
                let watch = tokio::spawn(async move { gone(&line).await });
                tokio::task::yield_now().await;
                peer.shutdown().await.unwrap();
                watch.await.unwrap().unwrap();

                let (line, mut peer) = $pair().await;
                peer.write_all(b"x").await.unwrap();
                let watch = tokio::spawn(async move { gone(&line).await });
                tokio::task::yield_now().await;
                Peer::reset(peer);
                assert_eq!(watch.await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
            }

            #[tokio::test]
            async fn a_look_for_the_end_leaves_bytes_to_be_read() {
                let (line, mut peer) = $pair().await;
                peer.write_all(b"early").await.unwrap();
                let look = poll_fn(|cx| line.poll_gone(cx));
                assert!(tokio::time::timeout(Duration::from_millis(50), look).await.is_err());
                assert_eq!(read(&line).await.unwrap(), b"early");
                peer.write_all(b"late").await.unwrap();
                assert_eq!(read(&line).await.unwrap(), b"late", "what comes later wakes the reader again");
            }

            #[tokio::test]
            async fn shut_sends_a_fin_behind_what_was_written() {
                let (line, mut peer) = $pair().await;
                assert_eq!(line.try_write(b"bye").unwrap(), 3);
                line.shut();
                let mut all = Vec::new();
                peer.read_to_end(&mut all).await.unwrap();
                assert_eq!(all, b"bye");
                assert_eq!(line.try_write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
                peer.write_all(b"late").await.unwrap();
                assert_eq!(read(&line).await.unwrap(), b"late", "the other direction is open");
            }

            #[tokio::test]
            async fn a_cut_resets_the_peer_and_wakes_the_reader() {
                let (line, mut peer) = $pair().await;
                let other = line.clone();
                let watch = tokio::spawn(async move { read(&other).await });
                tokio::task::yield_now().await;
                line.cut();
                assert_eq!(watch.await.unwrap().unwrap(), b"");
                gone(&line).await.unwrap();
                assert_eq!(line.try_write(b"x").unwrap_err().kind(), ErrorKind::ConnectionAborted);
                assert!(poll_fn(|cx| line.poll_writable(cx)).await.is_err());
                drop(line);
                let error = peer.read(&mut [0; 8]).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            }

            #[tokio::test]
            async fn a_peer_that_does_not_read_blocks_writes_and_shows_in_the_kernels_share() {
                let (line, mut peer) = $pair().await;
                assert_eq!(line.kernel_share(), 0);
                let mut written = 0;
                let chunk = vec![b'x'; 16 * 1024];
                let error = loop {
                    match line.try_write(&chunk) {
                        Ok(count) => written += count,
                        Err(error) => break error,
                    }
                };
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                assert!(line.kernel_share() > 16 * 1024, "{} of {written}", line.kernel_share());
                let reading =
                    tokio::spawn(async move { peer.read_exact(&mut vec![0; written]).await.map(|_| peer) });
                poll_fn(|cx| line.poll_writable(cx)).await.unwrap();
                let _peer = reading.await.unwrap().unwrap();
            }

            #[tokio::test]
            async fn a_reset_that_a_writer_met_first_is_still_told_to_the_reader() {
                let (line, peer) = $pair().await;
                Peer::reset(peer);
                gone(&line).await.unwrap_err();
                assert!(line.try_write(b"x").is_err());
                assert_eq!(read(&line).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
                assert_eq!(gone(&line).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
            }
        }
    };
}

contract!(tcp, over_tcp);
contract!(memory, in_memory);

/// Counts how often a task is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn unread_bytes_wake_once_and_do_not_spin() {
    let (line, mut peer) = over_tcp().await;
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    peer.write_all(b"x").await.unwrap();
    let mut polls = 0;
    for _ in 0..200 {
        // Polled whenever woken, as a task would be.
        if polls <= wakes.0.load(Ordering::SeqCst) {
            polls += 1;
            assert!(line.poll_gone(&mut Context::from_waker(&waker)).is_pending());
        }
        tokio::task::yield_now().await;
    }
    assert!(polls <= 3, "polled {polls} times for one byte");
}

#[tokio::test]
async fn the_kernel_tells_when_the_peer_last_answered() {
    let (line, _peer) = over_tcp().await;
    if cfg!(target_os = "linux") {
        assert!(line.last_answer().unwrap() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_probed_peer_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let line = TcpStreamIo::new(peer);
    let cases = [
        (20, 2, 60, (20, 2, 60)),
        (1, 1, 1, (1, 1, 2)),
        (30, 40, 31, (30, 30, 31)),
        (50_000, 1, 60_000, (32_767, 1, 60_000)),
    ];
    for (every, again, give_up, expected) in cases {
        let [every, again, give_up] = [every, again, give_up].map(Duration::from_secs);
        line.probe(KeepaliveProbes { every, again, give_up });
        let socket = socket2::SockRef::from(line.stream());
        assert!(socket.keepalive().unwrap());
        let time = socket.tcp_keepalive_time().unwrap().as_secs();
        let interval = socket.tcp_keepalive_interval().unwrap().as_secs();
        let limit = socket.tcp_user_timeout().unwrap().unwrap().as_secs();
        assert_eq!((time, interval, limit), expected);
    }
}

#[tokio::test]
async fn a_peer_that_left_by_fin_and_then_refused_our_bytes_is_gone_not_reset() {
    let (line, peer) = over_tcp().await;
    drop(peer);
    gone(&line).await.unwrap();
    // The first write is taken and answered with an RST; the second meets it.
    while line.try_write(b"x").is_ok() {
        tokio::task::yield_now().await;
    }
    gone(&line).await.unwrap();
    assert_eq!(read(&line).await.unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn a_vanished_peer_stays_silent_and_its_last_answer_ages() {
    let (line, mut peer) = in_memory().await;
    assert_eq!(line.last_answer(), Some(Duration::ZERO));
    peer.vanish();
    tokio::time::advance(Duration::from_secs(7)).await;
    assert_eq!(line.last_answer(), Some(Duration::from_secs(7)));
    peer.write_all(b"lost").await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(60), read(&line)).await.is_err());
    assert_eq!(line.try_write(b"lost too").unwrap(), 8);
    assert!(tokio::time::timeout(Duration::from_secs(60), peer.read(&mut [0; 8])).await.is_err());
    peer.give_up();
    assert_eq!(gone(&line).await.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_window_of_zero_stops_the_writer_until_it_opens() {
    let (line, peer) = in_memory().await;
    peer.window(0);
    assert_eq!(line.try_write(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
    let mut writable = Box::pin(poll_fn(|cx| line.poll_writable(cx)));
    assert!(matches!(futures_now(&mut writable), Poll::Pending));
    peer.window(1);
    writable.await.unwrap();
    assert_eq!(line.try_write(b"xy").unwrap(), 1);
}

fn futures_now<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn closing_on_unread_bytes_destroys_what_was_written_as_a_kernel_does() {
    let (line, mut peer) = in_memory().await;
    peer.write_all(b"unread").await.unwrap();
    line.try_write(b"answer").unwrap();
    drop(line);
    assert_eq!(peer.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_kernel_that_is_to_bound_unsent_keeps_little_for_a_peer_that_reads_nothing() {
    let fill = async |takes_little: bool| {
        let (line, peer) = over_tcp().await;
        if takes_little {
            line.bound_unsent(16 * 1024);
        }
        let message = [b'x'; 2 * 1024];
        while line.try_write(&message).is_ok() {}
        let share = line.kernel_share();
        drop(peer);
        share
    };
    let (little, much) = (fill(true).await, fill(false).await);
    // Besides what it could not send there is the last segment, which it fills.
    assert!(little < 128 * 1024 && little < much / 4, "{little} of {much}");
}

#[tokio::test]
async fn bytes_of_which_the_runtime_has_not_heard_are_read_by_one_who_mistrusts_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let line = TcpStreamIo::new(listener.accept().await.unwrap().0);
    let mut buffer = [0; 8];
    let mut cx = Context::from_waker(Waker::noop());
    assert!(line.poll_read(&mut cx, &mut buffer).is_pending());
    let peer = peer.into_std().unwrap();
    // The driver of this runtime has its turn when this task waits, and not before.
    std::io::Write::write_all(&mut &peer, b"late").unwrap();
    assert!(line.poll_read(&mut cx, &mut buffer).is_pending());
    line.assume_readable();
    assert!(matches!(line.poll_read(&mut cx, &mut buffer), Poll::Ready(Ok(4))));
    assert!(line.poll_read(&mut cx, &mut buffer).is_pending());
}
