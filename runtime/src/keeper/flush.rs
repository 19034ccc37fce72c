//! Writing what waits, and the last of it.

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
    /// Writes what waits; ready when nothing does.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outbox = self.outbox();
        let messages_out = outbox.messages_out;
        let flushed = self.flush(&mut outbox, cx);
        // Whoever polls here also wants to hear of what will wait next.
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
            let Outbox { socket: Some(socket), send_buffer, .. } = &*outbox else {
                return Poll::Ready(Ok(()));
            };
            let Some(bytes) = send_buffer.next() else {
                return Poll::Ready(match outbox.is_broken_off {
                    true => Err(io::ErrorKind::ConnectionAborted.into()),
                    false => Ok(()),
                });
            };
            match socket.try_write(bytes) {
                Ok(0) if !bytes.is_empty() => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    let done = outbox.send_buffer.advance(count);
                    outbox.bytes_out += count as u64;
                    if outbox.send_buffer.is_empty() {
                        outbox.blocked = Since::NOT;
                    } else {
                        // What it took is worth some patience; a byte now and then is not worth all of it.
                        outbox.blocked.give_back(min_rate::worth(count), self.keeper().time().mark());
                    }
                    self.credit_idle(outbox);
                    if let Some(piece) = done {
                        outbox.count(&piece);
                        if piece.is_message() {
                            self.note_activity();
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match socket.poll_writable(cx) {
                    Poll::Ready(Ok(())) => {}
                    other => return other,
                },
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Ready when an end has begun.
    pub(crate) fn poll_noted(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut outbox = self.outbox();
        if outbox.end_request.is_some() {
            return Poll::Ready(());
        }
        let forgotten = outbox.watch(cx);
        drop(outbox);
        drop(forgotten);
        Poll::Pending
    }

    /// Puts the ending behind what waits, whatever the send buffer allows. An error if that was given up meanwhile.
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

    /// Writes the ending in place of what waits, if the peer takes it whole at once.
    pub(crate) fn write_last_word(&self, bytes: &[u8]) -> bool {
        let mut outbox = self.outbox();
        let is_clean = !outbox.send_buffer.is_torn();
        outbox.undelivered = outbox.undelivered();
        let waited = std::mem::take(&mut outbox.send_buffer);
        let written = match &outbox.socket {
            Some(socket) if is_clean => socket.try_write(bytes).unwrap_or(0),
            _ => 0,
        };
        outbox.bytes_out += written as u64;
        drop(outbox);
        drop(waited);
        written == bytes.len()
    }

    /// Counts the messages of a long poll's answer, and those that found no place in it.
    pub(crate) fn count_answer(&self, carried: usize, left: usize) {
        let mut outbox = self.outbox();
        outbox.messages_out += carried as u64;
        outbox.undelivered += left as u32;
    }

    /// Ready when this hold must not go on ending politely: too many others are.
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

    /// Nothing is written any more: what waits will not be delivered, and the line goes.
    pub(super) fn put_down(&self) {
        let mut outbox = self.outbox();
        outbox.undelivered = outbox.undelivered();
        outbox.inbound = 0;
        let opening = outbox.opening.take();
        let send_buffer = std::mem::take(&mut outbox.send_buffer);
        let last_messages =
            outbox.end_request.as_mut().map(|end_request| std::mem::take(&mut end_request.last_messages));
        let rest = (
            outbox.socket.take(),
            outbox.waker.take(),
            outbox.room.take(),
            outbox.inbox.take(),
            outbox.cursor.take(),
        );
        drop(outbox);
        drop((opening, send_buffer, last_messages, rest));
    }

    /// What an error of the socket says about the peer.
    pub(crate) fn fault(&self, error: &io::Error, socket: Option<&dyn PeerIo>) -> End {
        match error.kind() {
            io::ErrorKind::TimedOut => {
                // The kernel also gives up on a peer that is there but takes nothing: then it answered lately.
                let asked = self.clocks().probing().give_up;
                match socket.and_then(|socket| socket.last_answer()) {
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
