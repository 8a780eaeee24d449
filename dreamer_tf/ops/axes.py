"""Leading axes of batches, the loop over time, what is left out, and rows of other replicas."""

import contextlib
import contextvars

import tensorflow as tf

from dreamer_tf.ops.transforms import sum_to

# Each unrolled step adds 0.1 to 0.3 s to the start of a run, and sequences of 32 steps or more are
# no quicker for it (docs/performance.md).
_LONGEST_UNROLLED = 20
# With more rows a step, its products are large enough to be made one by one.
_MOST_ROWS_TAPPED = 64
# With fewer rows, half of them take a step as long as all.
_FEWEST_ROWS_HALVED = 512


def scan(step, state, inputs, length):
    """Runs ``state = step(state, inputs[t])`` for t = 0 … length-1 and stacks the states.

    Up to 20 steps are unrolled into the graph: the scheduler can overlap neighbouring steps,
    backpropagation needs no stacks of saved tensors, and gradients that nobody asked for are left
    out. More of them are a ``tf.while_loop``, whose body is traced once.

    Where each operation has one thread (the option ``op_threads``), unrolled steps with many rows
    are two chains of half the rows each, which run side by side.

    The gradients of weights that `linear` multiplies with are not summed up step by step: where a
    step has few rows, each is one product over the rows of all steps.

    Args:
      step: Function of a state and one time slice of ``inputs`` to the next state, a nested
        structure of tensors ``[N, ...]``. What it returns has the same structure, shapes and types
        each time; of ``state``, only what it reads has to be there.
      state: State before the first step.
      inputs: Nested structure of tensors ``[T, N, ...]``, time first.
      length: Number of steps, a Python int; T must be at least this.

    Returns:
      States after each step, the structure of what ``step`` returns with tensors
      ``[length, N, ...]``.
    """
    inputs = tf.nest.map_structure(lambda x: x[:length], inputs)
    run = _unroll if length <= _LONGEST_UNROLLED else _loop
    rows = tf.nest.flatten(inputs)[0].shape[1]
    is_tapped = rows is not None and rows <= _MOST_ROWS_TAPPED
    if length == 1 or (run is _unroll and not is_tapped):
        return _unroll(step, state, inputs)
    # The first step shows what a state consists of, and which products there are.
    taps = _Taps()
    with taps.step() as multiplied:
        first = step(state, tf.nest.map_structure(lambda x: x[0], inputs))
    rest = tf.nest.map_structure(lambda x: x[1:], inputs)
    if is_tapped:
        later = taps.run(run, step, (first, multiplied), rest, length - 1)
    else:
        later = run(step, first, rest)
    join = lambda x, xs: tf.concat([tf.expand_dims(x, 0), xs], axis=0)  # noqa: E731
    return tf.nest.map_structure(join, first, later)


def _unroll(step, state, inputs):
    chains = _chains(state, inputs)
    steps = [zip(*map(tf.unstack, tf.nest.flatten(part)), strict=True) for _, part in chains]
    now = [part for part, _ in chains]
    states = []
    for slices in zip(*steps, strict=True):
        packed = [tf.nest.pack_sequence_as(inputs, values) for values in slices]
        now = list(map(step, now, packed))
        states += now
    if len(chains) == 1:
        return tf.nest.map_structure(lambda *xs: tf.stack(xs), *states)
    # Stacked in the order of the rows, so that nothing is copied again to join the halves.
    length = len(states) // len(chains)
    join = lambda *xs: tf.reshape(tf.stack(xs), [length, -1, *xs[0].shape[1:]])  # noqa: E731
    return tf.nest.map_structure(join, *states)


