//! The settings of a server, as code writes them: one method each, from the table of settings.

use std::time::Duration;

use super::builder::Server;
use crate::settings::{Headers, Networks, Origins, server_settings};
use abeyance_core::words::allowed_origins::OriginCheck;
use abeyance_core::words::retention::{Pattern, Retention, Rule};
use abeyance_settings::endpoint::WhenFull;

/// Makes the method of each row.
macro_rules! methods {
    ($($section:literal { $(
        $(#[doc = $doc:literal])+
        pub $name:ident $variant:ident: $kind:ident $(= $default:expr)?, $default_text:literal
        $(, least $least:expr, $least_why:literal)? $(, most $most:expr, $most_why:literal)?;
    )+ })+) => {
        /// Settings. The [reference](crate::guide::settings) has them in a table.
        impl Server {
            $($(methods! { @one $name $kind {
                $(#[doc = $doc])+
                #[doc = concat!("\n\nUnless set: ", $default_text, ".")]
            } })+)+
        }
    };
    (@one $name:ident Address { $(#[$doc:meta])+ }) => {
        $(#[$doc])+
        #[must_use]
        pub fn $name(mut self, address: impl Into<String>) -> Self {
            self.0.options.$name = Some(address.into());
            self
        }
    };
    (@one $name:ident Networks $docs:tt) => { methods! { @list $name Networks $docs } };
    (@one $name:ident Origins $docs:tt) => { methods! { @list $name Origins $docs } };
    (@one $name:ident Headers $docs:tt) => { methods! { @list $name Headers $docs } };
    (@list $name:ident $kind:ident { $(#[$doc:meta])+ }) => {
        $(#[$doc])+
        #[must_use]
        pub fn $name(mut self, list: impl IntoIterator<Item: AsRef<str>>) -> Self {
            match list.into_iter().map(|one| $kind::read_one(one.as_ref())).collect() {
                Ok(list) => self.0.options.$name = Some(list),
                Err(fault) => self.0.faults.push(format!("`Server::{}`: {fault}", stringify!($name))),
            }
            self
        }
    };
    (@one $name:ident Count $docs:tt) => { methods! { @value $name count: usize, $docs } };
    (@one $name:ident CountOrZero $docs:tt) => { methods! { @value $name count: usize, $docs } };
    (@one $name:ident Size $docs:tt) => { methods! { @value $name bytes: usize, $docs } };
    (@one $name:ident Span $docs:tt) => { methods! { @value $name duration: Duration, $docs } };
    (@one $name:ident SpanOrZero $docs:tt) => { methods! { @value $name duration: Duration, $docs } };
    (@one $name:ident WhenFull $docs:tt) => { methods! { @value $name rule: WhenFull, $docs } };
    (@value $name:ident $value:ident: $type:ty, { $(#[$doc:meta])+ }) => {
        $(#[$doc])+
        #[must_use]
        pub fn $name(mut self, $value: $type) -> Self {
            self.0.options.$name = Some($value);
            self
        }
    };
}

server_settings! { methods! {} }

/// What only code can set.
impl Server {
    /// Has a topic keep a bounded part of its past, for clients that come back: the topic of this name, or with a `*` at
    /// the end every topic whose name begins so. Other topics keep nothing. What clients see of it
    /// is told under [Coming back](crate#coming-back).
    ///
    /// ```
    /// use abeyance::{Retention, Server};
    ///
    /// let server = Server::new()
    ///     .topic("news", Retention::default())
    ///     .topic("rooms/*", Retention::new().count(20));
    /// ```
    ///
    /// Of several patterns that fit a topic the most specific counts: its name, then the longest prefix. A pattern with a
    /// `*` elsewhere, a pattern that is given twice, and a [`Retention`] that would keep nothing or keep it for more than a
    /// year are faults, told at start. The environment has no variable for it.
    #[must_use]
    pub fn topic(mut self, pattern: impl AsRef<str>, keep: Retention) -> Self {
        let pattern = pattern.as_ref();
        if let Err(fault) = self.keep(pattern, keep) {
            self.0.faults.push(format!("`Server::topic({pattern:?}, ..)`: {fault}"));
        }
        self
    }

    fn keep(&mut self, pattern: &str, keep: Retention) -> Result<(), String> {
        let pattern = Pattern::read(pattern).map_err(|fault| fault.to_string())?;
        let topics = &mut self.0.topics;
        if topics.iter().any(|rule| rule.pattern == pattern) {
            return Err(String::from("this pattern is given twice"));
        }
        // Remembered even if it is wrong, so that giving it twice is told as well.
        topics.push(Rule { pattern, keep });
        keep.fault().map_or(Ok(()), |fault| Err(fault.to_owned()))
    }

    /// Lets the pages of an origin connect if `judge` says so, beside those of
    /// [`allowed_origins`](Server::allowed_origins). It is called for requests that bring an `Origin` which is not the
    /// server's own, with that text as it came, and must be quick. If it panics the request is answered with `500`.
    ///
    /// ```
    /// let server = abeyance::Server::new().allow_origins_if(|origin| {
    ///     origin.strip_prefix("https://").is_some_and(|host| host.ends_with(".example.com"))
    /// });
    /// ```
    #[must_use]
    pub fn allow_origins_if(mut self, judge: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.0.origin_check = Some(OriginCheck::new(judge));
        self
    }
}
