//! What the kernel knows of a connection: its memory for it, and when the peer's kernel last answered.

use std::os::fd::AsFd;
use std::time::Duration;

/// Bytes the kernel keeps for what the peer has not acknowledged, its own overhead included; 0 where unknown.
pub(super) fn queued(socket: &impl AsFd) -> usize {
    #[cfg(target_os = "linux")]
    if let Ok(memory) = nix::sys::socket::getsockopt(socket, linux::Memory) {
        return memory[linux::WMEM_QUEUED] as usize;
    }
    let _ = socket;
    0
}

/// How long ago the peer's kernel was last heard: it acknowledged something, a probe too, or sent bytes.
pub(super) fn last_answer(socket: &impl AsFd) -> Option<Duration> {
    #[cfg(target_os = "linux")]
    if let Ok(info) = nix::sys::socket::getsockopt(socket, linux::Info) {
        // Bytes that acknowledge nothing new are not dated as an acknowledgement.
        let ago = info[linux::LAST_DATA_RECV].min(info[linux::LAST_ACK_RECV]);
        return Some(Duration::from_millis(ago.into()));
    }
    let _ = socket;
    None
}

/// Whether bytes wait in our kernel although the peer's has answered everything, probes too: its window is shut.
pub(super) fn is_shut_out(socket: &impl AsFd) -> bool {
    #[cfg(target_os = "linux")]
    if let Ok(info) = nix::sys::socket::getsockopt(socket, linux::Info) {
        let probes = info[linux::STATES].to_ne_bytes()[linux::PROBES];
        return info[linux::UNACKED] == 0 && probes == 0 && queued(socket) > 0;
    }
    let _ = socket;
    false
}

/// The two options for which no crate has a getter. nix's macro makes one, without `unsafe` of ours.
///
/// The macro insists that the kernel fills the whole value, and kernels differ in how long their records are. So
/// both are read as the prefix that every kernel with the option has, and by index.
#[cfg(target_os = "linux")]
mod linux {
    use nix::libc;
    use nix::sys::socket::sockopt::GetStruct;

    #[derive(Clone, Copy)]
    pub(super) struct Info;

    nix::getsockopt_impl!(Info, libc::IPPROTO_TCP, libc::TCP_INFO, [u32; 15], GetStruct<[u32; 15]>);

    /// The place of four bytes, of which the last is `tcpi_probes`: how many were not answered.
    pub(super) const STATES: usize = 0;
    pub(super) const PROBES: usize = 3;

    /// The place of `tcpi_unacked`: eight bytes of flags (two places), then four `u32` before it.
    pub(super) const UNACKED: usize = 6;

    /// The place of `tcpi_last_data_recv`: eight bytes of flags (two places), then eleven `u32` before it.
    pub(super) const LAST_DATA_RECV: usize = 13;

    /// The place of `tcpi_last_ack_recv`.
    pub(super) const LAST_ACK_RECV: usize = 14;

    #[derive(Clone, Copy)]
    pub(super) struct Memory;

    nix::getsockopt_impl!(Memory, libc::SOL_SOCKET, SO_MEMINFO, [u32; 6], GetStruct<[u32; 6]>);

    pub(super) const WMEM_QUEUED: usize = libc::SK_MEMINFO_WMEM_QUEUED as usize;

    #[cfg(not(any(target_arch = "sparc", target_arch = "sparc64")))]
    const SO_MEMINFO: libc::c_int = 55;
    #[cfg(any(target_arch = "sparc", target_arch = "sparc64"))]
    const SO_MEMINFO: libc::c_int = 0x39;
}
