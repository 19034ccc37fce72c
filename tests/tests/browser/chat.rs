//! The page of the chat example, against the example itself, over each transport.
//!
//! The page says of itself: `body[data-state]` (`idle`, `connecting`, `open`, `waiting`, `ended`), `data-end` (the last
//! end's cause, as far as a browser lets a page know it), `data-returns` (how often it set out to come back), and
//! `#log li[data-kind]` (`came`, `said`, `left`, `told`, `end`), with `data-nick`.

use super::chat_server::ChatServer;
use super::chromium::{Browser, Page};

const TRANSPORTS: [&str; 4] = ["websocket", "sse", "stream", "long_poll"];

/// An expression: all that was said.
const SAID: &str = "[...document.querySelectorAll('.said p')].map(line => line.textContent).join()";

const OPEN: &str = "document.body.dataset.state === 'open'";

fn enter(browser: &mut Browser, server: &ChatServer, nick: &str, transport: &str) -> Page {
    enter_room(browser, server, "den", nick, transport)
}

fn enter_room(browser: &mut Browser, server: &ChatServer, room: &str, nick: &str, transport: &str) -> Page {
    let page = browser.page(&server.url(&format!("auto=1&room={room}&nick={nick}&transport={transport}")));
    browser.wait_until(&page, OPEN);
    page
}

fn say(browser: &mut Browser, page: &Page, text: &str) {
    let script = format!(
        "document.getElementById('text').value = {text:?}; document.getElementById('say').requestSubmit()"
    );
    browser.evaluate(page, &script);
}

/// An expression: the page shows a line of this kind, of this nick, with these words.
fn shows(kind: &str, nick: &str, words: &str) -> String {
    format!(
        "[...document.querySelectorAll('#log li[data-kind={kind}]')]\
         .some(line => line.dataset.nick === {nick:?} && line.textContent.includes({words:?}))"
    )
}

/// An expression: how often the page has told of this end. Its present state may be another by the time one looks: it
/// comes back by itself, and may be sent away again.
fn ends(cause: &str) -> String {
    format!(
        "[...document.querySelectorAll('#log li[data-kind=end]')]\
         .filter(line => line.textContent.startsWith('Ended: ' + {cause:?})).length"
    )
}

fn ended(cause: &str) -> String {
    format!("{} > 0", ends(cause))
}

#[test]
fn two_pages_talk_and_are_told_of_arrivals_and_departures() {
    let Some(mut browser) = Browser::start() else { return };
    let server = ChatServer::start(&[]);
    for transport in TRANSPORTS {
        // A room keeps what was said last: each of these begins with none.
        let ann = enter_room(&mut browser, &server, transport, "ann", transport);
        let bob = enter_room(&mut browser, &server, transport, "bob", transport);
        let is_announced = transport != "long_poll";
        if is_announced {
            browser.wait_until(&ann, &shows("came", "bob", ""));
        }
        // Text stays text.
        say(&mut browser, &bob, "hello <b>ann</b>");
        browser.wait_until(&ann, &shows("said", "bob", "hello <b>ann</b>"));
        browser
            .wait_until(&bob, "document.querySelector('.said.own') && !document.querySelector('.pending')");
        say(&mut browser, &ann, "hello bob");
        browser.wait_until(&bob, &shows("said", "ann", "hello bob"));
        assert_eq!(browser.evaluate(&ann, "document.querySelectorAll('.said').length"), 2, "{transport}");
        if is_announced {
            browser.evaluate(&bob, "document.getElementById('leave').click()");
            browser.wait_until(&ann, &shows("left", "bob", "closed by the peer"));
            let cid = enter_room(&mut browser, &server, transport, "cid", transport);
            browser.wait_until(&ann, &shows("came", "cid", ""));
            browser.close(cid);
            browser.wait_until(&ann, &shows("left", "cid", "closed by the peer"));
        }
        browser.close(ann);
        browser.close(bob);
    }
}

#[test]
fn pages_on_different_transports_share_a_room() {
    let Some(mut browser) = Browser::start() else { return };
    let server = ChatServer::start(&[]);
    let calls = TRANSPORTS.map(|transport| enter(&mut browser, &server, transport, transport));
    say(&mut browser, &calls[0], "who hears me?");
    for page in &calls {
        browser.wait_until(page, &shows("said", "websocket", "who hears me?"));
    }
}

#[test]
fn a_newcomer_sees_what_was_said_before() {
    let Some(mut browser) = Browser::start() else { return };
    let server = ChatServer::start(&[]);
    let ann = enter(&mut browser, &server, "ann", "websocket");
    for text in ["good morning", "anyone?"] {
        say(&mut browser, &ann, text);
        browser.wait_until(&ann, &shows("said", "ann", text));
    }
    for transport in TRANSPORTS {
        let page = enter(&mut browser, &server, "bob", transport);
        browser.wait_until(&page, &format!("{SAID} === 'good morning,anyone?'"));
        browser.close(page);
    }
}

