//! Ends that come while a hook awaits: the hook goes on to its end, what was taken is heard, and then the end is told.

use abeyance::Transport;
use abeyance_tests::net::{LASTING, Peer, Site, TRANSPORTS, eventually, frame};

use super::ear::{self, Notes, all_heard};

/// A client in whose first message a hook waits at the gate, and of whom two more messages wait.
struct Caught {
    peer: Peer,
    name: String,
    transport: Transport,
    path: String,
    token: String,
}

impl Caught {
    fn new(site: &Site, notes: &Notes, house: &str, transport: Transport) -> Self {
        let name = format!("{house} {}", transport.as_str()).replace(' ', "-");
        let path = format!("/{house}/{name}");
        let mut peer = Peer::connect(site.addr).hurried();
        peer.ask(&path, transport);
        let head = peer.head();
        let token = head.header("abeyance-hold").unwrap_or_default().to_owned();
        notes.gates().suspend.add_permits(1);
        notes.wait(&name, "suspended");
        let mut caught = Caught { peer, name, transport, path, token };
        for number in 0..3 {
            caught.say(site, number);
        }
        notes.wait(&caught.name, "begin 0");
        caught
    }

    fn say(&mut self, site: &Site, number: usize) {
        let text = number.to_string();
        if self.transport == Transport::WebSocket {
            return self.peer.send(frame(0x81, text.as_bytes()));
        }
        let mut speaker = Peer::connect(site.addr);
        let (path, token) = (&self.path, &self.token);
        speaker.send(format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nAbeyance-Hold: {token}\r\nContent-Length: 1\r\n\r\n{text}"
        ));
        assert_eq!(speaker.answer().status, 202);
    }
}

/// Opens the gate as often as needed, when the end has begun; gives what the hooks did.
fn go_on(site: &Site, notes: &Notes, name: &str) -> Vec<String> {
    eventually("an end that has begun", || site.hub.stats().held == 0);
    assert_eq!(
        notes.of(name).last().map(String::as_str),
        Some("begin 0"),
        "nothing happens before the hook is done"
    );
    notes.gates().message.add_permits(3);
    notes.whole(name)
}

#[test]
fn a_peer_that_leaves_is_heard_to_its_end() {
    for transport in LASTING {
        let notes = Notes::gated();
        let site = Site::start(ear::server(&notes));
        let caught = Caught::new(&site, &notes, "ear", transport);
        caught.peer.fin();
        assert_eq!(go_on(&site, &notes, &caught.name), all_heard(3, "gone"), "{transport:?}");
        drop(caught);
        site.until_quiet();
    }
}

#[test]
fn a_timeout_or_the_end_of_a_lifetime_waits_for_the_hook_and_for_what_was_said() {
    for (house, end) in [("brief", "timeout"), ("aged", "lifetime")] {
        for transport in LASTING {
            let notes = Notes::gated();
            let site = Site::start(ear::server(&notes));
            let caught = Caught::new(&site, &notes, house, transport);
            assert_eq!(go_on(&site, &notes, &caught.name), all_heard(3, end), "{transport:?}");
            drop(caught);
            site.until_quiet();
        }
    }
}

#[test]
fn an_evicted_hold_is_heard_to_its_end_though_its_place_is_anothers() {
    for transport in LASTING {
        let notes = Notes::gated();
        let site = Site::start(ear::server(&notes));
        let caught = Caught::new(&site, &notes, "throne", transport);
        notes.gates().suspend.add_permits(1);
        // Refused while the oldest is younger than a second.
        let mut heir = None;
        eventually("a newcomer that is let in", || {
            let mut peer = Peer::connect(site.addr);
            peer.ask("/throne/heir", Transport::Sse);
            let is_in = peer.head().status == 200;
            heir = is_in.then_some(peer);
            is_in
        });
        assert_eq!(site.hub.held_count(), 1);
        assert_eq!(notes.of(&caught.name).last().map(String::as_str), Some("begin 0"));
        notes.gates().message.add_permits(3);
        assert_eq!(notes.whole(&caught.name), all_heard(3, "evicted"), "{transport:?}");
        drop((heir, caught));
        site.until_quiet();
    }
}

