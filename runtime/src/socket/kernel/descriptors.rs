//! Which of the sockets that were accepted are still open, as the kernel says.
//!
//! Not by their addresses: the kernel's table of TCP forgets a connection that both sides have closed while its
//! descriptor, the thing that leaks, is still open. So the kernel's number of each accepted socket is kept, in the place
//! of its descriptor, and looked for among the descriptors that the process has.

use std::fs::read_link;
use std::os::fd::{AsFd, AsRawFd};

use parking_lot::Mutex;

/// The accepted sockets: for each descriptor the low half of its inode, 0 if none. Four bytes a descriptor are all that
/// this costs a connection.
///
/// A closed socket stays listed. The next socket with its descriptor replaces it, and any other file that gets this
/// descriptor has another inode.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(Mutex<Vec<u32>>);

/// By how many places it grows. Doubling would waste what a hold has to spare.
const MORE: usize = 256;

impl Descriptors {
    /// Adds a socket that was accepted.
    pub(in crate::socket) fn add(&self, socket: &impl AsFd) {
        let fd = socket.as_fd();
        let (Ok(place), Some(inode)) = (usize::try_from(fd.as_raw_fd()), inode(fd)) else { return };
        let mut inodes = self.0.lock();
        if place >= inodes.len() {
            let length = (place + 1).next_multiple_of(MORE);
            let more = length - inodes.len();
            inodes.reserve_exact(more);
            inodes.resize(length, 0);
        }
        inodes[place] = inode;
    }

    /// How many of them are open; `None` without procfs. Takes about 5 µs for each that was open at the last
    /// look or came since: not for an async task.
    pub(crate) fn open(&self) -> Option<usize> {
        if !std::path::Path::new("/proc/self/fd").exists() {
            return None;
        }
        let noted: Vec<u32> = self.0.lock().clone();
        let mut open = 0;
        for (place, inode) in noted.into_iter().enumerate().filter(|(_, inode)| *inode != 0) {
            if linked(place) == Some(inode) {
                open += 1;
                continue;
            }
            let mut inodes = self.0.lock();
            // Unless another was accepted there meanwhile.
            if let Some(noted) = inodes.get_mut(place)
                && *noted == inode
            {
                *noted = 0;
            }
        }
        self.shrink();
        Some(open)
    }

    /// Gives back the places behind the last that is in use.
    fn shrink(&self) {
        let mut inodes = self.0.lock();
        let used = inodes.iter().rposition(|inode| *inode != 0).map_or(0, |last| last + 1);
        inodes.truncate(used.next_multiple_of(MORE));
        inodes.shrink_to_fit();
    }
}

/// The low half of a socket's inode, which is all of it: the kernel counts sockets in 32 bits.
fn inode(fd: impl AsFd) -> Option<u32> {
    let stat = nix::sys::stat::fstat(fd).ok()?;
    Some(stat.st_ino as u32)
}

/// The inode of the socket at a descriptor.
fn linked(place: usize) -> Option<u32> {
    let link = read_link(format!("/proc/self/fd/{place}")).ok()?;
    let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()?;
    Some(inode as u32)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::OwnedFd;

    use super::*;

    /// A connection: what was accepted, and its peer.
    fn connect(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, peer)
    }

    #[test]
    fn what_was_accepted_is_counted_until_it_is_closed() {
        let descriptors = Descriptors::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pairs: Vec<_> = (0..5).map(|_| connect(&listener)).collect();
        pairs.iter().for_each(|(accepted, _)| descriptors.add(accepted));
        assert_eq!(descriptors.open(), Some(5), "the peers' own sockets are none of ours");
        let (mut accepted, peers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        drop(peers);
        for accepted in &accepted {
            let _ = accepted.shutdown(Shutdown::Both);
        }
        assert_eq!(descriptors.open(), Some(5), "closed on both sides, and yet a descriptor");
        accepted.truncate(2);
        assert_eq!(descriptors.open(), Some(2));
        accepted.clear();
        assert_eq!(descriptors.open(), Some(0));
        assert_eq!(descriptors.0.lock().capacity(), 0);
    }

    #[test]
    fn what_comes_to_the_place_of_a_closed_socket_is_not_taken_for_it() {
        let descriptors = Descriptors::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (accepted, _peer) = connect(&listener);
        descriptors.add(&accepted);
        let file: OwnedFd = File::open("/dev/null").unwrap().into();
        drop(accepted);
        // One of these takes its place, or something of another test does.
        let _copies: Vec<_> = (0..8).map(|_| file.try_clone().unwrap()).collect();
        let _door = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(descriptors.open(), Some(0));
    }
}
