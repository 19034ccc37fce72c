//! The id that an event stream gives last when its client is to stay away.
//!
//! An `EventSource` comes back by itself after every end, with the last id that it was given. So the id itself says that it
//! was told to stay away, and nothing has to be remembered of it. Behind the mark stands where it was: a page that comes
//! back because its user wants it to can say so with `?last_event_id=`.

use super::event_id::EventId;

const MARK: &str = "abeyance-stay-away";

/// The id for who stood there, if that is known.
pub fn marked(id: Option<EventId>) -> String {
    id.map_or_else(|| MARK.to_owned(), |id| format!("{MARK}/{id}"))
}

/// What stands behind the mark, perhaps nothing; `None` if there is no mark.
pub fn behind_mark(id: &str) -> Option<&str> {
    let rest = id.strip_prefix(MARK)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_the_mark_stands_what_was_put_there() {
        let id = EventId::midway(1, 2, 3);
        assert_eq!(behind_mark(&marked(Some(id))), Some(&*id.to_string()));
        assert_eq!(behind_mark(&marked(None)), Some(""));
        for none in ["", "42", "abeyance-stay-awa", "abeyance-stay-away2", " abeyance-stay-away"] {
            assert_eq!(behind_mark(none), None, "{none:?}");
        }
        assert_eq!(behind_mark(&EventId::new(1, 2).to_string()), None);
    }
}
