"""The run: acting, learning, evaluation, checkpoints and logs, for any agent."""
