//! Which topics keep their past: a pattern is written as it was read, and the most exact rule counts.

use abeyance_core::mechanisms::history::Rules;
use abeyance_core::words::retention::{Pattern, Retention, Rule};

/// Patterns, a line each, up to an empty line; then names of topics.
pub(crate) fn topics(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut patterns: Vec<&str> = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()).take(32) {
        let stars = line.matches('*').count();
        match Pattern::read(line) {
            Ok(pattern) => {
                assert_eq!(pattern.to_string(), line);
                assert!(stars == 0 || stars == 1 && line.ends_with('*'), "{line:?}");
                if !patterns.contains(&line) {
                    patterns.push(line);
                }
            }
            Err(misread) => {
                assert!(stars > 0, "{line:?}: {misread}");
                assert!(misread.to_string().contains(&format!("{line:?}")));
            }
        }
    }
    let rule =
        |line: &&str| Rule { pattern: Pattern::read(line).expect("read before"), keep: Retention::default() };
    let rules = Rules::new(patterns.iter().map(rule).collect());
    for topic in lines {
        let fits = |pattern: &&&str| match pattern.strip_suffix('*') {
            Some(prefix) => topic.starts_with(prefix),
            None => **pattern == topic,
        };
        // A name is more exact than any prefix, and a long prefix than a short one.
        let exactness = |pattern: &&&str| (!pattern.ends_with('*'), pattern.len());
        let expected = patterns.iter().filter(fits).max_by_key(exactness);
        assert_eq!(rules.of(topic).map(|rule| &patterns[rule]), expected, "{topic:?}");
    }
}
