"""Acting while learning: updates are made in a thread, and acting waits only for too many of them.

::

    main thread     act    act    act    (waits)  act    act    act    ...
                      │ due         │ due       ↑ as many are made as it takes
    update thread     └► update, update, update, update, ...
                               │       │       │       └► weights for acting, between two updates

The main thread stays in charge of environments, log, evaluations and checkpoints. Two counts hold
both sides: no update is made before it is due, and no action is taken while more than
``run.overlap_lag`` updates are due and not made. Which weights an action comes from depends on the
clock, so such a run is not repeatable; how many updates there are by a frame is as without it.
"""

import contextlib
import logging
import math
import threading

import keras
import tensorflow as tf

from dreamer_tf.training.loop import Trainer
from dreamer_tf.training.pace import updates_per_block

_LOGGER = logging.getLogger(__name__)


class ActingCopy:
    """An agent that acts with the weights that another one had after its last update.

    It draws from a random generator of its own, as the other one draws at the same time.
    """

    def __init__(self, agent, copy):
        """Takes both; the copy has no weights of the other one before `refresh`.

        Args:
          agent: `dreamer_tf.agents.Agent` that learns.
          copy: Another one of the same class, config and spaces.
        """
        self._copy = copy
        self._lock = threading.Lock()
        pairs = list(zip(_acting_variables(copy), _acting_variables(agent), strict=True))

        @tf.function(autograph=False)
        def assign():
            for mine, theirs in pairs:
                mine.assign(theirs)

        self._assign = assign.get_concrete_function()

    def policy(self, obs, state=None, mode="train"):
        """As `Agent.policy`, with weights that belong together."""
        with self._lock:
            return self._copy.policy(obs, state, mode)

    def refresh(self):
        """Takes over the weights; to be called between two updates of the other agent."""
        with self._lock:
            self._assign()


def _acting_variables(agent):
    """The variables of an agent in a fixed order, without what only updates need or draws use.

    Of an optimiser that is how many updates it made: exploration may depend on it.
    """
    variables, seen, left = [], set(), [agent]
    while left:
        part = left.pop()
        if id(part) in seen or isinstance(part, tf.random.Generator):
            continue
        seen.add(id(part))
        if isinstance(part, keras.optimizers.Optimizer):
            left.append(part.iterations)
        elif isinstance(part, tf.Variable | keras.Variable):
            variables.append(part)
        else:
            left += tf.train.TrackableView.children(part).values()
    return variables


