//! Writing what waits, and the last of it.

use std::io;
use std::task::{Context, Poll};

use abeyance_core::mechanisms::clock::is_unreachable;
use abeyance_core::mechanisms::send_buffer::Piece;
use abeyance_core::sync::foreign;
use abeyance_core::words::cause::{Disconnect, End};
use abeyance_core::words::line::Line;
use abeyance_core::words::pace;
use abeyance_core::words::tick::Since;

use super::hold::Hold;
use super::pen::Pen;

impl Hold {
    /// Writes what waits; ready when nothing does.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pen = self.pen();
        let messages_out = pen.messages_out;
        let flushed = self.flush(&mut pen, cx);
        // Whoever polls here also wants to hear of what will wait next.
        let forgotten = pen.watch(cx);
        let room = pen.room.clone().filter(|_| pen.messages_out > messages_out);
        let is_behind = pen.is_behind();
        drop(pen);
        drop(forgotten);
        if let Some(room) = room {
            foreign::call(|| room.notify_waiters());
        }
        if is_behind && flushed.is_ready() {
            self.catch_up();
        }
        flushed
    }

    fn flush(&self, pen: &mut Pen, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Pen { line: Some(line), send_buffer, .. } = &*pen else { return Poll::Ready(Ok(())) };
            let Some(bytes) = send_buffer.next() else {
                return Poll::Ready(match pen.is_broken_off {
                    true => Err(io::ErrorKind::ConnectionAborted.into()),
                    false => Ok(()),
                });
            };
            match line.try_write(bytes) {
                Ok(0) if !bytes.is_empty() => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    let done = pen.send_buffer.advance(count);
                    pen.bytes_out += count as u64;
                    if pen.send_buffer.is_empty() {
                        pen.blocked = Since::NOT;
                    } else {
                        // What it took is worth some patience; a byte now and then is not worth all of it.
                        pen.blocked.give_back(pace::worth(count), self.keeper().time().mark());
                    }
                    self.hear(pen);
                    if let Some(piece) = done {
                        pen.count(&piece);
                        if piece.is_message() {
                            self.note_activity();
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match line.poll_writable(cx) {
                    Poll::Ready(Ok(())) => {}
                    other => return other,
                },
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Ready when an end has begun.
    pub(crate) fn poll_noted(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut pen = self.pen();
        if pen.note.is_some() {
            return Poll::Ready(());
        }
        let forgotten = pen.watch(cx);
        drop(pen);
        drop(forgotten);
        Poll::Pending
    }

    /// Puts the ending behind what waits, whatever the send buffer allows. An error if that was given up meanwhile.
    pub(crate) fn write_last(&self, pieces: impl IntoIterator<Item = Piece>) -> io::Result<()> {
        let mut pen = self.pen();
        for piece in pieces {
            if pen.is_broken_off {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            pen.write(piece, self.keeper().time())?;
        }
        drop(pen);
        self.keeper().relieve();
        Ok(())
    }

    /// Writes the ending in place of what waits, if the peer takes it whole at once.
    pub(crate) fn write_last_word(&self, bytes: &[u8]) -> bool {
        let mut pen = self.pen();
        let is_clean = !pen.send_buffer.is_torn();
        pen.undelivered = pen.undelivered();
        let waited = std::mem::take(&mut pen.send_buffer);
        let written = match &pen.line {
            Some(line) if is_clean => line.try_write(bytes).unwrap_or(0),
            _ => 0,
        };
        pen.bytes_out += written as u64;
        drop(pen);
        drop(waited);
        written == bytes.len()
    }

    /// Counts the messages of a long poll's answer, and those that found no place in it.
    pub(crate) fn count_answer(&self, carried: usize, left: usize) {
        let mut pen = self.pen();
        pen.messages_out += carried as u64;
        pen.undelivered += left as u32;
    }

    /// Ready when this hold must not go on ending politely: too many others are.
    pub(crate) fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut pen = self.pen();
        if pen.is_cut {
            return Poll::Ready(());
        }
        let forgotten = pen.watch(cx);
        drop(pen);
        drop(forgotten);
        Poll::Pending
    }

    /// Nothing is written any more: what waits will not be delivered, and the line goes.
    pub(super) fn put_down(&self) {
        let mut pen = self.pen();
        pen.undelivered = pen.undelivered();
        pen.inbound = 0;
        let opening = pen.opening.take();
        let send_buffer = std::mem::take(&mut pen.send_buffer);
        let farewell = pen.note.as_mut().map(|note| std::mem::take(&mut note.farewell));
        let rest =
            (pen.line.take(), pen.waker.take(), pen.room.take(), pen.inbox.take(), pen.following.take());
        drop(pen);
        drop((opening, send_buffer, farewell, rest));
    }

    /// What an error of the socket says about the peer.
    pub(crate) fn fault(&self, error: &io::Error, line: Option<&dyn Line>) -> End {
        match error.kind() {
            io::ErrorKind::TimedOut => {
                // The kernel also gives up on a peer that is there but takes nothing: then it answered lately.
                let asked = self.clocks().probing().give_up;
                match line.and_then(|line| line.last_answer()) {
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