def _chains(state, inputs):
    """What is computed side by side, as pairs of a state and inputs: all rows, or each half."""
    counts = {x.shape[0] for x in tf.nest.flatten(state)}
    counts |= {x.shape[1] for x in tf.nest.flatten(inputs)}
    rows = counts.pop() if len(counts) == 1 else None
    are_single = tf.config.threading.get_intra_op_parallelism_threads() == 1
    if not are_single or rows is None or rows % 2 or rows < _FEWEST_ROWS_HALVED:
        return [(state, inputs)]
    return [
        (
            tf.nest.map_structure(lambda x, half=half: x[half], state),
            tf.nest.map_structure(lambda x, half=half: x[:, half], inputs),
        )
        for half in (slice(rows // 2), slice(rows // 2, rows))
    ]


def _loop(step, state, inputs):
    """Of ``state`` everything has to be there that a step returns."""
    # Step by step: with steps in parallel, two runs of one seed were rounded differently.
    return tf.scan(step, inputs, initializer=state, parallel_iterations=1)


# ---- Products in the loop. A loop's gradient would add a weight's gradient up step by step: a
# product of few rows each time, and passes over all of the weight. Instead, the bias of each
# product is a row for every step here, a tap, whose gradient is that of the product's output; the
# loop gives out what was multiplied; and one product of both is the weight's gradient.

_taps = contextvars.ContextVar("taps", default=None)  # Those of the scan that is being built.


def linear(inputs, kernels, bias, plus=None):
    """``inputs[0] @ kernels[0] + inputs[1] @ kernels[1] + … + bias``.

    Args:
      inputs: List of ``[..., N, size]``.
      kernels: List of ``[size, units]``, or in blocks ``[G, size, units]``.
      bias: ``[units]``, or in blocks ``[G, 1, units]``.
      plus: ``[..., N, units]`` to add, if anything.

    Returns:
      ``[..., N, units]``.
    """
    if taps := _taps.get():
        kernels, bias = taps.replace(inputs, kernels, bias)
    if plus is None and len(inputs) == 1:
        product = _product(inputs[0], kernels[0])
        # As one operation, TensorFlow joins it to the product.
        return tf.nn.bias_add(product, bias) if bias.shape.rank == 1 else product + bias
    # The bias is added to what is known already, never to a product: TensorFlow 2.21 joins product,
    # bias, a further sum and an ELU to an operation that it does not have.
    total = bias if plus is None else bias + plus
    for x, kernel in zip(inputs, kernels, strict=True):
        total += _product(x, kernel)
    return total


def _product(x, kernel):
    return tf.matmul(x, kernel) if x.shape.rank <= kernel.shape.rank else tf.tensordot(x, kernel, 1)


class _Call:
    """A call of `linear` in the first step, which stands for that in every other step."""

    def __init__(self, inputs, kernels, bias):
        self.multiplied = inputs  # Later those of all other steps, stacked.
        self.kernels = kernels
        self.bias = bias

    def taps(self, length):
        """The bias in so many steps, ``[length, *shape of an output]``."""
        product = [*self.multiplied[0].shape[:-1], self.kernels[0].shape[-1]]
        shape = tf.broadcast_static_shape(tf.TensorShape(product), self.bias.shape)

        @tf.custom_gradient
        def spread(bias, *kernels):
            def gradient(upstream):
                products = [
                    _sum_products(x, upstream, kernel.shape.rank)
                    for x, kernel in zip(self.multiplied, kernels, strict=True)
                ]
                # A sum of thousands of rows needs more digits than bfloat16 has.
                total = sum_to(tf.cast(upstream, tf.float32), bias.shape)
                return tf.cast(total, bias.dtype), *products

            return tf.broadcast_to(bias, [length, *shape]), gradient

        return spread(self.bias, *self.kernels)


class _Taps:
    """The calls of `linear` in the steps of a scan."""

    def __init__(self):
        self.calls = []
        self._later = None
        self._multiplied = []

    @contextlib.contextmanager
    def step(self, taps=None):
        """The first step, which computes its gradients by itself; or another, with its taps.

        The block gets a list, in which is in the end what was multiplied.
        """
        self._later = None if taps is None else zip(self.calls, taps, strict=True)
        self._multiplied = multiplied = []
        token = _taps.set(self)
        try:
            yield multiplied
        finally:
            _taps.reset(token)

    def replace(self, inputs, kernels, bias):
        """What `linear` computes with in place of its weights."""
        self._multiplied.append([tf.stop_gradient(x) for x in inputs])
        if self._later is None:
            self.calls.append(_Call(inputs, kernels, bias))
            return kernels, bias
        call, tap = next(self._later)
        # Those of the first step: weights are read, and cast, once for all.
        return [tf.stop_gradient(kernel) for kernel in call.kernels], tap

    def run(self, run, step, first, inputs, length):
        """``run``, which is `_unroll` or `_loop`, behind the first step.

        Args:
          run: Function of a step, a state and inputs.
          step: As for `scan`.
          first: What the first step gave: its state, and what was multiplied in it.
          inputs: As for `scan`, those of the first step left out.
          length: Number of steps that are left.
        """

        def tapped(before, slices):
            with self.step(slices["taps"]) as multiplied:
                state = step(before[0], slices["inputs"])
            return state, multiplied

        taps = [call.taps(length) for call in self.calls]
        states, multiplied = run(tapped, first, {"inputs": inputs, "taps": taps})
        for call, values in zip(self.calls, multiplied, strict=True):
            call.multiplied = values
        return states


def _sum_products(x, upstream, rank):
    """Gradient of a kernel ``[..., size, units]``: that of all steps, ``[T, ..., N, ·]``."""
    if rank == 2:
        x, upstream = (tf.reshape(y, [-1, y.shape[-1]]) for y in (x, upstream))
        return tf.matmul(x, upstream, transpose_a=True)
    if x.shape[1] == 1:  # The same for all blocks.
        return tf.einsum("tns,tgno->gso", tf.squeeze(x, 1), upstream)
    return tf.einsum("tgni,tgno->gio", x, upstream)


# ---- Axes of batches.


def leading_size(x):
    """Length of the first axis (N): an int, or a scalar tensor where the graph leaves it open."""
    return tf.shape(x)[0] if x.shape[0] is None else x.shape[0]


def open_shape(shape):
    """A static shape as `tf.reshape` takes it, which finds out one unknown length by itself."""
    return [-1 if length is None else length for length in shape]


def swap_time(x):
    """Exchanges the first two axes: ``[B, T, ...]`` to ``[T, B, ...]``, and back."""
    if x.dtype == tf.bool:  # oneDNN logs an error for these, and TensorFlow swaps before a cast.
        return swap_time(tf.where(x, 1.0, 0.0)) > 0.5
    return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])


