"""Numbers that change in the course of training, written as text in a config."""

import math
import re

import tensorflow as tf


def _linear(step, first, last, steps):
    return first + (last - first) * tf.clip_by_value(step / steps, 0.0, 1.0)


def _warmup(step, steps, value):
    return value * tf.clip_by_value(step / steps, 0.0, 1.0)


def _exp(step, first, last, halflife):
    return (first - last) * 0.5 ** (step / halflife) + last


def _horizon(step, first, last, steps):
    return 1.0 - 1.0 / _linear(step, first, last, steps)


SHAPES = {
    "linear": (_linear, ("first", "last", "steps")),
    "warmup": (_warmup, ("steps", "value")),
    "exp": (_exp, ("first", "last", "halflife")),
    "horizon": (_horizon, ("first", "last", "steps")),
}
FORMS = (
    "a number, linear(first,last,steps), warmup(steps,value), exp(first,last,halflife) "
    "or horizon(first,last,steps)"
)


class Schedule:
    """A number as a function of the step.

    ::

        0.1                         always 0.1
        linear(first,last,steps)    in a straight line from first to last
        warmup(steps,value)         in a straight line from 0 to value
        exp(first,last,halflife)    from first towards last, half of the way in each half-life
        horizon(first,last,steps)   discount factor 1 - 1/h of a horizon h that moves linearly
    """

    def __init__(self, text):
        """Reads the description.

        Args:
          text: As above, without regard to spaces.

        Raises:
          ValueError: If it is none of these, or a number is not finite, or no steps are to pass.
        """
        self.text = text
        call = re.fullmatch(r"\s*(\w+)\s*\(([^()]*)\)\s*", text)
        name, words = (call[1], call[2].split(",")) if call else (None, [text])
        try:
            self._numbers = [float(word) for word in words]
        except ValueError:
            raise _refusal(text) from None
        if call and (name not in SHAPES or len(words) != len(SHAPES[name][1])):
            raise _refusal(text)
        self._shape, names = SHAPES[name] if call else (None, ("value",))
        for name, number in zip(names, self._numbers, strict=True):
            if not math.isfinite(number):
                raise ValueError(f"the schedule {text!r}: expected a finite {name}, got {number}")
            if name in ("steps", "halflife") and number <= 0:
                raise ValueError(f"the schedule {text!r}: expected {name} above 0, got {number}")

    def __call__(self, step):
        """The value at a step (number or scalar tensor), a float32 scalar."""
        if self._shape is None:
            return tf.constant(self._numbers[0], tf.float32)
        return self._shape(tf.cast(step, tf.float32), *self._numbers)


def _refusal(text):
    return ValueError(f"a schedule is {FORMS}; got {text!r}")
