//! Server-sent events as a browser reads them, step by step as WHATWG HTML has it in "interpreting an event stream".

/// What a browser dispatches.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) data: String,
    /// The last one that was given.
    pub(crate) id: String,
}

/// All events of a stream; what stands behind the last empty line is no event.
pub(crate) fn events(stream: &str) -> Vec<Event> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let (mut events, mut kind, mut data, mut id) = (Vec::new(), String::new(), String::new(), String::new());
    let mut rest = stream;
    while let Some(end) = rest.find(['\r', '\n']) {
        let line = &rest[..end];
        let width = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[end + width..];
        if line.is_empty() {
            let data = std::mem::take(&mut data);
            let kind = std::mem::take(&mut kind);
            if let Some(data) = data.strip_suffix('\n') {
                events.push(Event { kind, data: data.to_owned(), id: id.clone() });
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut kind),
            "data" => data.extend([value, "\n"]),
            "id" if !value.contains('\0') => value.clone_into(&mut id),
            _ => {}
        }
    }
    events
}
