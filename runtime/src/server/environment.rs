//! What the environment says: `ABEYANCE_<SETTING>` for the server, `ABEYANCE_<FUNCTION>_<SETTING>` for a function.

use crate::settings::{ServerKey, ServerOptions};
use abeyance_settings::endpoint::{EndpointKey, EndpointOptions};

const PREFIX: &str = "ABEYANCE_";

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    pub(crate) server: ServerOptions,
    /// By the function's name; functions of the same name in several modules share it. With the variables that say it.
    functions: Vec<(String, EndpointOptions, Vec<String>)>,
    pub(crate) faults: Vec<String>,
}

impl Environment {
    /// Reads the variables that begin with `ABEYANCE_`; `functions` are the names that are mounted.
    ///
    /// A name that fits nothing is a fault: a limit with a mistyped name would not be one.
    pub(crate) fn read(
        variables: impl IntoIterator<Item = (String, String)>,
        functions: &[&str],
    ) -> Environment {
        let mut environment = Environment::default();
        let mut variables: Vec<_> =
            variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
        variables.sort();
        for (name, value) in variables {
            if let Err(fault) = environment.take(&name, &value, functions) {
                environment.faults.push(fault);
            }
        }
        environment
    }

    /// What was said of one function.
    pub(crate) fn function(&self, name: &str) -> EndpointOptions {
        let said = self.functions.iter().find(|(known, ..)| *known == upper(name));
        said.map_or(EndpointOptions::NONE, |(_, settings, _)| *settings)
    }

    /// The variables that said something of one function.
    pub(crate) fn variables(&self, name: &str) -> &[String] {
        let said = self.functions.iter().find(|(known, ..)| *known == upper(name));
        said.map_or(&[], |(.., variables)| variables)
    }

    fn take(&mut self, name: &str, value: &str, functions: &[&str]) -> Result<(), String> {
        let told = |fault| format!("{name}={value:?}: {fault}");
        let rest = &name[PREFIX.len()..];
        if let Some(setting) = ServerKey::ALL.iter().copied().find(|setting| upper(setting.as_str()) == rest)
        {
            return self.server.set(setting, value).map_err(told);
        }
        let fitting = functions.iter().filter_map(|function| {
            let function = upper(function);
            let key = rest.strip_prefix(&function)?.strip_prefix('_')?;
            let key = EndpointKey::ALL.iter().copied().find(|known| upper(known.as_str()) == key)?;
            Some((function, key))
        });
        // Of `chat` and `chat_max`, the longer name takes `CHAT_MAX_…` if what is left is a setting.
        let Some((function, key)) = fitting.max_by_key(|(function, _)| function.len()) else {
            return Err(unknown(name, value, functions));
        };
        let slot = self.functions.iter().position(|(known, ..)| *known == function);
        let slot = slot.unwrap_or_else(|| {
            self.functions.push((function, EndpointOptions::NONE, Vec::new()));
            self.functions.len() - 1
        });
        let (_, settings, variables) = &mut self.functions[slot];
        settings.set(key, value).map_err(told)?;
        variables.push(name.to_owned());
        Ok(())
    }
}

fn upper(name: &str) -> String {
    name.trim_start_matches("r#").to_ascii_uppercase()
}

