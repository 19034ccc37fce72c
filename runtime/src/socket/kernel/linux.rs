//! What Linux knows of a connection: its memory for it, and when the peer's kernel last answered; and what it does about
//! both.

use std::time::Duration;

use nix::libc;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;
use socket2::SockRef;
use tokio::net::TcpStream;

/// Bytes the kernel keeps for what the peer has not acknowledged, its own overhead included; 0 where unknown.
pub(in crate::socket) fn queued(socket: &TcpStream) -> usize {
    getsockopt(socket, Memory).map_or(0, |memory| memory[WMEM_QUEUED] as usize)
}

/// How long ago the peer's kernel was last heard: it acknowledged something, a probe too, or sent bytes.
pub(in crate::socket) fn last_answer(socket: &TcpStream) -> Option<Duration> {
    let info = getsockopt(socket, Info).ok()?;
    // Bytes that acknowledge nothing new are not dated as an acknowledgement.
    let ago = info[LAST_DATA_RECV].min(info[LAST_ACK_RECV]);
    Some(Duration::from_millis(ago.into()))
}

/// Whether bytes wait in our kernel although the peer's has answered everything, probes too: its window is shut.
pub(in crate::socket) fn is_shut_out(socket: &TcpStream) -> bool {
    getsockopt(socket, Info).is_ok_and(|info| {
        let probes = info[STATES].to_ne_bytes()[PROBES];
        info[UNACKED] == 0 && probes == 0 && queued(socket) > 0
    })
}

/// Ends the connection if nothing was answered for so long. Unacknowledged data switches keepalive off; then this is what
/// gives up. Where there is keepalive it decides too.
pub(in crate::socket) fn give_up_after(socket: &TcpStream, silence: Duration) {
    // The kernel takes a positive number of milliseconds, which is 24 days.
    const MOST: Duration = Duration::from_millis(i32::MAX as u64);
    // A socket that is already dead refuses options; its reader learns of it anyway.
    let _ = SockRef::from(socket).set_tcp_user_timeout(Some(silence.min(MOST)));
}

/// Takes no more than so many bytes that it cannot send yet. Unlike a small send buffer this slows no peer that reads: what
/// is under way does not count.
pub(in crate::socket) fn bound_unsent(socket: &TcpStream, unsent: usize) {
    let _ = SockRef::from(socket).set_tcp_notsent_lowat(u32::try_from(unsent).unwrap_or(u32::MAX));
}

// The two options for which no crate has a getter. nix's macro makes one, without `unsafe` of ours.
//
// The macro insists that the kernel fills the whole value, and kernels differ in how long their records are. So
// both are read as the prefix that every kernel with the option has, and by index.

#[derive(Clone, Copy)]
struct Info;

nix::getsockopt_impl!(Info, libc::IPPROTO_TCP, libc::TCP_INFO, [u32; 15], GetStruct<[u32; 15]>);

/// The place of four bytes, of which the last is `tcpi_probes`: how many were not answered.
const STATES: usize = 0;
const PROBES: usize = 3;

/// The place of `tcpi_unacked`: eight bytes of flags (two places), then four `u32` before it.
const UNACKED: usize = 6;

/// The place of `tcpi_last_data_recv`: eight bytes of flags (two places), then eleven `u32` before it.
const LAST_DATA_RECV: usize = 13;

/// The place of `tcpi_last_ack_recv`.
const LAST_ACK_RECV: usize = 14;

#[derive(Clone, Copy)]
struct Memory;

nix::getsockopt_impl!(Memory, libc::SOL_SOCKET, SO_MEMINFO, [u32; 6], GetStruct<[u32; 6]>);

const WMEM_QUEUED: usize = libc::SK_MEMINFO_WMEM_QUEUED as usize;

#[cfg(not(any(target_arch = "sparc", target_arch = "sparc64")))]
const SO_MEMINFO: libc::c_int = 55;
#[cfg(any(target_arch = "sparc", target_arch = "sparc64"))]
const SO_MEMINFO: libc::c_int = 0x39;
