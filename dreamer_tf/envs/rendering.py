"""Whether rendering works: ``python -m dreamer_tf.envs.rendering`` draws one frame and says how."""

import os
import sys

from dreamer_tf.envs import gl
from dreamer_tf.envs.dmc import DMControl
from dreamer_tf.envs.errors import EnvError


def main():
    """Draws one frame; prints the backend, or what to install and exits with 1."""
    try:
        env = DMControl("pendulum_swingup", observations="pixels")
        image = env.reset(0)["image"]
    except (EnvError, RuntimeError) as error:
        sys.exit(str(error))
    env.close()
    backend = os.environ.get("MUJOCO_GL") or "MuJoCo's own choice for this display"
    if image.min() == image.max():
        sys.exit(f"The frame drawn with {backend} is empty. {gl.ADVICE}")
    print(backend)


if __name__ == "__main__":
    main()
