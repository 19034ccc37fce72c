//! A held connection over TCP.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs, lookup_host};

use super::kernel::{self, Descriptors};
use super::{Listener, Socket};
use abeyance_core::words::keepalive_probes::KeepaliveProbes;
use abeyance_core::words::peer_io::PeerIo;

/// A TCP socket that reads, writes and ends through `&self`.
pub(crate) struct TcpStreamIo {
    stream: TcpStream,
    /// Bytes may lie in the kernel although tokio's readiness says nothing of them: [`PeerIo::poll_gone`] has
    /// cleared it, to be woken by what comes next and not by what lies there; or [`Socket::assume_readable`] supposes so, since
    /// tokio learns of bytes only when its driver has its turn.
    passed_over: AtomicBool,
    /// Set by [`PeerIo::cut`].
    cut: AtomicBool,
    /// The first error that ended the connection, as `errno`; 0 if none did. The kernel reports it once, to the first
    /// caller. That may be a publisher that writes, and the hold's own task must still get it.
    fault: AtomicI32,
}

impl TcpStreamIo {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // Messages are small and wait for nothing; without this each would wait for the last one's acknowledgement.
        // A socket that is already dead refuses the option, and says so at its first read.
        let _ = stream.set_nodelay(true);
        TcpStreamIo {
            stream,
            passed_over: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            fault: AtomicI32::new(0),
        }
    }

    #[cfg(test)]
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Records an error that ends the connection, so that later calls get it, too.
    fn record(&self, error: io::Error) -> io::Error {
        if let Some(code) = error.raw_os_error() {
            // A broken pipe is only the echo of an end that was seen before.
            if !passing(&error) && error.kind() != io::ErrorKind::BrokenPipe {
                let _ = self.fault.compare_exchange(0, code, Relaxed, Relaxed);
            }
        }
        error
    }

    /// How the connection ended, now that it has: `Ok` for a FIN.
    fn verdict(&self) -> io::Result<()> {
        if let Some(error) = self.stream.take_error()? {
            self.record(error);
        }
        match self.fault.load(Relaxed) {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    /// A read error as the hold should hear it: a reset that only answered what we wrote after its FIN is a FIN.
    fn heard(&self, error: io::Error) -> io::Result<usize> {
        match self.record(error) {
            echo if echo.kind() == io::ErrorKind::BrokenPipe => self.verdict().map(|()| 0),
            error => Err(error),
        }
    }
}

/// Whether a later try may succeed.
fn passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl PeerIo for TcpStreamIo {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            // Past tokio, which would not even try: it knows of no byte.
            if self.passed_over.load(Relaxed) {
                match (&*SockRef::from(&self.stream)).read(buffer) {
                    Ok(0) => return Poll::Ready(self.verdict().map(|()| 0)),
                    Ok(count) => return Poll::Ready(Ok(count)),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) if passing(&error) => self.passed_over.store(false, Relaxed),
                    Err(error) => return Poll::Ready(self.heard(error)),
                }
            }
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buffer) {
                Err(error) if passing(&error) => continue,
                Err(error) => return Poll::Ready(self.heard(error)),
                Ok(0) => return Poll::Ready(self.verdict().map(|()| 0)),
                Ok(count) => return Poll::Ready(Ok(count)),
            }
        }
    }

    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // `TcpStream::ready(PRIORITY | ERROR)` would not even wake for bytes, but its future carries a node of a
        // waiter list that had to live in every hold. This costs one wake-up a segment that the peer sends (and
        // its window ends that), no byte of the hold, and no wake-up for bytes that merely lie there: their
        // readiness is cleared, and epoll reports edges. tokio never clears the flag of a closed side, so an end
        // that comes between the look and the clearing is seen in the next round.
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            // It is ready, so this is ready at its first poll and enters no list.
            let flags = pin!(self.stream.ready(Interest::READABLE));
            if let Poll::Ready(flags) = flags.poll(&mut Context::from_waker(Waker::noop()))
                && flags?.is_read_closed()
            {
                return Poll::Ready(self.verdict());
            }
            self.passed_over.store(true, Relaxed);
            let _ = self.stream.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cut.load(Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.stream.poll_write_ready(cx)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.cut.load(Relaxed) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.stream.try_write(bytes).map_err(|error| self.record(error))
    }

    fn kernel_share(&self) -> usize {
        kernel::queued(&self.stream)
    }

    fn last_answer(&self) -> Option<Duration> {
        kernel::last_answer(&self.stream)
    }

    fn is_shut_out(&self) -> bool {
        kernel::is_shut_out(&self.stream)
    }

    fn probe(&self, probing: KeepaliveProbes) {
        const SECOND: Duration = Duration::from_secs(1);
        // Kernels count in whole seconds, and refuse longer ones.
        const MOST: Duration = Duration::from_secs(32_767);
        let every = probing.every.clamp(SECOND, MOST);
        let again = probing.again.clamp(SECOND, every);
        let give_up = probing.give_up.max(every + SECOND);
        // Where `give_up_after` can be said, that decides instead.
        let tries = (give_up - every).as_secs().div_ceil(again.as_secs()).clamp(1, 127) as u32;
        let keepalive = TcpKeepalive::new().with_time(every).with_interval(again).with_retries(tries);
        // A socket that is already dead refuses options; its reader learns of it anyway.
        let _ = SockRef::from(&self.stream).set_tcp_keepalive(&keepalive);
        kernel::give_up_after(&self.stream, give_up);
    }

    fn bound_unsent(&self, unsent: usize) {
        kernel::bound_unsent(&self.stream, unsent);
    }

    fn shut(&self) {
        // An error means that the connection is already gone.
        let _ = SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write);
    }

    fn cut(&self) {
        self.cut.store(true, Relaxed);
        let socket = SockRef::from(&self.stream);
        // The RST goes out when the last owner drops the socket. Until then the reading side ends here, which
        // wakes the hold's own task and sends nothing.
        let _ = socket.set_linger(Some(Duration::ZERO));
        let _ = socket.shutdown(std::net::Shutdown::Read);
    }
}

