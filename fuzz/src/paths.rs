//! Patterns of paths as annotations have them, and paths of requests: what the macro takes the router takes, and
//! what a pattern captures is what stood in the request, decoded once.

use std::collections::HashMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use http::uri::PathAndQuery;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::de::DeserializeOwned;

use abeyance::__fuzzing::Routes;
use abeyance::Refusal;
use abeyance::extract::Path;
use abeyance_settings::path::captures;

/// What a test pattern's captures are filled with.
const VALUES: [&str; 4] = ["a", "seat 7", "%41/ü", "{x}"];

/// Patterns, a line each, up to an empty line; then paths of requests, a line each.
pub(crate) fn paths(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut patterns: Vec<(&str, Vec<String>)> = Vec::new();
    for pattern in lines.by_ref().take_while(|line| !line.is_empty()).take(16) {
        if let Ok(names) = captures(pattern) {
            fills(pattern, &names);
            patterns.push((pattern, names));
        }
    }
    let paths: Vec<_> = patterns.iter().map(|(path, _)| *path).collect();
    let routes = match Routes::new(&paths) {
        Ok(routes) => routes,
        Err(faults) => {
            assert!(patterns.len() > 1, "the macro takes what the router refuses: {faults:?}");
            return;
        }
    };
    for path in lines.take(16) {
        let Ok(path) = PathAndQuery::try_from(path) else { continue };
        if let Some((index, parts)) = routes.at(path.path()) {
            extracts(&parts, &patterns[index], path.path());
        }
    }
}

/// A pattern whose captures are filled is found, and gives back what they were filled with.
fn fills(pattern: &str, names: &[String]) {
    let routes = Routes::new(&[pattern]).expect("the macro took it");
    let mut path = String::from(pattern);
    let mut expected = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let value = VALUES[(place + pattern.len()) % VALUES.len()];
        let encoded = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        // What stands in doubled braces is no capture, even where it has the same name.
        path = path.replace("{{", "\u{1}").replace("}}", "\u{2}");
        path =
            path.replacen(&format!("{{{name}}}"), &encoded, 1).replacen(&format!("{{*{name}}}"), &encoded, 1);
        path = path.replace('\u{1}', "{{").replace('\u{2}', "}}");
        expected.push((name.clone(), value.to_owned()));
    }
    let path = path.replace("{{", "{").replace("}}", "}");
    let found = routes.at(&path);
    let (_, parts) = found.unwrap_or_else(|| panic!("{pattern:?} does not match {path:?}"));
    assert_eq!(extract::<Vec<(String, String)>>(&parts), Ok(expected), "{pattern:?} at {path:?}");
}

/// All that was captured can be asked for as any type, and is some part of the path.
fn extracts(parts: &Parts, (pattern, names): &(&str, Vec<String>), path: &str) {
    let decoded = percent_decode_str(path).decode_utf8();
    // What stands beside a capture may begin or end within an escape, and leave half of a letter to the capture.
    let stands_alone = |segment: &str| segment.starts_with('{') && segment.ends_with('}');
    let is_split = !pattern.split('/').all(|segment| !segment.contains('{') || stands_alone(segment));
    match extract::<Vec<(String, String)>>(parts) {
        Ok(pairs) => {
            assert!(pairs.iter().map(|(name, _)| name).eq(names));
            if let Ok(decoded) = decoded
                && !is_split
            {
                assert!(pairs.iter().all(|(_, value)| decoded.contains(value)), "{pairs:?} in {path:?}");
            }
        }
        Err(refused) => {
            assert!(decoded.is_err() || is_split, "{refused} in {path:?}");
            assert_eq!(refused.status(), http::StatusCode::BAD_REQUEST);
        }
    }
    let _ = extract::<String>(parts);
    let _ = extract::<(String, u32)>(parts);
    let _ = extract::<(f64, char, bool)>(parts);
    let _ = extract::<HashMap<String, Option<i128>>>(parts);
    let _ = extract::<std::net::IpAddr>(parts);
    let _ = extract::<Vec<Vec<u8>>>(parts);
    let _ = extract::<()>(parts);
    let _ = extract::<serde_json::Value>(parts);
}

fn extract<T: DeserializeOwned>(parts: &Parts) -> Result<T, Refusal> {
    let mut parts = parts.clone();
    let mut reading = pin!(Path::<T>::from_request_parts(&mut parts, &()));
    match reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(read) => read.map(|Path(value)| value),
        Poll::Pending => panic!("a path is there at once"),
    }
}
