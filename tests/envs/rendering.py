"""Functions that render in worker processes, for the tests; TensorFlow may be in their own."""

import numpy as np

from dreamer_tf.envs import FrameEnv
from dreamer_tf.envs.dmc import DMControl
from dreamer_tf.specs import Space


class Twice(FrameEnv):
    """Shows the picture of a task beside dm_control's default picture of the same state.

    Args:
      name: dm_control task.
      camera: That the default picture is taken from.
      **options: Of `DMControl`.
    """

    def __init__(self, name, camera, **options):
        super().__init__()
        from dm_control import suite

        self._env = DMControl(name, observations="pixels", **options)
        domain, _, task = name.partition("_")
        self._reference = suite.load(domain, task)
        self._camera = camera
        self._image = None

    @property
    def obs_space(self):
        image = self._env.obs_space["image"]
        return {"image": image, "reference": Space(np.uint8, image.shape)}

    @property
    def act_space(self):
        return self._env.act_space

    def _begin(self, seed):
        self._image = self._env.reset(seed)["image"]
        self._reference.task.random.seed(seed)
        self._reference.reset()

    def _advance(self, action):
        row = self._env.step(action)
        self._image = row["image"]
        # What reached the actuators, in their own units.
        self._reference.step(self._env._env.physics.control())
        return row["reward"], False, bool(row["is_last"])

    def _observe(self):
        height, width, _ = self._image.shape
        reference = self._reference.physics.render(height, width, camera_id=self._camera)
        return {"image": self._image, "reference": reference.copy()}
