// What `#[suspend]` makes of a function with two arguments and every key.

#[cfg(unix)]
#[inline]
pub(crate) async fn enter(Path(room): Path<String>, hub: Hub) -> Result<Suspend<Seat>, Refusal> {
    Ok(Suspend::with(Seat { room, hub }))
}
#[cfg(unix)]
const _: () = {
    #[allow(unused_imports)]
    use my::abeyance::__private::Unknown as _;
    async fn __abeyance_arguments(
        mut parts: my::abeyance::__private::Parts,
        states: my::abeyance::__private::States,
    ) -> ::core::result::Result<(Path<String>, Hub), my::abeyance::__private::Response> {
        let argument0: Path<String> = my::abeyance::__private::extract(&mut parts, &states).await?;
        let argument1: Hub = my::abeyance::__private::extract(&mut parts, &states).await?;
        ::core::result::Result::Ok((argument0, argument1))
    }
    fn __abeyance_run(
        parts: my::abeyance::__private::Parts,
        states: my::abeyance::__private::States,
    ) -> my::abeyance::__private::BoxFuture<
        'static,
        ::core::result::Result<my::abeyance::__private::Suspension, my::abeyance::__private::Response>,
    > {
        my::abeyance::__private::run(
            __abeyance_arguments(parts, states),
            |(argument0, argument1): (Path<String>, Hub)| enter(argument0, argument1),
        )
    }
    my::abeyance::__private::inventory::submit! {
        my::abeyance::__private::Endpoint {
            name: "enter",
            module: ::core::module_path!(),
            path: "/rooms/{room}",
            file: ::core::file!(),
            line: ::core::line!(),
            settings: my::abeyance::__private::EndpointOptions {
                transports: ::core::option::Option::Some(&[
                    my::abeyance::__private::Transport::WebSocket,
                    my::abeyance::__private::Transport::LongPoll,
                ]),
                timeout: ::core::option::Option::Some(::core::option::Option::Some(
                    my::abeyance::__private::Duration::from_millis(30000u64),
                )),
                max_idle: ::core::option::Option::Some(::core::option::Option::None),
                max_lifetime: ::core::option::Option::Some(::core::option::Option::Some(
                    my::abeyance::__private::Duration::from_millis(86400000u64),
                )),
                heartbeat: ::core::option::Option::Some(::core::option::Option::Some(
                    my::abeyance::__private::Duration::from_millis(1500u64),
                )),
                max_suspended: ::core::option::Option::Some(10000usize),
                max_per_peer: ::core::option::Option::Some(100usize),
                max_per_key: ::core::option::Option::Some(3usize),
                when_full: ::core::option::Option::Some(my::abeyance::__private::WhenFull::ResumeOldest),
                when_evicted: ::core::option::Option::Some(my::abeyance::__private::WhenEvicted::StayAway),
                send_buffer: ::core::option::Option::Some(32768usize),
                when_slow: ::core::option::Option::Some(my::abeyance::__private::WhenSlow::DropOldest),
                max_message: ::core::option::Option::Some(1048576usize),
            },
            needs: &[
                my::abeyance::__private::Probe::<Path<String>>::NEED,
                my::abeyance::__private::Probe::<Hub>::NEED,
            ],
            arguments: &[
                my::abeyance::__private::type_name::<Path<String>>,
                my::abeyance::__private::type_name::<Hub>,
            ],
            identity: || my::abeyance::__private::identity(&enter),
            run: __abeyance_run,
        }
    }
};
