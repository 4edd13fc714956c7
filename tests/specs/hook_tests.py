"""Which test proves what a hook does: hook → the file and the test, which calls it through a session or its manager."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["HOOK_TESTS"]

_ACTIONS = "lash_core/tests/runtime/test_actions.py"
_CALLS = "lash_core/tests/tools/test_call_hooks.py"
_LIFE = "lash_core/tests/runtime/test_lifecycle_hooks.py"
_OFFERS = "tests/specs/test_offers.py"
_PARKING = "lash_core/tests/runtime/test_lifecycle_parking.py"
_WRITERS = "lash_core/tests/runtime/test_lifecycle_writers.py"

HOOK_TESTS: Mapping[str, str] = {
    "lash_after_tool_call": f"{_CALLS}::test_every_result_goes_through_the_after_call_plugins",
    "lash_after_turn": f"{_LIFE}::test_plugins_add_to_the_end_of_a_turn_in_its_final_commit",
    "lash_at_boundary": f"{_LIFE}::test_plugins_add_at_a_boundary_and_the_next_model_call_sees_it",
    "lash_before_tool_call": f"{_CALLS}::test_each_plugin_changes_what_the_one_before_it_made_of_the_arguments",
    "lash_before_turn": f"{_LIFE}::test_plugins_put_messages_and_nodes_behind_the_users_message",
    "lash_contribute_prompt": f"{_LIFE}::test_a_prompt_has_what_plugins_contribute_and_their_error_fails_the_turn",
    "lash_contribute_tools": f"{_CALLS}::test_plugins_say_how_far_tools_are_available_in_order_and_off_stays",
    "lash_guard_boundary": f"{_LIFE}::test_a_guard_stops_a_turn_at_a_boundary_and_what_was_done_is_committed",
    "lash_guard_commit": f"{_WRITERS}::test_a_commit_that_a_plugin_denies_is_not_written_and_is_named",
    "lash_guard_tool_call": f"{_CALLS}::test_one_denial_is_enough_wherever_it_comes_from",
    "lash_guard_turn": f"{_LIFE}::test_a_guard_denies_a_turn_before_anything_is_written",
    "lash_offer_actions": f"{_ACTIONS}::test_an_action_is_invoked_with_checked_arguments_and_gives_json",
    "lash_offer_commands": (
        "tests/cli/test_plugin_commands.py::test_a_command_is_told_what_stands_before_it_and_answers_as_any"
    ),
    "lash_offer_hosts": f"{_OFFERS}::test_turns_run_on_the_host_that_a_plugin_offers",
    "lash_offer_modes": f"{_OFFERS}::test_a_session_is_conducted_by_the_mode_that_is_offered_under_its_name",
    "lash_offer_providers": (
        f"{_OFFERS}::test_a_model_is_asked_of_the_provider_that_offers_what_stands_before_its_colon"
    ),
    "lash_offer_session_plugins": (
        f"{_OFFERS}::test_a_session_is_given_its_part_and_a_store_keeps_what_the_part_keeps"
    ),
    "lash_offer_stores": f"{_OFFERS}::test_a_url_is_opened_by_the_store_that_offers_its_scheme",
    "lash_offer_tools": f"{_OFFERS}::test_a_model_calls_the_tools_of_a_set_that_the_agent_names",
    "lash_on_committed": (
        f"{_LIFE}::test_observers_hear_of_a_turn_before_and_after_it_is_durable_in_order_and_harm_nothing"
    ),
    "lash_on_config_changed": (
        f"{_WRITERS}::test_a_changed_configuration_is_durable_at_once_and_told_only_when_it_differs"
    ),
    "lash_on_mode_restored": f"{_LIFE}::test_what_a_mode_keeps_comes_back_and_goes_back_with_a_branch",
    "lash_on_session_closed": f"{_PARKING}::test_a_closed_session_is_told_once_while_its_parts_still_hear",
    "lash_on_session_restored": f"{_LIFE}::test_every_opening_is_told_with_what_is_stored",
    "lash_on_tools_restored": (
        f"{_LIFE}::test_plugins_change_stored_tool_state_hear_what_became_of_it_and_their_error_stops_the_opening"
    ),
    "lash_on_turn_committed": (
        f"{_LIFE}::test_observers_hear_of_a_turn_before_and_after_it_is_durable_in_order_and_harm_nothing"
    ),
    "lash_on_turn_finalized": (
        f"{_LIFE}::test_observers_hear_of_a_turn_before_and_after_it_is_durable_in_order_and_harm_nothing"
    ),
    "lash_on_turn_phase": f"{_LIFE}::test_probes_are_told_of_every_point_of_a_turn_in_order",
    "lash_prepare_history": f"{_LIFE}::test_a_prepared_history_is_shown_and_not_stored",
    "lash_project_tool_result": f"{_CALLS}::test_a_projection_changes_what_is_shown_and_the_whole_is_kept",
    "lash_rewrite_history": (
        "lash_core/tests/runtime/test_lifecycle_residency.py::test_a_rewrite_leaves_the_old_path_as_a_branch"
    ),
    "lash_transform_config": f"{_OFFERS}::test_a_configuration_is_stored_as_plugins_have_changed_it",
    "lash_transform_mode_state": (f"{_LIFE}::test_plugins_change_what_a_mode_kept_and_their_error_stops_the_opening"),
    "lash_transform_reply": (f"{_LIFE}::test_plugins_change_what_is_streamed_and_what_is_committed_each_on_its_own"),
    "lash_transform_stream_text": (
        f"{_LIFE}::test_plugins_change_what_is_streamed_and_what_is_committed_each_on_its_own"
    ),
    "lash_transform_tool_state": (
        f"{_LIFE}::test_plugins_change_stored_tool_state_hear_what_became_of_it_and_their_error_stops_the_opening"
    ),
}
