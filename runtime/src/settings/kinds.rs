//! The kinds of values that only a server's settings have: an address, and lists, which have commas in text.

use std::net::IpAddr;

use ipnet::IpNet;

use abeyance_core::words::allowed_origins;
use abeyance_settings::amount::Misread;
use abeyance_settings::kind::Kind;

/// Where to listen: a host or an address, and a port.
#[derive(Debug)]
pub(crate) struct Address;

/// Addresses, or networks in CIDR notation.
#[derive(Debug)]
pub(crate) struct Networks;

/// Origins, as browsers write them.
#[derive(Debug)]
pub(crate) struct Origins;

/// Names of header fields.
#[derive(Debug)]
pub(crate) struct Headers;

impl Kind for Address {
    type Value = String;
    const EXPECTED: &'static str = "an address such as \"127.0.0.1:8080\" or \"[::]:8080\"";

    fn read(text: &str) -> Result<String, Misread> {
        let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        match parts.map(|(_, port)| port.parse::<u16>()) {
            Some(Ok(_)) => Ok(text.to_owned()),
            _ => Err(Misread::new(Self::EXPECTED, format!("{text:?}"), "")),
        }
    }

    fn spell(value: &String) -> String {
        value.clone()
    }
}

impl Networks {
    /// Reads one of them.
    pub(crate) fn read_one(text: &str) -> Result<IpNet, Misread> {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(|_| address()).map_err(|_| Misread::new(Self::EXPECTED, format!("{text:?}"), ""))
    }
}

impl Kind for Networks {
    type Value = Vec<IpNet>;
    const EXPECTED: &'static str = "an address or a network such as \"10.0.0.7\" or \"10.0.0.0/8\"";

    fn read(text: &str) -> Result<Vec<IpNet>, Misread> {
        words(text).map(Networks::read_one).collect()
    }

    fn spell(value: &Vec<IpNet>) -> String {
        value.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

impl Origins {
    /// Reads one of them.
    pub(crate) fn read_one(text: &str) -> Result<String, Misread> {
        allowed_origins::read(text).map_err(|why| Misread::new(Self::EXPECTED, format!("{text:?}"), why))
    }
}

impl Kind for Origins {
    type Value = Vec<String>;
    const EXPECTED: &'static str = "an origin such as \"https://example.com\", \"null\" or \"*\"";

    fn read(text: &str) -> Result<Vec<String>, Misread> {
        words(text).map(Origins::read_one).collect()
    }

    fn spell(value: &Vec<String>) -> String {
        value.join(",")
    }
}

impl Headers {
    /// Reads one of them: a token of RFC 9110, 5.6.2.
    pub(crate) fn read_one(text: &str) -> Result<String, Misread> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match !text.is_empty() && text != "*" && text.bytes().all(is_letter) {
            true => Ok(text.to_owned()),
            false => Err(Misread::new(Self::EXPECTED, format!("{text:?}"), "")),
        }
    }
}

impl Kind for Headers {
    type Value = Vec<String>;
    const EXPECTED: &'static str = "the name of a header such as \"X-CSRF-Token\"";

    fn read(text: &str) -> Result<Vec<String>, Misread> {
        words(text).map(Headers::read_one).collect()
    }

    fn spell(value: &Vec<String>) -> String {
        value.join(",")
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}