impl Socket for TcpStreamIo {
    fn register_descriptor(&self, descriptors: &Descriptors) {
        descriptors.add(&self.stream);
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        let peer = self.stream.peer_addr()?;
        // On a socket for both families an IPv4 peer has an IPv6 name; limits and trust must know it by its own.
        Ok(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
    }

    fn assume_readable(&self) {
        self.passed_over.store(true, Relaxed);
    }

    fn write_and_close(&self, word: &[u8]) {
        // Past tokio, which knows of no readiness before its driver has looked.
        let socket = SockRef::from(&self.stream);
        let _ = socket.send(word);
        let mut discarded = [0; 4096];
        // As much as a long request has. What is left makes the close an RST.
        for _ in 0..8 {
            if !matches!((&*socket).read(&mut discarded), Ok(1..)) {
                break;
            }
        }
        self.shut();
    }
}

/// How many connections may wait to be accepted; fewer where the machine says so (`net.core.somaxconn`). A client that
/// finds the queue full tries again after a second.
const QUEUE: u32 = 4096;

/// Listens on the first of these addresses where that is possible.
///
/// # Errors
/// Of the last address; or there is none.
pub(crate) async fn listen(addresses: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let mut error = io::Error::new(io::ErrorKind::InvalidInput, "there is no such address");
    for address in lookup_host(addresses).await? {
        match listen_on(address) {
            Ok(listener) => return Ok(listener),
            Err(fault) => error = fault,
        }
    }
    Err(error)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Or a restart would have to wait for the last connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

/// A listening TCP socket.
pub(crate) struct TcpAcceptor {
    listener: TcpListener,
    addr: SocketAddr,
    /// A descriptor that is good for nothing but being closed when there is no other.
    spare: Option<File>,
}

impl TcpAcceptor {
    pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        let mut acceptor = TcpAcceptor { listener, addr, spare: None };
        acceptor.keep_spare();
        Ok(acceptor)
    }
}

impl Listener for TcpAcceptor {
    async fn accept(&mut self) -> io::Result<Arc<dyn Socket>> {
        let (stream, _) = self.listener.accept().await?;
        Ok(Arc::new(TcpStreamIo::new(stream)))
    }

    fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    fn keep_spare(&mut self) -> bool {
        if self.spare.is_none() {
            self.spare = File::open("/dev/null").ok();
        }
        self.spare.is_some()
    }

    fn accept_on_spare(&mut self) -> Option<io::Result<Arc<dyn Socket>>> {
        self.spare = None;
        let mut cx = Context::from_waker(Waker::noop());
        match self.listener.poll_accept(&mut cx) {
            Poll::Ready(Ok((stream, _))) => Some(Ok(Arc::new(TcpStreamIo::new(stream)))),
            Poll::Ready(Err(error)) => Some(Err(error)),
            Poll::Pending => None,
        }
    }

    fn descriptors(&self) -> Option<Arc<Descriptors>> {
        Some(Arc::default())
    }
}
