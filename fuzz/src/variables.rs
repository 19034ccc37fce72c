//! What the environment says: each variable is understood or told, and what is understood can be served with.

use abeyance::__fuzzing::{Variables, network, origin};

const FUNCTIONS: [&str; 4] = ["enter", "chat", "chat_max", "r#type"];

/// Variables, a line each, `name=value`.
pub(crate) fn variables(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let variables = text.lines().filter_map(|line| line.split_once('='));
    let variables: Vec<_> = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let ours = variables.iter().filter(|(name, _)| name.starts_with("ABEYANCE_"));
    let environment = Variables::read(variables.clone(), &FUNCTIONS);
    assert!(environment.faults().len() <= ours.count());
    for fault in environment.faults() {
        let is_named = |(name, value): &(String, String)| fault.starts_with(&format!("{name}={value:?}: "));
        assert!(variables.iter().any(is_named), "{fault:?} is of no variable");
        assert!(!fault.contains('\n'), "{fault:?} takes two lines");
    }
    // One by one it is the same: no variable spoils its neighbour.
    let alone = variables.iter().map(|variable| Variables::read([variable.clone()], &FUNCTIONS));
    let mut alone: Vec<_> = alone.flat_map(|environment| environment.faults().to_vec()).collect();
    let mut faults = environment.faults().to_vec();
    alone.sort();
    faults.sort();
    assert_eq!(alone, faults);

    for function in FUNCTIONS.iter().chain(&["other"]) {
        let settings = environment.function(function);
        for contradiction in settings.contradictions() {
            assert!(!contradiction.to_string().is_empty());
        }
        let _ = settings.resolve();
    }
    let resolved = environment.resolve(1024);
    let policy = resolved.unwrap_or_else(|faults| panic!("text can say what code must not: {faults:?}"));
    assert!(policy.max_suspended > 0);
    for origin in &policy.allowed_origins {
        assert_eq!(self::origin(origin).as_ref(), Ok(origin), "as browsers write it");
    }
    for proxy in &policy.trusted_proxies {
        assert_eq!(network(&proxy.to_string()), Ok(*proxy));
    }
}
