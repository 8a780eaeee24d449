"""The dm_control suite."""

import numpy as np

from dreamer_tf.envs import gl
from dreamer_tf.envs.background import MovingBackground
from dreamer_tf.envs.base import FrameEnv
from dreamer_tf.envs.errors import EnvError, nearest
from dreamer_tf.envs.spaces import UNBOUNDED
from dreamer_tf.specs import Space

_ALIASES = {"cup_catch": "ball_in_cup_catch"}
_CAMERAS = {"quadruped": 2}
# arXiv:1811.04551, appendix A; all other domains, of which it has two, repeat actions twice.
_PLANET_ACTION_REPEATS = {"cartpole": 8, "reacher": 4, "cheetah": 4, "ball_in_cup": 4}
_FAST_FLAGS = {"shadow": False, "reflection": False}
_FILM_SIDE = 256  # pixels; the least for the longer side of a picture that people look at
_GEOM, _PLANE = 5, 0  # mjOBJ_GEOM, and mjGEOM_PLANE: floors are planes.


class DMControl(FrameEnv):
    """A task of the dm_control suite, with images, with its state vectors, or with both.

    The picture is dm_control's own, drawn into a buffer as large as the largest picture, which
    changes no pixel. ``render="fast"`` leaves out shadows and reflections: with a software GL a
    frame then takes a fraction of the time, and looks different. Multisampling stays, or thin limbs
    fall into pieces in small images. ``background="moving"`` replaces sky and floor by
    `MovingBackground`; each pixel of the bodies stays as it is, and so do states, rewards and ends.
    """

    def __init__(
        self,
        name,
        *,
        observations="pixels",
        image_size=(64, 64),
        camera=-1,
        render="full",
        background="own",
        action_repeat=1,
        time_limit=0,
    ):
        """Makes the task.

        Args:
          name: ``<domain>_<task>`` such as ``walker_walk``; ``cup_catch`` is ball_in_cup's catch.
          observations: ``pixels`` (key ``image``), ``state`` (the task's own keys) or ``both``.
          image_size: Height and width of images.
          camera: Number of the camera; -1 for the usual one: 2 for quadruped, 0 for the others.
          render: ``full`` or ``fast``.
          background: ``own`` or ``moving``.
          action_repeat: Frames per step; rewards are summed. 0 for what PlaNet chose for the
            domain: cartpole 8, reacher, cheetah and ball_in_cup 4, finger and walker 2; 2 for all
            others.
          time_limit: Frames until an episode is cut off. The task's own limit (1000 frames nearly
            everywhere) holds as well; 0 leaves only that.

        Raises:
          EnvError: Unknown task or camera, unbounded actions, or no OpenGL library.
        """
        _check_choice("observations", observations, ("pixels", "state", "both"))
        _check_choice("render", render, ("full", "fast"))
        _check_choice("background", background, ("own", "moving"))
        self._has_image = observations != "state"
        self._has_state = observations != "pixels"
        suite = _import_suite(self._has_image)
        domain, task = _find_task(name, suite.ALL_TASKS)
        if action_repeat == 0:
            action_repeat = _PLANET_ACTION_REPEATS.get(domain, 2)
        super().__init__(action_repeat=action_repeat, time_limit=time_limit)
        self._env = suite.load(domain, task)
        self._observation = None
        self._size = (int(image_size[0]), int(image_size[1]))
        times = max(1, -(-_FILM_SIDE // max(self._size)))
        self._film_size = (times * self._size[0], times * self._size[1])
        self._camera_index = self._find_camera(domain, camera)
        self._flags = _FAST_FLAGS if render == "fast" else {}
        self._background = MovingBackground() if background == "moving" else None
        self._cameras = {}
        self._size_buffer()
        self._low, self._high = self._action_bounds(name)
        self._act_space = {"action": Space(np.float32, self._low.shape, -1, 1)}
        self._obs_space = self._make_obs_space()

    @property
    def obs_space(self):
        return self._obs_space

    @property
    def act_space(self):
        return self._act_space

    @property
    def native_act_space(self):
        return {"action": Space(np.float32, self._low.shape, self._low, self._high)}

    def render(self):
        """The present state, larger than the agent sees it."""
        return self._look(self._film_size)

    def _look(self, size):
        if size not in self._cameras:
            self._cameras[size] = self._make_camera(size)
        # The picture is a view into a buffer that the next frame overwrites.
        picture = np.array(self._cameras[size].render(render_flag_overrides=self._flags))
        if self._background:
            behind = self._behind(size)
            picture[behind] = self._background.frame(self._frames, size)[behind]
        return picture

    def _behind(self, size):
        """Which pixels show sky or floor, bool ``[height, width]``."""
        index, kind = np.moveaxis(self._cameras[size].render(segmentation=True), -1, 0)
        types = self._env.physics.model.geom_type
        is_plane = (kind == _GEOM) & (types[np.clip(index, 0, len(types) - 1)] == _PLANE)
        return (index < 0) | is_plane

    def close(self):
        self._cameras = {}
        self._env.physics.free()

    def _begin(self, seed):
        self._env.task.random.seed(seed)
        self._observation = self._env.reset().observation
        if self._background:
            self._background.begin(seed)

    def _advance(self, action):
        action = np.asarray(action["action"], np.float64)
        scaled = self._low + (action + 1) / 2 * (self._high - self._low)
        # Rounding must not carry an action over its bound.
        step = self._env.step(np.clip(scaled, self._low, self._high))
        self._observation = step.observation
        terminated = step.last() and step.discount == 0
        return step.reward, terminated, step.last() and not terminated

    def _observe(self):
        obs = {}
        if self._has_state:
            obs.update((key, _vector(value)) for key, value in self._observation.items())
        if self._has_image:
            obs["image"] = self._look(self._size)
        return obs

    def _make_obs_space(self):
        spaces = {}
        if self._has_state:
            for key, spec in self._env.observation_spec().items():
                spaces[key] = Space(np.float32, (int(np.prod(spec.shape)),))
        if self._has_image:
            spaces["image"] = Space(np.uint8, (*self._size, 3))
        return spaces

    def _find_camera(self, domain, camera):
        count = self._env.physics.model.ncam
        index = _CAMERAS.get(domain, 0) if camera == -1 else camera
        if not 0 <= index < count:
            raise EnvError(f"{domain} has the cameras 0 to {count - 1}, got camera {camera}")
        return index

    def _action_bounds(self, name):
        spec = self._env.action_spec()
        if (spec.maximum > UNBOUNDED).any() or (spec.minimum < -UNBOUNDED).any():
            raise EnvError(f"the actions of {name} have no bounds, so they cannot be normalised")
        shape = spec.shape
        return np.broadcast_to(spec.minimum, shape), np.broadcast_to(spec.maximum, shape)

    def _size_buffer(self):
        # MuJoCo reads these when its rendering context is made, at the first picture.
        visual = self._env.physics.model.vis
        visual.global_.offheight, visual.global_.offwidth = self._film_size

    def _make_camera(self, size):
        from dm_control.mujoco import Camera

        height, width = size
        try:
            return Camera(self._env.physics, height, width, self._camera_index)
        except Exception as error:  # MuJoCo's own error is none of Python's kinds.
            raise EnvError(
                f"cannot render: {error} Outside of worker processes, a process whose first task "
                f"needs no images renders only if MUJOCO_GL is set. {gl.ADVICE}"
            ) from error


def _import_suite(rendering):
    try:
        with gl.chosen(rendering):
            from dm_control import suite
    except EnvError:
        raise
    except ModuleNotFoundError as error:
        raise EnvError(f"dm_control tasks need the package dm_control: {error}") from error
    # PyOpenGL without its library fails with an AttributeError, dm_control with the others.
    except (ImportError, AttributeError, RuntimeError) as error:
        raise EnvError(f"dm_control cannot be imported: {error}. {gl.ADVICE}") from error
    return suite


def _find_task(name, all_tasks):
    tasks = {f"{domain}_{task}": (domain, task) for domain, task in all_tasks}
    found = tasks.get(_ALIASES.get(name, name))
    if found is None:
        names = [f"dmc_{known}" for known in [*tasks, *_ALIASES]]
        raise EnvError(f"unknown task dmc_{name}; {nearest(f'dmc_{name}', names)}")
    return found


def _check_choice(option, value, choices):
    if value not in choices:
        raise EnvError(f"{option} must be one of {', '.join(choices)}, got {value!r}")


def _vector(value):
    return np.asarray(value, np.float32).reshape(-1)
