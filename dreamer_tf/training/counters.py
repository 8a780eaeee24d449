"""How far a run is."""

import dataclasses


@dataclasses.dataclass
class Counters:
    """Counts over the life of a run, restarts included.

    Attributes:
      env_frames: Simulator steps: agent steps times action repeat.
      agent_steps: Actions taken.
      grad_steps: Updates, those skipped by the guard included.
      episodes: Finished episodes.
    """

    env_frames: int = 0
    agent_steps: int = 0
    grad_steps: int = 0
    episodes: int = 0

    def acted(self, steps, frames_per_step):
        """Counts actions."""
        self.agent_steps += steps
        self.env_frames += steps * frames_per_step

    def catch_up(self, agent_steps, frames_per_step):
        """Goes forward, never back, to what the replay holds.

        Args:
          agent_steps: Interactions ever stored.
          frames_per_step: Simulator steps of each.

        Returns:
          Number of agent steps by which these counters were behind.
        """
        behind = max(0, agent_steps - self.agent_steps)
        self.agent_steps += behind
        self.env_frames = max(self.env_frames, agent_steps * frames_per_step)
        return behind