#[test]
fn a_resume_by_the_application_waits_for_the_hook_and_for_what_was_said() {
    for transport in LASTING {
        let notes = Notes::gated();
        let site = Site::start(ear::server(&notes));
        let caught = Caught::new(&site, &notes, "ear", transport);
        site.hub.list().iter().for_each(|hold| assert!(site.hub.resume(hold.id)));
        assert_eq!(go_on(&site, &notes, &caught.name), all_heard(3, "released"), "{transport:?}");
        drop(caught);
        site.until_quiet();
    }
}

#[test]
fn a_kick_or_a_reset_lets_the_hook_finish_and_counts_what_was_not_begun() {
    for transport in LASTING {
        for end in ["kicked", "reset"] {
            let notes = Notes::gated();
            let site = Site::start(ear::server(&notes));
            let Caught { peer, name, .. } = Caught::new(&site, &notes, "ear", transport);
            let mut peer = Some(peer);
            match end {
                "kicked" => {
                    site.hub.list().iter().for_each(|hold| assert!(site.hub.disconnect(hold.id, "out")));
                }
                _ => peer.take().expect("not reset yet").reset(),
            }
            let lines = go_on(&site, &notes, &name);
            let wanted = ["suspend", "suspended", "begin 0", "done 0"].map(str::to_owned);
            let (told, hooks) = lines.split_last().expect("an end");
            assert_eq!(hooks, wanted, "{transport:?}");
            // What an RST destroyed in the socket, nobody can count.
            let is_destroyed = transport == Transport::WebSocket && end == "reset";
            let unheard: &[u32] = if is_destroyed { &[0, 1, 2] } else { &[2] };
            let allowed = unheard.iter().map(|count| format!("end {end}, {count} unheard"));
            assert!(allowed.into_iter().any(|line| line == *told), "{transport:?}: {told}");
            drop(peer);
            site.until_quiet();
        }
    }
}

#[test]
fn a_drain_waits_for_the_hook_and_for_what_was_said() {
    for transport in LASTING {
        let notes = Notes::gated();
        let site = Site::start(ear::server(&notes).drain(std::time::Duration::from_secs(30)));
        let hub = site.hub.clone();
        let Caught { mut peer, name, .. } = Caught::new(&site, &notes, "ear", transport);
        site.stop_beside(|| {
            eventually("an end that has begun", || hub.stats().held == 0);
            assert_eq!(notes.of(&name).last().map(String::as_str), Some("begin 0"));
            notes.gates().message.add_permits(3);
            assert_eq!(notes.whole(&name), all_heard(3, "drained"), "{transport:?}");
            peer.fin();
            peer.read_to_end();
        });
    }
}

#[test]
fn on_suspend_is_done_before_the_end_is_told_and_no_presence_is_negative() {
    for transport in TRANSPORTS {
        for cause in ["gone", "reset", "kicked", "released"] {
            let notes = Notes::gated();
            let site = Site::start(ear::server(&notes));
            let mut asking = Peer::connect(site.addr);
            asking.ask("/ear/ann", transport);
            let mut peer = Some(asking);
            notes.wait("ann", "suspend");
            let ids: Vec<_> = site.hub.list().iter().map(|hold| hold.id).collect();
            match cause {
                "gone" => peer.iter().for_each(Peer::fin),
                "reset" => peer.take().expect("not reset yet").reset(),
                "kicked" => ids.iter().for_each(|id| assert!(site.hub.disconnect(*id, "out"))),
                _ => ids.iter().for_each(|id| assert!(site.hub.resume(*id))),
            }
            eventually("an end that has begun", || site.hub.stats().held == 0);
            assert_eq!(notes.of("ann"), ["suspend"], "{transport:?} {cause}");
            notes.gates().suspend.add_permits(1);
            assert_eq!(notes.whole("ann"), all_heard(0, cause), "{transport:?}");
            assert_eq!(notes.presence(), (0, 0), "{transport:?} {cause}");
            drop(peer);
            site.until_quiet();
        }
    }
}
