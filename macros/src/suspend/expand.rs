//! The record of a function, and the two small functions that run it.

use std::fmt;
use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Ident, LitStr, Type};

use super::check::Checked;
use crate::setting::option_of;
use abeyance_settings::endpoint::{EndpointOptions, Transport, WhenEvicted, WhenFull, WhenSlow};

/// What stands beside the function.
pub(super) fn expand(endpoint: Checked) -> TokenStream {
    let here = Span::mixed_site();
    let p = endpoint.private(here);
    let Checked { conditions, function, arguments, path, .. } = &endpoint;
    let name = LitStr::new(&function.unraw().to_string(), here);
    let path = LitStr::new(path, here);
    let settings = settings(&endpoint.settings, &p);
    let runner = runner(&endpoint);
    let captures_missing = captures_missing(&endpoint);
    let foreign_states = foreign_states(&endpoint);
    quote! {
        #(#conditions)*
        const _: () = {
            #[allow(unused_imports)]
            use #p::Unknown as _;
            #captures_missing
            #foreign_states
            #runner
            #p::inventory::submit! {
                #p::Endpoint {
                    name: #name,
                    module: ::core::module_path!(),
                    path: #path,
                    file: ::core::file!(),
                    line: ::core::line!(),
                    settings: #settings,
                    needs: &[#(#p::Probe::<#arguments>::NEED),*],
                    arguments: &[#(#p::type_name::<#arguments>),*],
                    identity: || #p::identity(&#function),
                    run: __abeyance_run,
                }
            }
        };
    }
}

