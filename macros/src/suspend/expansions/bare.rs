// What `#[suspend]` makes of `async fn enter() -> Suspend`.

async fn enter() -> Suspend {
    Suspend::new()
}
const _: () = {
    #[allow(unused_imports)]
    use ::abeyance::__private::Unknown as _;
    fn __abeyance_run(
        _: ::abeyance::__private::Parts,
        _: ::abeyance::__private::States,
    ) -> ::abeyance::__private::BoxFuture<
        'static,
        ::core::result::Result<::abeyance::__private::Suspension, ::abeyance::__private::Response>,
    > {
        ::abeyance::__private::run(async { ::core::result::Result::Ok(()) }, |()| enter())
    }
    ::abeyance::__private::inventory::submit! {
        ::abeyance::__private::Endpoint {
            name: "enter",
            module: ::core::module_path!(),
            path: "/enter",
            file: ::core::file!(),
            line: ::core::line!(),
            settings: ::abeyance::__private::EndpointOptions {
                transports: ::core::option::Option::None,
                timeout: ::core::option::Option::None,
                max_idle: ::core::option::Option::None,
                max_lifetime: ::core::option::Option::None,
                heartbeat: ::core::option::Option::None,
                max_suspended: ::core::option::Option::None,
                max_per_peer: ::core::option::Option::None,
                max_per_key: ::core::option::Option::None,
                when_full: ::core::option::Option::None,
                when_evicted: ::core::option::Option::None,
                send_buffer: ::core::option::Option::None,
                when_slow: ::core::option::Option::None,
                max_message: ::core::option::Option::None,
            },
            needs: &[],
            arguments: &[],
            identity: || ::abeyance::__private::identity(&enter),
            run: __abeyance_run,
        }
    }
};