fn unknown(name: &str, value: &str, functions: &[&str]) -> String {
    let rest = &name[PREFIX.len()..];
    let function = functions.iter().find(|function| rest.starts_with(&format!("{}_", upper(function))));
    let (whose, known): (_, Vec<_>) = match function {
        Some(function) => {
            let prefix = format!("{PREFIX}{}_", upper(function));
            (
                format!("`{function}`"),
                EndpointKey::ALL.iter().map(|key| prefix.clone() + &upper(key.as_str())).collect(),
            )
        }
        None => {
            let server = ServerKey::ALL.iter().map(|setting| format!("{PREFIX}{}", upper(setting.as_str())));
            let functions = functions.iter().map(|function| format!("{PREFIX}{}_…", upper(function)));
            (String::from("the server"), server.chain(functions).collect())
        }
    };
    format!("{name}={value:?}: no setting of {whose} has that name; there are {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use abeyance_settings::endpoint::{WhenEvicted, WhenSlow};

    fn read(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Environment::read(variables, &["enter", "chat", "chat_max"])
    }

    #[test]
    fn every_setting_of_the_server_can_be_said() {
        let environment = read(&[
            ("PATH", "/bin"),
            ("ABEYANCE_LISTEN", "0.0.0.0:80"),
            ("ABEYANCE_MAX_SUSPENDED", "100000"),
            ("ABEYANCE_MAX_CONNECTIONS", "300"),
            ("ABEYANCE_MAX_REQUESTS", "200"),
            ("ABEYANCE_MAX_HEAD", "32KiB"),
            ("ABEYANCE_MAX_ADMITTING", "5"),
            ("ABEYANCE_MAX_SCHEDULED", "0"),
            ("ABEYANCE_LAST_ENDS", "7"),
            ("ABEYANCE_MAX_PER_PEER", "8"),
            ("ABEYANCE_MAX_PER_KEY", "5"),
            ("ABEYANCE_MAX_UNHELD_PER_PEER", "64"),
            ("ABEYANCE_MAX_CONNECTS_PER_PEER", "9"),
            ("ABEYANCE_WHEN_FULL", "resume_oldest"),
            ("ABEYANCE_DRAIN", "1m30s"),
            ("ABEYANCE_HEAD_TIMEOUT", "1s"),
            ("ABEYANCE_FUNCTION_TIMEOUT", "2s"),
            ("ABEYANCE_HOOK_TIMEOUT", "3s"),
            ("ABEYANCE_WRITE_TIMEOUT", "4s"),
            ("ABEYANCE_CLOSE_TIMEOUT", "5s"),
            ("ABEYANCE_KEEP_ALIVE", "6s"),
            ("ABEYANCE_MAX_BUFFERED", "512MiB"),
            ("ABEYANCE_MAX_RETAINED", "1MiB"),
            ("ABEYANCE_MAX_TOPICS", "3"),
            ("ABEYANCE_TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
            (
                "ABEYANCE_ALLOWED_ORIGINS",
                "https://Example.com,http://localhost:3000,capacitor://localhost,null",
            ),
            ("ABEYANCE_ALLOWED_HEADERS", "X-CSRF-Token, traceparent"),
        ]);
        assert_eq!(environment.faults, [""; 0]);
        let told = [
            "listen=0.0.0.0:80",
            "max_suspended=100000 max_per_peer=8 max_per_key=5 when_full=resume_oldest max_admitting=5 max_topics=3",
            "max_connections=300 max_unheld_per_peer=64 max_connects_per_peer=9 max_requests=200 max_head=32KiB",
            "head_timeout=1s function_timeout=2s hook_timeout=3s write_timeout=4s close_timeout=5s keep_alive=6s \
             drain=1m30s",
            "max_buffered=512MiB max_retained=1MiB max_scheduled=0 last_ends=7",
            "trusted_proxies=10.0.0.0/8,::1/128 \
             allowed_origins=https://example.com,http://localhost:3000,capacitor://localhost,null \
             allowed_headers=X-CSRF-Token,traceparent",
        ];
        let report = environment.server.resolve().report();
        assert_eq!(report.iter().map(|(_, values)| values.join(" ")).collect::<Vec<_>>(), told);
    }

    #[test]
    fn a_functions_settings_are_said_under_its_name() {
        let environment = read(&[
            ("ABEYANCE_ENTER_TIMEOUT", "5s"),
            ("ABEYANCE_ENTER_MAX_SUSPENDED", "7"),
            ("ABEYANCE_CHAT_MAX_IDLE", "none"),
            ("ABEYANCE_CHAT_MAX_MAX_IDLE", "1h"),
            ("ABEYANCE_CHAT_WHEN_SLOW", "drop_oldest"),
            ("ABEYANCE_ENTER_WHEN_EVICTED", "stay_away"),
        ]);
        assert_eq!(environment.faults, [""; 0]);
        let enter = environment.function("enter");
        assert_eq!((enter.timeout, enter.max_suspended), (Some(Some(Duration::from_secs(5))), Some(7)));
        assert_eq!(enter.when_evicted, Some(WhenEvicted::StayAway));
        let chat = environment.function("chat");
        assert_eq!((chat.max_idle, chat.when_slow), (Some(None), Some(WhenSlow::DropOldest)));
        assert_eq!(environment.function("chat_max").max_idle, Some(Some(Duration::from_secs(3600))));
        assert_eq!(environment.function("other"), EndpointOptions::NONE);
        assert_eq!(environment.variables("chat"), ["ABEYANCE_CHAT_MAX_IDLE", "ABEYANCE_CHAT_WHEN_SLOW"]);
        assert_eq!(environment.variables("other"), [""; 0]);
    }

    #[test]
    fn a_fault_names_the_variable_quotes_the_value_and_shows_a_right_one() {
        for (name, value, hints) in [
            ("ABEYANCE_DRAIN", "10", ["ABEYANCE_DRAIN=\"10\"", "\"30s\""]),
            ("ABEYANCE_LISTEN", "8080", ["\"8080\"", "\"127.0.0.1:8080\""]),
            ("ABEYANCE_LISTEN", ":8080", ["\":8080\"", "\"127.0.0.1:8080\""]),
            ("ABEYANCE_WHEN_FULL", "evict", ["\"evict\"", "\"resume_oldest\""]),
            ("ABEYANCE_MAX_BUFFERED", "512", ["ABEYANCE_MAX_BUFFERED=\"512\"", "write \"512B\""]),
            ("ABEYANCE_MAX_BUFFERED", "31KiB", ["\"31KiB\"", "at least \"32KiB\""]),
            ("ABEYANCE_MAX_HEAD", "4KiB", ["\"4KiB\"", "at least \"8KiB\""]),
            ("ABEYANCE_MAX_REQUESTS", "0", ["ABEYANCE_MAX_REQUESTS=\"0\"", "refuse everybody"]),
            ("ABEYANCE_MAX_RETAINED", "0B", ["\"0B\"", "zero bytes"]),
            ("ABEYANCE_MAX_TOPICS", "0", ["\"0\"", "no topic could be joined"]),
            ("ABEYANCE_TOPIC", "news", ["ABEYANCE_TOPIC=\"news\"", "ABEYANCE_MAX_RETAINED"]),
            ("ABEYANCE_TRUSTED_PROXIES", "10.0.0.0/8,proxy", ["\"proxy\"", "\"10.0.0.0/8\""]),
            ("ABEYANCE_ALLOWED_ORIGINS", "https://a.b/", ["no path", "\"https://example.com\""]),
            ("ABEYANCE_ALLOWED_ORIGINS", "a.b", ["\"a.b\"", "\"https://example.com\""]),
            ("ABEYANCE_ALLOWED_HEADERS", "X CSRF", ["\"X CSRF\"", "\"X-CSRF-Token\""]),
            ("ABEYANCE_ENTER_TIMEOUT", "30", ["ABEYANCE_ENTER_TIMEOUT", "\"30s\""]),
            ("ABEYANCE_DRIAN", "10s", ["ABEYANCE_DRIAN=\"10s\"", "ABEYANCE_DRAIN"]),
            ("ABEYANCE_ENTER_WHEN_SLOW", "drop", ["ABEYANCE_ENTER_WHEN_SLOW=\"drop\"", "\"drop_newest\""]),
            ("ABEYANCE_ENTER_IDLE", "10s", ["`enter`", "ABEYANCE_ENTER_MAX_IDLE"]),
            ("ABEYANCE_LEAVE_TIMEOUT", "10s", ["ABEYANCE_LEAVE_TIMEOUT", "ABEYANCE_ENTER_…"]),
        ] {
            let faults = read(&[(name, value)]).faults;
            assert_eq!(faults.len(), 1, "{faults:?}");
            for hint in hints {
                assert!(faults[0].contains(hint), "{hint} is not in: {}", faults[0]);
            }
        }
    }

    #[test]
    fn all_faults_are_told() {
        assert_eq!(read(&[("ABEYANCE_A", "1"), ("ABEYANCE_DRAIN", "x"), ("ABEYANCE_", "")]).faults.len(), 3);
    }
}