/// Extracts the arguments and calls the function.
///
/// The `let` is annotated and the call is inferred: a turbofish would give three errors for one wrong argument. The
/// closure goes through `run`: an async block would hide whose future is not `Send`.
fn runner(endpoint: &Checked) -> TokenStream {
    let here = Span::mixed_site();
    let p = endpoint.private(here);
    let Checked { function, arguments, answer, .. } = endpoint;
    let at = answer.resolved_at(here);
    let run = endpoint.private(at);
    let run = quote_spanned!(at=> #run::run);
    let result = quote!(#p::BoxFuture<'static, ::core::result::Result<#p::Suspension, #p::Response>>);
    if arguments.is_empty() {
        return quote! {
            fn __abeyance_run(_: #p::Parts, _: #p::States) -> #result {
                #run(async { ::core::result::Result::Ok(()) }, |()| #function())
            }
        };
    }
    let names: Vec<Ident> =
        (0..arguments.len()).map(|index| format_ident!("argument{index}", span = here)).collect();
    let extracted = names.iter().zip(arguments).map(|(name, argument)| {
        let at = argument.span().resolved_at(here);
        let p = endpoint.private(at);
        quote_spanned!(at=> let #name: #argument = #p::extract(&mut parts, &states).await?;)
    });
    let parts = Ident::new("parts", here);
    let states = Ident::new("states", here);
    quote! {
        async fn __abeyance_arguments(
            mut #parts: #p::Parts,
            #states: #p::States,
        ) -> ::core::result::Result<(#(#arguments,)*), #p::Response> {
            #(#extracted)*
            ::core::result::Result::Ok((#(#names,)*))
        }
        fn __abeyance_run(#parts: #p::Parts, #states: #p::States) -> #result {
            #run(
                __abeyance_arguments(#parts, #states),
                |(#(#names,)*): (#(#arguments,)*)| #function(#(#names),*),
            )
        }
    }
}

/// Refuses our `Path<_>` where there is nothing to capture; only the compiler knows which type is ours.
fn captures_missing(endpoint: &Checked) -> TokenStream {
    if endpoint.has_captures {
        return TokenStream::new();
    }
    let message = format!("`Path` has nothing to take: the path \"{}\" has no {{capture}}", endpoint.path);
    // Braces in the text would be read as a format.
    let message = message.replace('{', "{{").replace('}', "}}");
    let checks = endpoint.arguments.iter().map(|argument| {
        let at = argument.span().resolved_at(Span::mixed_site());
        let p = endpoint.private(at);
        quote_spanned!(at=> const _: () = ::core::assert!(!#p::Probe::<#argument>::TAKES_CAPTURES, #message);)
    });
    quote!(#(#checks)*)
}

/// Hints at our `State<_>` where another is written. Of axum's the compiler says only that a trait is not implemented for the
/// application's own type.
fn foreign_states(endpoint: &Checked) -> TokenStream {
    let is_state = |argument: &&Type| match argument {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "State"),
        _ => false,
    };
    let checks = endpoint.arguments.iter().filter(is_state).map(|argument| {
        let at = argument.span().resolved_at(Span::mixed_site());
        let p = endpoint.private(at);
        quote_spanned! {at=>
            const _: () = ::core::assert!(
                #p::Probe::<#argument>::IS_STATE || #p::Probe::<#argument>::IS_EXTRACTOR,
                "this `State` cannot be an argument here: did you mean `abeyance::extract::State`?"
            );
        }
    });
    quote!(#(#checks)*)
}

/// Every field is written out: `..EndpointOptions::NONE` is a lint of clippy's in the user's crate when nothing is left.
fn settings(settings: &EndpointOptions, p: &TokenStream) -> TokenStream {
    let EndpointOptions {
        transports,
        timeout,
        max_idle,
        max_lifetime,
        heartbeat,
        max_suspended,
        max_per_peer,
        max_per_key,
        when_full,
        when_evicted,
        send_buffer,
        when_slow,
        max_message,
    } = *settings;
    let transports = option_of(transports.map(|transports| {
        let transports = transports.iter().map(|transport| self::transport(*transport, p));
        quote!(&[#(#transports),*])
    }));
    let [timeout, max_idle, max_lifetime, heartbeat] = [timeout, max_idle, max_lifetime, heartbeat]
        .map(|clock| option_of(clock.map(|clock| option_of(clock.map(|clock| duration(clock, p))))));
    let [max_suspended, max_per_peer, max_per_key, send_buffer, max_message] =
        [max_suspended, max_per_peer, max_per_key, send_buffer, max_message].map(option_of);
    let when_full = option_of(when_full.map(|rule| self::when_full(rule, p)));
    let when_evicted = option_of(when_evicted.map(|rule| self::when_evicted(rule, p)));
    let when_slow = option_of(when_slow.map(|rule| self::when_slow(rule, p)));
    quote! {
        #p::EndpointOptions {
            transports: #transports,
            timeout: #timeout,
            max_idle: #max_idle,
            max_lifetime: #max_lifetime,
            heartbeat: #heartbeat,
            max_suspended: #max_suspended,
            max_per_peer: #max_per_peer,
            max_per_key: #max_per_key,
            when_full: #when_full,
            when_evicted: #when_evicted,
            send_buffer: #send_buffer,
            when_slow: #when_slow,
            max_message: #max_message,
        }
    }
}

fn transport(transport: Transport, p: &TokenStream) -> TokenStream {
    let variant = variant(&transport);
    quote!(#p::Transport::#variant)
}

fn when_evicted(rule: WhenEvicted, p: &TokenStream) -> TokenStream {
    let variant = variant(&rule);
    quote!(#p::WhenEvicted::#variant)
}

fn when_slow(rule: WhenSlow, p: &TokenStream) -> TokenStream {
    let variant = variant(&rule);
    quote!(#p::WhenSlow::#variant)
}

/// A rule, as the runtime names it.
pub(crate) fn when_full(rule: WhenFull, p: &TokenStream) -> TokenStream {
    let variant = variant(&rule);
    quote!(#p::WhenFull::#variant)
}

/// The name of an enum's variant, which its derived `Debug` writes.
fn variant(value: &impl fmt::Debug) -> Ident {
    format_ident!("{value:?}")
}

/// A duration; the longest that can be written has far less than 2^64 milliseconds.
pub(crate) fn duration(duration: Duration, p: &TokenStream) -> TokenStream {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    quote!(#p::Duration::from_millis(#millis))
}