def flatten_time(x):
    """``[B, T, ...]`` to ``[N, ...]``, the rows of all sequences one after another."""
    return tf.reshape(x, [-1, *x.shape[2:]])


def merge_leading(x, event_ndims):
    """``[..., *event]`` to ``[N, *event]``.

    Args:
      x: Tensor of at least ``event_ndims`` axes.
      event_ndims: Number of trailing axes that stay, their lengths known.
    """
    if x.shape.rank == event_ndims + 1:
        return x
    return tf.reshape(x, [-1, *x.shape[x.shape.rank - event_ndims :]])


def restore_leading(flat, like, event_ndims):
    """The inverse of `merge_leading`: ``[N, ...]`` to the leading axes of ``like`` and the rest.

    Args:
      flat: ``[N, ...]``.
      like: ``[..., *event]``; its leading axes may be of unknown length.
      event_ndims: Number of trailing axes of ``like`` that are none of them.
    """
    ndims = like.shape.rank - event_ndims
    if ndims == 1:
        return flat
    static = like.shape[:ndims]
    leading = static if static.is_fully_defined() else tf.shape(like)[:ndims]
    return tf.reshape(flat, tf.concat([leading, flat.shape[1:]], axis=0))


# ---- Leaving out.


def unless(flags, values):
    """The values, zeros where the flags are true; a product with 0 would keep what is not finite.

    Args:
      flags: Bool tensor that broadcasts to the shape of ``values``.
      values: Tensor of any shape.
    """
    return tf.where(flags, tf.zeros_like(values), values)


# ---- Rows that other replicas have.
#
# On several devices each replica computes with its share of the global batch, the rows of some of
# its sequences. Where a batch is looked at as a whole, these functions look at those of all
# replicas. With one replica they return what they get, and add no operation.
#
# Shares are equal, so the mean over replicas of means over rows is the mean over all rows.
# Gradients pass through: what is averaged over replicas afterwards, as `GradientStep` does with
# gradients, is the gradient of the mean loss of all replicas.


def replica_count():
    """Replicas that compute the present update together; 1 outside of such."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1


def mean_over_replicas(values):
    """Mean of each tensor over replicas, the same to the bit for all of them.

    Args:
      values: Float tensor, or a list of such.
    """
    if replica_count() == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values)


def replica_index():
    """Which of the replicas this is, an int; graphs are built for each of them."""
    context = tf.distribute.get_replica_context()
    return int(tf.get_static_value(context.replica_id_in_sync_group))


def gather_over_replicas(values):
    """Rows of all replicas, in the order of the global batch.

    Args:
      values: ``[n, ...]``, the same shape in all replicas; integers up to 2²⁴.

    Returns:
      ``[replicas · n, ...]``.
    """
    count = replica_count()
    if count == 1:
        return values
    # A sum with zeros in the others' places: hosts know collectives of few types of numbers.
    rows, place = values.shape[0], replica_index()
    padding = [[place * rows, (count - 1 - place) * rows]] + [[0, 0]] * (values.shape.rank - 1)
    dtype = values.dtype if values.dtype in (tf.float32, tf.float64) else tf.float32
    padded = tf.pad(tf.cast(values, dtype), padding)
    context = tf.distribute.get_replica_context()
    return tf.cast(context.all_reduce(tf.distribute.ReduceOp.SUM, padded), values.dtype)


def count_over_replicas(flags):
    """What a sum over a replica's rows is divided by, for a mean over all that a flag is 1 for.

    ::

        mean over replicas of (sum of x · flag / count) = Σ x · flag / Σ flag

    Args:
      flags: Float tensor of 0 and 1, any shape.

    Returns:
      Scalar: the flags that are 1 in an average replica, at least one in all.
    """
    return tf.maximum(mean_over_replicas(tf.reduce_sum(flags)), 1.0 / replica_count())


def std_over_replicas(values):
    """Standard deviation of a tensor's elements, those of all replicas; a scalar."""
    if replica_count() == 1:
        return tf.math.reduce_std(values)
    mean = mean_over_replicas(tf.reduce_mean(values))
    return tf.sqrt(mean_over_replicas(tf.reduce_mean(tf.square(values - mean))))


def max_over_replicas(values):
    """Largest element of a tensor, in all replicas; a scalar."""
    return _extreme(tf.reduce_max, values)


def min_over_replicas(values):
    """Smallest element of a tensor, in all replicas; a scalar."""
    return _extreme(tf.reduce_min, values)


def _extreme(reduce, values):
    extreme = reduce(values)
    return reduce(gather_over_replicas(extreme[None])) if replica_count() > 1 else extreme
