//! One setting of an annotation: the grammar of the environment, within Rust's own tokens.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{LitInt, LitStr};

use crate::faults::Faults;
use crate::pairs::{Value, pieces};
use abeyance_settings::amount::{A_COUNT, A_SIZE, Misread};
use abeyance_settings::endpoint::{Contradiction, EndpointKey, EndpointOptions, Transport};

/// EndpointOptions as they are read, and where each stands.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) settings: EndpointOptions,
    values: Vec<(EndpointKey, TokenStream)>,
    faulty: Vec<EndpointKey>,
}

impl Written {
    /// Reads one setting; what is faulty is left out.
    pub(crate) fn read(&mut self, key: EndpointKey, value: &Value, faults: &mut Faults) {
        self.values.push((key, value.to_token_stream()));
        let read = match (key, value) {
            (EndpointKey::Transports, _) => self.read_transports(value, faults),
            (_, Value::List(list)) => {
                let misread = Misread::new(key.expected(), format!("`{list}`"), "write it after a `=`");
                faults.at(list, misread);
                None
            }
            (_, Value::Tokens(tokens)) => {
                read_text(key, tokens, &mut self.settings).map_err(|fault| faults.add(fault)).ok()
            }
        };
        if read.is_none() {
            self.faulty.push(key);
        }
    }

    /// Tells what contradicts; a setting that could not be read contradicts nothing.
    pub(crate) fn judge(&self, faults: &mut Faults) {
        for contradiction in self.settings.contradictions() {
            if self.faulty.contains(&contradiction.key) || self.faulty.contains(&contradiction.other) {
                continue;
            }
            if let Some((_, value)) = self.values.iter().find(|(key, _)| *key == contradiction.key) {
                faults.at(value, contradiction);
            }
        }
    }

    fn read_transports(&mut self, value: &Value, faults: &mut Faults) -> Option<()> {
        let Some(list) = list_of(value) else {
            let text = value.to_token_stream().to_string();
            let why = match Transport::read(text.trim_matches('"')) {
                Ok(transport) => format!("write [{}]", transport.as_str()),
                Err(_) => String::new(),
            };
            faults.at(value, Misread::new(EndpointKey::Transports.expected(), format!("`{text}`"), why));
            return None;
        };
        let mut transports = Vec::new();
        let mut whole = true;
        let pieces = pieces(list, faults);
        if pieces.is_empty() {
            faults.at(value, Contradiction::no_transport());
            return None;
        }
        for piece in pieces {
            match read_transport(piece.clone()) {
                Ok(transport) if transports.contains(&transport) => {
                    faults.at(piece, Contradiction::twice(transport));
                    whole = false;
                }
                Ok(transport) => transports.push(transport),
                Err(misread) => {
                    faults.at(piece, misread);
                    whole = false;
                }
            }
        }
        self.settings.transports = Some(Vec::leak(transports));
        whole.then_some(())
    }
}

/// What stands in brackets after `=`, or in parentheses.
fn list_of(value: &Value) -> Option<TokenStream> {
    let tokens = match value {
        Value::List(list) => return Some(list.stream()),
        Value::Tokens(tokens) => tokens.clone(),
    };
    let mut trees = tokens.into_iter();
    match (trees.next(), trees.next()) {
        (Some(TokenTree::Group(list)), None) if list.delimiter() == Delimiter::Bracket => Some(list.stream()),
        _ => None,
    }
}

fn read_transport(piece: TokenStream) -> Result<Transport, Misread> {
    if let Ok(name) = syn::parse2::<Ident>(piece.clone()) {
        return Transport::read(&name.to_string());
    }
    let found = format!("`{piece}`");
    match syn::parse2::<LitStr>(piece) {
        Ok(name) => {
            let transport = Transport::read(&name.value()).map_err(|misread| misread.found(&found))?;
            Err(Misread::new(
                EndpointKey::Transports.expected(),
                found,
                format!("write {} without quotes", transport.as_str()),
            ))
        }
        Err(_) => Err(Misread::new(EndpointKey::Transports.expected(), found, "")),
    }
}

fn read_text(key: EndpointKey, tokens: &TokenStream, settings: &mut EndpointOptions) -> syn::Result<()> {
    let told = |misread: Misread| syn::Error::new_spanned(tokens, misread);
    let number = syn::parse2::<LitInt>(tokens.clone()).ok();
    let string = syn::parse2::<LitStr>(tokens.clone()).ok();
    let found = format!("`{}`", tokens.to_string().replace(' ', ""));
    if key.expected() == A_COUNT {
        return match (number, string) {
            (Some(number), _) if number.suffix().is_empty() => {
                settings.set(key, number.base10_digits()).map_err(|misread| told(misread.found(found)))
            }
            (_, Some(string)) if settings.set(key, &string.value()).is_ok() => {
                let why = format!("write {} without quotes", string.value());
                Err(told(Misread::new(A_COUNT, found, why)))
            }
            _ => Err(told(Misread::new(A_COUNT, found, ""))),
        };
    }
    match string {
        Some(string) => settings.set(key, &string.value()).map_err(told),
        None => {
            let bare = found.trim_matches('`').to_owned();
            Err(told(match settings.set(key, &bare) {
                Ok(()) => Misread::new(key.expected(), found, format!("write {bare:?}, in quotes")),
                Err(misread) if number.is_some() => misread.found(found),
                Err(_) => {
                    let why = if key.expected() == A_SIZE { "a size is written in quotes" } else { "" };
                    Misread::new(key.expected(), found, why)
                }
            }))
        }
    }
}

/// A count, as the runtime takes it.
pub(crate) fn option_of(value: Option<impl ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}
