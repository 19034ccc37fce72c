//! Writing what waits, and the ending.

use std::io;
use std::task::{Context, Poll};

use abeyance_core::mechanisms::clock::is_unreachable;
use abeyance_core::mechanisms::send_buffer::Piece;
use abeyance_core::sync::foreign;
use abeyance_core::words::cause::{Disconnect, End};
use abeyance_core::words::min_rate;
use abeyance_core::words::peer_io::PeerIo;
use abeyance_core::words::tick::Since;

use super::hold::Hold;
use super::outbox::Outbox;

impl Hold {
    /// Writes what waits. Ready when nothing waits.
    ///
    /// # Errors
    /// What the socket reports, or `ConnectionAborted` if the ending was given up.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outbox = self.outbox();
        let messages_out = outbox.messages_out;
        let flushed = self.flush(&mut outbox, cx);
        // The task is to be woken for what will wait next, too.
        let forgotten = outbox.watch(cx);
        let room = outbox.room.clone().filter(|_| outbox.messages_out > messages_out);
        let is_behind = outbox.is_behind();
        drop(outbox);
        drop(forgotten);
        if let Some(room) = room {
            foreign::call(|| room.notify_waiters());
        }
        if is_behind && flushed.is_ready() {
            self.catch_up();
        }
        flushed
    }

    fn flush(&self, outbox: &mut Outbox, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Outbox { peer_io: Some(peer_io), send_buffer, .. } = &*outbox else {
                return Poll::Ready(Ok(()));
            };
            let Some(bytes) = send_buffer.next() else {
                return Poll::Ready(match outbox.is_broken_off {
                    true => Err(io::ErrorKind::ConnectionAborted.into()),
                    false => Ok(()),
                });
            };
            match peer_io.try_write(bytes) {
                Ok(0) if !bytes.is_empty() => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    let done = outbox.send_buffer.advance(count);
                    outbox.bytes_out += count as u64;
                    if outbox.send_buffer.is_empty() {
                        outbox.blocked = Since::NOT;
                    } else {
                        // The peer gets more time for what it took, in proportion: a single byte does not restart the
                        // timeout.
                        outbox.blocked.give_back(min_rate::worth(count), self.keeper().time().mark());
                    }
                    self.credit_idle(outbox);
                    if let Some(piece) = done {
                        outbox.count(&piece);
                        if piece.is_message() {
                            self.record_activity();
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match peer_io.poll_writable(cx) {
                    Poll::Ready(Ok(())) => {}
                    other => return other,
                },
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Ready when the end has begun.
    pub(crate) fn poll_end_requested(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut outbox = self.outbox();
        if outbox.end_request.is_some() {
            return Poll::Ready(());
        }
        let forgotten = outbox.watch(cx);
        drop(outbox);
        drop(forgotten);
        Poll::Pending
    }

    /// Queues the ending behind what waits, beyond the bound of the send buffer if need be.
    ///
    /// # Errors
    /// `ConnectionAborted` if the ending was given up meanwhile, or what the socket reports.
    pub(crate) fn write_last(&self, pieces: impl IntoIterator<Item = Piece>) -> io::Result<()> {
        let mut outbox = self.outbox();
        for piece in pieces {
            if outbox.is_broken_off {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            outbox.write(piece, self.keeper().time())?;
        }
        drop(outbox);
        self.keeper().relieve();
        Ok(())
    }

    /// Replaces what waits with the ending. `true` if the socket took the whole ending at once.
    pub(crate) fn replace_with_ending(&self, bytes: &[u8]) -> bool {
        let mut outbox = self.outbox();
        let is_clean = !outbox.send_buffer.is_torn();
        outbox.undelivered = outbox.undelivered();
        let waited = std::mem::take(&mut outbox.send_buffer);
        let written = match &outbox.peer_io {
            Some(peer_io) if is_clean => peer_io.try_write(bytes).unwrap_or(0),
            _ => 0,
        };
        outbox.bytes_out += written as u64;
        drop(outbox);
        drop(waited);
        written == bytes.len()
    }

    /// Counts the messages of a long poll's answer, and those that were left out of it.
    pub(crate) fn count_answer(&self, carried: usize, left: usize) {
        let mut outbox = self.outbox();
        outbox.messages_out += carried as u64;
        outbox.undelivered += left as u32;
    }

    /// Ready when the ending of this hold is to be cut.
    pub(crate) fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut outbox = self.outbox();
        if outbox.is_cut {
            return Poll::Ready(());
        }
        let forgotten = outbox.watch(cx);
        drop(outbox);
        drop(forgotten);
        Poll::Pending
    }

    /// Drops the I/O and all that waits, and counts it as undelivered.
    pub(super) fn release(&self) {
        let mut outbox = self.outbox();
        outbox.undelivered = outbox.undelivered();
        outbox.inbound = 0;
        let pending = outbox.pending.take();
        let send_buffer = std::mem::take(&mut outbox.send_buffer);
        let last_messages =
            outbox.end_request.as_mut().map(|end_request| std::mem::take(&mut end_request.last_messages));
        let rest = (
            outbox.peer_io.take(),
            outbox.waker.take(),
            outbox.room.take(),
            outbox.inbox.take(),
            outbox.cursor.take(),
        );
        drop(outbox);
        drop((pending, send_buffer, last_messages, rest));
    }

    /// The cause of an end that an error of the socket stands for.
    pub(crate) fn fault(&self, error: &io::Error, peer_io: Option<&dyn PeerIo>) -> End {
        match error.kind() {
            io::ErrorKind::TimedOut => {
                // The kernel also gives up on a peer that answers but takes nothing. Such a peer has answered lately.
                let asked = self.clocks().probing().give_up;
                match peer_io.and_then(|peer_io| peer_io.last_answer()) {
                    Some(silence) if !is_unreachable(silence, asked) => Disconnect::Stalled.into(),
                    _ => Disconnect::Unreachable.into(),
                }
            }
            // A reset that only answers what was written after the peer's FIN.
            io::ErrorKind::BrokenPipe => Disconnect::Gone.into(),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Disconnect::Unreachable.into()
            }
            _ => Disconnect::Reset.into(),
        }
    }
}
