//! The scenarios, each in thousands of orders.

use abeyance_model::{destructors, ends, kept, later, plain, relief, returning};

#[test]
fn a_kept_message_is_dropped_with_no_lock_held() {
    destructors::a_kept_message_is_dropped_with_no_lock_held();
}

#[test]
fn a_message_that_waits_for_a_hold_to_open_is_dropped_with_no_lock_held() {
    destructors::a_message_that_waits_for_a_hold_to_open_is_dropped_with_no_lock_held();
}

#[test]
fn members_come_and_go() {
    plain::members_come_and_go();
}

#[test]
fn a_member_joins_again_and_again() {
    plain::a_member_joins_again_and_again();
}

#[test]
fn a_hold_is_a_member_once_or_not_at_all() {
    plain::a_hold_is_a_member_once_or_not_at_all();
}

#[test]
fn what_is_published_while_a_hold_opens_comes_behind_the_replies() {
    plain::what_is_published_while_a_hold_opens_comes_behind_the_replies();
}

#[test]
fn a_long_poll_has_one_answer() {
    plain::a_long_poll_has_one_answer();
}

#[test]
fn a_late_member_gets_what_is_published_from_then_on() {
    kept::a_late_member_gets_what_is_published_from_then_on();
}

#[test]
fn messages_of_two_topics_come_in_one_order() {
    kept::messages_of_two_topics_come_in_one_order();
}

#[test]
fn whoever_stays_in_one_topic_has_everything() {
    kept::whoever_stays_in_one_topic_has_everything();
}

#[test]
fn whoever_stays_in_two_topics_has_everything() {
    kept::whoever_stays_in_two_topics_has_everything();
}

#[test]
fn what_is_on_its_way_is_not_forgotten() {
    kept::what_is_on_its_way_is_not_forgotten();
}

#[test]
fn a_client_that_comes_back_to_one_topic_misses_nothing() {
    returning::a_client_that_comes_back_to_one_topic_misses_nothing();
}

#[test]
fn a_client_that_comes_back_to_two_topics_misses_nothing() {
    returning::a_client_that_comes_back_to_two_topics_misses_nothing();
}

#[test]
fn a_client_that_comes_back_to_one_topic_too_late_is_told() {
    returning::a_client_that_comes_back_to_one_topic_too_late_is_told();
}

#[test]
fn a_client_that_comes_back_to_two_topics_too_late_is_told() {
    returning::a_client_that_comes_back_to_two_topics_too_late_is_told();
}

#[test]
fn a_client_that_comes_back_just_in_time_misses_nothing() {
    returning::a_client_that_comes_back_just_in_time_misses_nothing();
}

#[test]
fn a_schedule_repeats_itself() {
    returning::a_schedule_repeats_itself();
}

#[test]
fn long_polls_of_one_topic_miss_nothing() {
    returning::long_polls_of_one_topic_miss_nothing();
}

#[test]
fn long_polls_of_two_topics_miss_nothing_or_are_told() {
    returning::long_polls_of_two_topics_miss_nothing_or_are_told();
}

#[test]
fn a_poll_that_is_ended_at_once_tells_where_its_client_stands() {
    returning::a_poll_that_is_ended_at_once_tells_where_its_client_stands();
}

#[test]
fn the_past_of_a_newcomer_goes_over_into_what_is_live() {
    returning::the_past_of_a_newcomer_goes_over_into_what_is_live();
}

#[test]
fn a_slow_client_reads_a_past_larger_than_its_backlog() {
    returning::a_slow_client_reads_a_past_larger_than_its_backlog();
}

#[test]
fn nobody_waits_for_what_nobody_brings() {
    returning::nobody_waits_for_what_nobody_brings();
}

#[test]
fn a_client_of_a_forgotten_topic_is_told() {
    returning::a_client_of_a_forgotten_topic_is_told();
}

#[test]
fn a_stream_ends_once_whatever_comes_at_once() {
    ends::a_stream_ends_once_whatever_comes_at_once();
}

#[test]
fn a_stream_that_follows_a_history_ends_once_whatever_comes_at_once() {
    ends::a_stream_that_follows_a_history_ends_once_whatever_comes_at_once();
}

#[test]
fn a_long_poll_ends_once_whatever_comes_at_once() {
    ends::a_long_poll_ends_once_whatever_comes_at_once();
}

#[test]
fn a_long_poll_that_follows_a_history_ends_once_whatever_comes_at_once() {
    ends::a_long_poll_that_follows_a_history_ends_once_whatever_comes_at_once();
}

#[test]
fn a_drain_races_with_newcomers_publishers_and_settling() {
    ends::a_drain_races_with_newcomers_publishers_and_settling();
}

#[test]
fn everybody_has_a_turn_in_a_drain_whatever_comes_at_once() {
    ends::everybody_has_a_turn_in_a_drain_whatever_comes_at_once();
}

#[test]
fn a_drain_that_is_cut_short_ends_everybody_once() {
    ends::a_drain_that_is_cut_short_ends_everybody_once();
}

#[test]
fn nobody_holds_a_place_twice_where_the_oldest_makes_room() {
    ends::nobody_holds_a_place_twice_where_the_oldest_makes_room();
}

#[test]
fn whoever_waits_to_send_hears_of_room() {
    ends::whoever_waits_to_send_hears_of_room();
}

#[test]
fn whoever_waits_to_send_hears_of_the_end() {
    ends::whoever_waits_to_send_hears_of_the_end();
}

#[test]
fn whoever_waits_for_quiet_hears_of_it() {
    ends::whoever_waits_for_quiet_hears_of_it();
}

#[test]
fn no_wake_up_is_lost() {
    ends::no_wake_up_is_lost();
}

#[test]
fn what_is_scheduled_comes_once_or_never() {
    later::what_is_scheduled_comes_once_or_never();
}

#[test]
fn what_is_scheduled_for_a_topic_with_a_past_comes_once_or_never() {
    later::what_is_scheduled_for_a_topic_with_a_past_comes_once_or_never();
}

#[test]
fn what_comes_again_ends_with_its_topic() {
    later::what_comes_again_ends_with_its_topic();
}

#[test]
fn what_comes_again_goes_on_while_somebody_stays() {
    later::what_comes_again_goes_on_while_somebody_stays();
}

#[test]
fn whoever_publishes_hears_of_what_is_due() {
    later::whoever_publishes_hears_of_what_is_due();
}

#[test]
fn whoever_has_queued_something_leaves_no_more_than_may_wait() {
    relief::whoever_has_queued_something_leaves_no_more_than_may_wait();
}

#[test]
fn what_is_dropped_for_others_is_counted_once_oldest_first() {
    relief::what_is_dropped_for_others_is_counted_once_oldest_first();
}

#[test]
fn what_is_dropped_for_others_is_counted_once_newest_first() {
    relief::what_is_dropped_for_others_is_counted_once_newest_first();
}

#[test]
fn a_long_poll_that_makes_room_misses_nothing() {
    relief::a_long_poll_that_makes_room_misses_nothing();
}

#[test]
fn who_makes_room_may_be_gone() {
    relief::who_makes_room_may_be_gone();
}