#[test]
fn a_page_that_comes_back_shows_what_it_missed_and_nothing_twice() {
    let Some(mut browser) = Browser::start() else { return };
    let settings = [("ABEYANCE_ENTER_TIMEOUT", "2s"), ("ABEYANCE_ENTER_HEARTBEAT", "500ms")];
    let server = ChatServer::start(&settings);
    for transport in TRANSPORTS {
        let ann = enter_room(&mut browser, &server, transport, "ann", transport);
        let bob =
            format!("bob = text => fetch('/say/{transport}?nick=bob', {{ method: 'POST', body: text }})");
        browser.evaluate(&ann, &bob);
        browser.evaluate(&ann, "bob('one')");
        browser.wait_until(&ann, &shows("said", "bob", "one"));
        say(&mut browser, &ann, "and ann");
        browser.wait_until(&ann, &format!("{SAID} === 'one,and ann' && !document.querySelector('.pending')"));
        // Sent while no hold is there: after its end. Of polls the second message is, behind the one that is answered.
        let begin =
            if transport == "long_poll" { "true" } else { "document.body.dataset.state === 'waiting'" };
        browser.wait_until(&ann, &format!("({begin}) && bob('two').then(() => bob('three'))"));
        browser.wait_until(&ann, &format!("{SAID} === 'one,and ann,two,three' && {OPEN}"));
        browser.evaluate(&ann, "bob('four')");
        // A message that came twice would be there by now.
        browser.wait_until(&ann, &shows("said", "bob", "four"));
        assert_eq!(browser.evaluate(&ann, SAID), "one,and ann,two,three,four", "{transport}");
        browser.close(ann);
    }
}

#[test]
fn a_page_in_a_silent_room_is_resumed_and_comes_back() {
    let Some(mut browser) = Browser::start() else { return };
    for (transport, cause) in
        [("websocket", "timeout"), ("sse", "timeout"), ("stream", "resumed"), ("long_poll", "")]
    {
        let settings = [("ABEYANCE_ENTER_TIMEOUT", "2s"), ("ABEYANCE_ENTER_HEARTBEAT", "500ms")];
        let server = ChatServer::start(&settings);
        let ann = enter(&mut browser, &server, "ann", transport);
        if transport == "long_poll" {
            // An empty answer is no end to the page: it asks again.
            browser.wait_until(&ann, "document.getElementById('state').textContent.endsWith('poll 2')");
        } else {
            browser.wait_until(&ann, &ended(cause));
            browser.wait_until(&ann, &format!("document.body.dataset.returns > 0 && {OPEN}"));
        }
        browser.close(ann);
    }
}

#[test]
fn the_oldest_page_makes_room_and_the_others_are_told_why() {
    let Some(mut browser) = Browser::start() else { return };
    for (transport, cause) in
        [("websocket", "evicted"), ("sse", "evicted"), ("stream", "resumed"), ("long_poll", "unavailable")]
    {
        let settings = [("ABEYANCE_MAX_SUSPENDED", "2"), ("ABEYANCE_WHEN_FULL", "resume_oldest")];
        let server = ChatServer::start(&settings);
        // A poll that gets a message is not the oldest hold any more, so this uses another room.
        let room = if transport == "long_poll" { "quiet" } else { "den" };
        let ann = enter_room(&mut browser, &server, room, "ann", transport);
        let bob = enter(&mut browser, &server, "bob", "websocket");
        // Refused while ann's hold is younger than a second; the page comes back by itself until it is let in.
        let cid = enter(&mut browser, &server, "cid", "websocket");
        browser.wait_until(&ann, &ended(cause));
        if transport != "long_poll" {
            browser.wait_until(&bob, &shows("left", "ann", "evicted to make room"));
        }
        // Coming back, she takes the place of the oldest in her turn.
        browser.wait_until(&bob, &ended("evicted"));
        browser.wait_until(&ann, OPEN);
        for page in [ann, bob, cid] {
            browser.close(page);
        }
    }
}

#[test]
fn pages_come_back_when_the_server_does() {
    let Some(mut browser) = Browser::start() else { return };
    let drain = [("ABEYANCE_DRAIN", "2s")];
    let mut server = ChatServer::start(&drain);
    let causes = ["drained", "drained", "resumed", "unavailable"];
    let calls = TRANSPORTS.map(|transport| enter(&mut browser, &server, transport, transport));
    let come_back = |browser: &mut Browser| {
        for page in &calls {
            browser.wait_until(page, OPEN);
        }
        // All of them hear each other again.
        say(browser, &calls[0], "still there?");
        for page in &calls {
            browser.wait_until(page, &shows("said", "websocket", "still there?"));
        }
    };

    assert!(server.stop().success());
    for (page, cause) in calls.iter().zip(causes) {
        browser.wait_until(page, &ended(cause));
    }
    let mut server = ChatServer::start_at(&server.address, &drain);
    come_back(&mut browser);

    for page in &calls {
        browser.evaluate(page, &format!("document.body.dataset.before = {}", ends("cut")));
    }
    server.kill();
    for page in &calls {
        browser.wait_until(page, &format!("{} > document.body.dataset.before", ends("cut")));
    }
    let _server = ChatServer::start_at(&server.address, &drain);
    come_back(&mut browser);
}

#[test]
fn a_page_that_is_refused_shows_what_was_wrong_and_stays_away() {
    let Some(mut browser) = Browser::start() else { return };
    let server = ChatServer::start(&[]);
    let nick = "a-nick-of-more-than-thirty-two-characters";
    for transport in ["stream", "long_poll"] {
        let page = browser.page(&server.url(&format!("auto=1&nick={nick}&transport={transport}")));
        browser.wait_until(&page, "document.body.dataset.state === 'ended'");
        browser.wait_until(&page, "document.body.innerText.includes('a nick of 1 to 32 characters, please')");
        browser.close(page);
    }
}
