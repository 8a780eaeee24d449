"""Tests that take long, most of them a quarter of a minute and more.

``make thorough`` runs them, and so does CI; ``make test`` leaves them out, to stay a matter of
minutes. Most show for further agents, options or signals what a test that is left shows for one;
others stand alone: what XLA, large libraries or several processes are needed for.
"""

# File: beginnings of the names of its tests; none: all of them.
THOROUGH = {
    "tests/training/test_replicas.py": [
        "test_recorded_update",
        "test_two_devices_compute_what_one_computes[dreamer",
        "test_a_run_goes_on_with_another_number_of_replicas",
        "test_a_sum_in_place_of_the_mean",
    ],
    "tests/training/test_hosts.py": [
        "test_two_processes_compute_what_one_computes_and_notice_when_one_is_killed"
    ],
    "tests/training/test_agent_runs.py": [
        "test_a_continued_run_equals_one_that_was_never_stopped[dreamerv2",
        "test_a_continued_run_equals_one_that_was_never_stopped[dreamerv3",
        "test_a_continued_run_equals_one_that_was_never_stopped[planet",
        "test_the_run_learned_and_left_videos[dreamerv",
        "test_the_run_learned_and_left_videos[planet",
    ],
    "tests/training/test_stopping.py": [
        "test_six_kills",
        "test_a_signal_inside_a_block_of_updates_saves_everything[1-129]",
        "test_a_signal_inside_a_block_of_updates_saves_everything[2-130]",
        "test_a_terminal_that_is_gone",
        "test_an_output_that_nobody_reads",
        "test_signals_in_quick_succession",
    ],
    "tests/agents/test_jit.py": ["test_a_compiled_update_equals_one_that_is_not"],
    "tests/agents/test_options.py": ["test_equal_options", "test_another_value"],
    "tests/agents/test_compiling.py": ["test_every_operation_has_a_kernel_on_a_gpu"],
    "tests/agents/test_dreamerv2_routing.py": [
        "test_every_variable_gets_a_gradient[layer",
        "test_every_variable_gets_a_gradient[none-category",
        "test_each_learning_rate_moves_only_its_own_networks[critic",
    ],
    "tests/agents/test_dreamerv2_exploration.py": [
        "test_a_checkpoint_holds_all_of_it",
        "test_curiosity_learns_beside_the_task[box-stoch",
        "test_curiosity_learns_beside_the_task[category",
        "test_the_ensemble_comes_to_agree",
        "test_after_so_many_updates",
        "test_curiosity_moves_neither",
        "test_an_ensemble_whose_loss",
    ],
    "tests/agents/test_dreamer_discrete.py": [
        "test_rewards_pass_a_tanh",
        "test_every_variable",
        "test_epsilon_follows",
        "test_one_trace_per_function",
    ],
    "tests/agents/test_dreamerv3.py": ["test_bfloat16", "test_same_seed_same_numbers"],
    "tests/agents/test_dreamer_objectives.py": [
        "test_contrastive_in_bfloat16",
        "test_checkpoints_hold",
    ],
    "tests/agents/test_dreamerv2_golden.py": [
        "test_recorded_update_as_one_graph[v2_agent_cont",
        "test_recorded_update_as_one_graph[v2_agent_disc",
        "test_recorded_update_as_one_graph[v2_agent_gauss",
    ],
    "tests/apps/benchmark/test_benchmark.py": [
        "test_every_figure",
        "test_what_is_printed_is_what_is_saved",
        "test_the_result_says",
        "test_figures_fit_together",
        "test_a_profile_says",
        "test_what_is_missing",
    ],
    "tests/apps/sweep/test_engines.py": ["test_a_lost_ray_node", "test_ctrl_c_saves"],
    "tests/apps/sweep/test_sweep_command.py": ["test_a_sweep_reads_failures_out"],
    "tests/test_extending.py": [
        "test_a_family_of_environments_plays",
        "test_an_objective_without_a_decoder_is_learned_and_weighed",
        "test_a_logger_gets_every_line",
    ],
    "tests/test_house.py": [
        "test_the_house_has_not_grown",
        "test_the_table",
        "test_the_walk",
        "test_an_update_passes",
        "test_what_only_the_run",
    ],
    "tests/test_types.py": ["test_right_use_passes", "test_every_wrong_use"],
    "tests/examples/test_notebook.py": [],
    "tests/runs/test_loggers.py": ["test_mlflow", "test_wandb"],
    "tests/runs/test_writers.py": ["test_writing_to_tensorboard_keeps_no_memory"],
    "tests/faults/test_faults.py": ["test_kills_lose_nothing"],
    "tests/apps/report/test_report_browser.py": ["test_every_chart_draws_its_numbers"],
    "tests/export/test_export.py": [
        "test_exported_actions_are_the_live_agents[planet]",
        "test_exported_actions_are_the_live_agents[dreamer]",
        "test_the_code_in_the_readme_plays[tf.saved_model",
        "test_the_code_in_the_readme_plays[Interpreter",
        "test_the_code_in_the_readme_plays[onnxruntime",
    ],
    "tests/training/test_peculiar_envs.py": ["test_an_evaluation_is_of_whole_episodes[2]"],
    "tests/envs/test_ray.py": [
        "test_actors_play_the_same",
        "test_building_may_take_longer",
        "test_what_no_node_has_room",
    ],
    "tests/envs/test_crafter.py": ["test_the_same_seed_and_actions"],
    "tests/agents/test_dreamerv2.py": ["test_bfloat16"],
    "tests/agents/test_dreamer.py": [
        "test_bfloat16",
        "test_same_seed_same_numbers",
        "test_image_sizes_that_are_served",
    ],
    "tests/agents/test_planet.py": ["test_bfloat16", "test_same_seed_same_numbers"],
    "tests/training/test_loop.py": [
        "test_a_run_stopped_anywhere_equals_one_that_was_never_stopped[True-2]",
        "test_a_run_stopped_anywhere_equals_one_that_was_never_stopped[False",
    ],
    "tests/runs/test_machine.py": ["test_tensorflow_starts_without_a_line"],
}


def is_thorough(nodeid):
    """Whether a test, by the name that pytest has for it, is one of them."""
    path, _, name = nodeid.partition("::")
    beginnings = THOROUGH.get(path)
    return beginnings is not None and (not beginnings or name.startswith(tuple(beginnings)))
