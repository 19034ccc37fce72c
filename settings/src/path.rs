//! The path of an annotation, as matchit will read it at start.

/// The names of the captures, in order.
///
/// # Errors
/// Why no request could ever match, or the router would refuse it at start.
pub fn captures(path: &str) -> Result<Vec<String>, String> {
    read(path).map_err(|why| format!("expected a path such as \"/rooms/{{room}}\", found {path:?}: {why}"))
}

fn read(path: &str) -> Result<Vec<String>, String> {
    if !path.starts_with('/') {
        return Err(format!("it starts with a slash: write {:?}", format!("/{path}")));
    }
    if let Some(odd) = path.chars().find(|letter| "?#".contains(*letter)) {
        return Err(format!("`{odd}` ends the path of a request; take the query with `Query`"));
    }
    if path.contains(char::is_whitespace) || path.contains(char::is_control) {
        return Err(String::from("no request's path has white space in it"));
    }
    if let Some(odd) = path.chars().find(|letter| !letter.is_ascii()) {
        return Err(format!("`{odd}` comes percent-encoded in a request; write it so"));
    }
    let mut names: Vec<String> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let Some(name) = capture(segment, segments.peek().is_none())? else { continue };
        if names.contains(&name) {
            return Err(format!("two captures are named `{name}`"));
        }
        names.push(name);
    }
    Ok(names)
}

/// The name of the capture in a segment, if it has one.
fn capture(segment: &str, is_last: bool) -> Result<Option<String>, String> {
    let Some(mut found) = within_braces(segment) else {
        return Err(format!("the braces of `{segment}` do not match"));
    };
    if found.len() > 1 {
        return Err(format!("`{segment}` holds two captures; there is one between two slashes"));
    }
    let Some(capture) = found.pop() else {
        // As other routers wrote captures; here it would match nothing but itself.
        return match segment.strip_prefix(':').filter(|name| !name.is_empty()) {
            Some(name) => Err(format!("write `{{{name}}}` for a capture")),
            None => Ok(None),
        };
    };
    let name = capture.strip_prefix('*').unwrap_or(capture);
    if name.is_empty() {
        return Err(String::from("a capture has a name, as in `{room}`"));
    }
    if !name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
        return Err(format!("the name of a capture is letters, digits and `_`, not `{name}`"));
    }
    if name != capture && (!is_last || segment.len() != capture.len() + 2) {
        return Err(format!("`{{{capture}}}` takes all the rest: nothing can stand beside it"));
    }
    // Nor does the router read this where the name has more than one letter.
    if segment.contains(&format!("{{{capture}}}{{")) {
        return Err(format!("a brace cannot stand right behind `{{{capture}}}`"));
    }
    Ok(Some(name.to_owned()))
}

/// What stands in single braces; doubled ones stand for themselves. `None` if they do not match.
fn within_braces(segment: &str) -> Option<Vec<&str>> {
    let mut found = Vec::new();
    let mut open = None;
    let mut letters = segment.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let doubled = letters.peek().is_some_and(|(_, next)| *next == letter);
        match (letter, open) {
            ('{', None) if doubled => drop(letters.next()),
            // The router pairs them from the left, so that a brace right behind a capture would be part of its name.
            ('}', _) if doubled => drop(letters.next()),
            ('{', None) => open = Some(at + 1),
            ('}', Some(start)) => {
                found.push(&segment[start..at]);
                open = None;
            }
            ('{', Some(_)) | ('}', None) => return None,
            _ => {}
        }
    }
    if open.is_some() { None } else { Some(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_found_in_order() {
        for (path, names) in [
            ("/", &[][..]),
            ("/rooms/{room}/seats/{seat}", &["room", "seat"]),
            ("/images/img-{id}.png", &["id"]),
            ("/{*rest}", &["rest"]),
            ("/{{x}}/{y}", &["y"]),
            ("/a%20b/", &[]),
        ] {
            assert_eq!(
                captures(path).as_deref(),
                Ok(&*names.iter().map(|&n| n.into()).collect::<Vec<String>>())
            );
        }
    }

    #[test]
    fn a_path_that_nothing_matches_is_told_why() {
        for (path, why) in [
            ("rooms", "write \"/rooms\""),
            ("", "write \"/\""),
            ("/a b", "white space"),
            ("/a?b=c", "take the query with `Query`"),
            ("/a#b", "ends the path"),
            ("/é", "percent-encoded"),
            ("/{room", "do not match"),
            ("/room}", "do not match"),
            ("/{a{b}}", "do not match"),
            ("/{}", "has a name"),
            ("/{*}", "has a name"),
            ("/{a}-{b}", "two captures"),
            ("/{*rest}/x", "all the rest"),
            ("/x{*rest}", "all the rest"),
            ("/{a}/{a}", "named `a`"),
            ("/{a:u32}", "letters, digits"),
            ("/{{{a}}}", "not `a}}`"),
            ("/{seat}{{", "right behind `{seat}`"),
            ("/rooms/:room", "write `{room}`"),
        ] {
            let told = captures(path).expect_err(path);
            assert!(told.contains(why), "{path}: {told}");
        }
    }
}
