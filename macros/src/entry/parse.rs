//! What was written for `main`.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::LitStr;

use crate::faults::Faults;
use crate::function::Function;
use crate::pairs::{Value, pairs};
use crate::setting::Written;
use abeyance_settings::amount::{self, A_DURATION, Misread};
use abeyance_settings::endpoint::EndpointKey;

/// An annotation and its `main`, as written.
pub(super) struct Parsed {
    pub(super) listen: Option<LitStr>,
    pub(super) written: Written,
    pub(super) drain: Option<Duration>,
    pub(super) runtime: Option<syn::Path>,
    pub(super) function: Function,
}

const KNOWN: [&str; 6] = ["listen", "max_suspended", "max_per_peer", "when_full", "drain", "crate"];

/// What a fault of `listen` says was expected.
const AN_ADDRESS: &str = "an address such as \"127.0.0.1:8080\"";

/// Reads what was written; `None` if there is no function to go on with.
pub(super) fn parse(annotation: TokenStream, item: TokenStream, faults: &mut Faults) -> Option<Parsed> {
    let mut listen = None;
    let mut drain = None;
    let mut runtime = None;
    let mut written = Written::default();
    for pair in pairs(annotation, &KNOWN, faults) {
        match (&*pair.name(), EndpointKey::named(&pair.name())) {
            (_, Some(key)) => written.read(key, &pair.value, faults),
            ("listen", _) => listen = read_listen(&pair.value, faults),
            ("drain", _) => drain = read_drain(&pair.value, faults),
            _ => runtime = crate::suspend::read_runtime(&pair.value, faults),
        }
    }
    let function = Function::read(item, "abeyance::main", faults)?;
    Some(Parsed { listen, written, drain, runtime, function })
}

fn read_listen(value: &Value, faults: &mut Faults) -> Option<LitStr> {
    let Ok(listen) = syn::parse2::<LitStr>(value.to_token_stream()) else {
        faults.at(value, Misread::new(AN_ADDRESS, format!("`{}`", value.to_token_stream()), ""));
        return None;
    };
    match judge_address(&listen.value()) {
        Ok(()) => Some(listen),
        Err(why) => {
            faults.at(&listen, Misread::new(AN_ADDRESS, format!("{:?}", listen.value()), why));
            None
        }
    }
}

/// Whether this can be an address; a name in it is only known at start.
fn judge_address(address: &str) -> Result<(), String> {
    let Some((host, port)) = address.rsplit_once(':') else {
        return Err(match address.parse::<u16>() {
            Ok(port) => format!("the host is missing: write \"0.0.0.0:{port}\""),
            Err(_) => format!("the port is missing: write \"{address}:8080\""),
        });
    };
    if port.parse::<u16>().is_err() {
        return Err(format!("\"{port}\" is not a port"));
    }
    if host.is_empty() {
        return Err(format!("the host is missing: write \"0.0.0.0:{port}\""));
    }
    if host.contains(':') && address.parse::<std::net::SocketAddr>().is_err() {
        return Err(format!("an IPv6 address stands in brackets, as in \"[::1]:{port}\""));
    }
    if host.contains(['/', '@']) || host.contains(char::is_whitespace) {
        return Err(String::from("a host and a port, nothing else"));
    }
    Ok(())
}

fn read_drain(value: &Value, faults: &mut Faults) -> Option<Duration> {
    let found = format!("`{}`", value.to_token_stream());
    let read = match syn::parse2::<LitStr>(value.to_token_stream()) {
        Ok(drain) => amount::duration(&drain.value()),
        Err(_) => match amount::duration(found.trim_matches('`')) {
            Ok(_) => Err(Misread::new(A_DURATION, found, "write it in quotes")),
            Err(misread) => Err(misread.found(found)),
        },
    };
    read.map_err(|misread| faults.at(value, misread)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for address in ["127.0.0.1:8080", "[::1]:0", "localhost:80", "0.0.0.0:65535"] {
            assert_eq!(judge_address(address), Ok(()), "{address}");
        }
        for (address, why) in [
            ("8080", "\"0.0.0.0:8080\""),
            (":8080", "\"0.0.0.0:8080\""),
            ("localhost", "\"localhost:8080\""),
            ("localhost:http", "\"http\""),
            ("localhost:65536", "\"65536\""),
            ("::1:80", "\"[::1]:80\""),
            ("http://localhost:80", "brackets"),
            ("a b:80", "nothing else"),
        ] {
            assert!(judge_address(address).is_err_and(|told| told.contains(why)), "{address}");
        }
    }
}