class UpdateThread:
    """Makes the updates that are due in a thread of its own, while it is entered.

    Once ``stopped`` says so after an update, no further one is made.
    """

    def __init__(self, make, counters, refresh, stopped):
        """Makes nothing yet.

        Args:
          make: Function that makes updates: of their number, and of a function without arguments
            that is called after each and ends it early by returning true.
          counters: `Counters`, of which ``make`` counts ``grad_steps`` up.
          refresh: Function without arguments, called between two updates.
          stopped: Function without arguments: whether the run should end.
        """
        self._make = make
        self._counters = counters
        self._refresh = refresh
        self._stopped = stopped
        self._thread = threading.Thread(target=self._work, name="updates")
        self._changed = threading.Condition()  # What follows is looked at and set within it.
        self._due = 0
        self._counted = counters.grad_steps
        self._is_updating = self._is_stopped = self._ends = False
        self._holds = 0
        self._error = None

    def __enter__(self):
        self._counted = self._counters.grad_steps
        self._thread.start()
        return self

    def __exit__(self, kind, error, traceback):
        with self._changed:
            self._ends = True
            self._changed.notify_all()
        self._thread.join()
        if error is None:
            self.check()
        elif self._error not in (None, error):
            _LOGGER.warning("updates had failed, too: %r", self._error)

    @property
    def due(self):
        """Updates that are due and not made."""
        return self._due

    def add(self, count):
        """Says that so many more are due."""
        with self._changed:
            self._due += count
            self._changed.notify_all()

    def wait(self):
        """Waits until another update was made, or none is being made; raises as `check`."""
        with self._changed:
            due = self._due
            self._changed.wait_for(
                lambda: self._due < due or not (self._is_updating or self._may_begin())
            )
        self.check()

    @contextlib.contextmanager
    def held(self):
        """Within it no update is made; it waits for the end of one that has begun."""
        with self._changed:
            self._holds += 1
            self._changed.wait_for(lambda: not self._is_updating)
        try:
            yield
        finally:
            with self._changed:
                self._holds -= 1
                self._changed.notify_all()

    def check(self):
        """Raises the error that ended the updates, if one did."""
        if self._error is not None:
            raise self._error

    def _may_begin(self):
        return self._due and not (self._holds or self._is_stopped or self._ends or self._error)

    def _work(self):
        while count := self._next():
            failure = None
            try:
                self._make(count, self._after_update)
            except BaseException as error:  # Whatever it is, the main thread raises it.
                failure = error
            with self._changed:
                self._count()  # Also an update that was made before an error.
                self._is_updating, self._error = False, failure
                self._changed.notify_all()

    def _next(self):
        """Waits for the next block: its number of updates, or 0 at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ends or self._may_begin())
            self._is_stopped = self._stopped()
            self._is_updating = not (self._ends or self._is_stopped)
            self._changed.notify_all()
            return self._due if self._is_updating else 0

    def _after_update(self):
        self._refresh()
        with self._changed:
            self._count()
            self._changed.notify_all()
            return self._holds > 0 or self._ends or self._stopped()

    def _count(self):
        made = self._counters.grad_steps
        self._due, self._counted = self._due - (made - self._counted), made


class OverlapTrainer(Trainer):
    """Acts while an `UpdateThread` learns."""

    def __init__(self, parts):
        """Takes the parts; ``acting`` is an `ActingCopy`.

        Args:
          parts: What the run is made of.
        """
        super().__init__(parts)
        run = parts.config.run
        block = math.ceil(updates_per_block(parts.config, parts.envs.frames_per_step))
        self._most = run.overlap_lag or block
        self._lag = Lag()
        self._updates = UpdateThread(
            lambda count, interrupt: parts.learner.update(count, interrupt, self._store),
            *(parts.counters, parts.acting.refresh, self._stopped),
        )

    def _progress(self):
        return super()._progress() | {"pending_updates": self._pending + self._updates.due}

    def _play_and_learn(self):
        self._parts.acting.refresh()
        with self._updates:
            super()._play_and_learn()

    def _update(self):
        """Hands over what is pending, and waits while there is too much of it."""
        self._updates.add(self._pending)
        self._pending = 0
        frames = self._counters.env_frames
        # What is evaluated, and the end, is after as many updates as in a run without the thread.
        ends = self._clocks["eval"].due(frames) or frames >= self._parts.config.steps
        while self._updates.due > (0 if ends else self._most) and not self._stopped():
            with self._parts.stopwatch.section("waiting"):
                self._updates.wait()
            self._show_update()
            if self._save_clock.due():
                self._save()
        self._updates.check()

    def _act(self):
        if self._learning:
            self._lag.add(self._updates.due)
        super()._act()

    def _evaluate(self):
        with self._held():
            self._updates.check()
            super()._evaluate()

    def _save(self, score=None):
        with self._held():
            super()._save(score)

    @contextlib.contextmanager
    def _held(self):
        with contextlib.ExitStack() as stack:
            with self._parts.stopwatch.section("waiting"):
                stack.enter_context(self._updates.held())
            yield

    def _take_interval(self):
        return super()._take_interval() | self._lag.take()


class Lag:
    """How many updates were due and not made, action by action."""

    def __init__(self):
        self._counts = []

    def add(self, count):
        """Notes how many there are as an action is chosen."""
        self._counts.append(count)

    def take(self):
        """Mean and largest number as metrics, none without an action; begins a new interval."""
        counts, self._counts = self._counts, []
        if not counts:
            return {}
        return {"speed/lag": sum(counts) / len(counts), "speed/lag_max": max(counts)}
