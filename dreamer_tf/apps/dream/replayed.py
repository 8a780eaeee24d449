"""What the model makes of a recorded episode: its latent states, filtered row by row."""

import numpy as np

from dreamer_tf.apps.dream.compiled import CHUNK
from dreamer_tf.behaviors import Latent

WARM_UP = 250
"""Rows before the moment that the model sees; of a longer past it knows nothing."""


class Replayed:
    """Posterior states of an episode, from the warm-up before a moment to any row behind it.

    Filtering goes on as rows are asked for. What is drawn depends on the seed and the moment alone.
    """

    def __init__(self, model, rows, moment, seed):
        """Begins at the episode's first row, or at most `WARM_UP` rows before the moment.

        Args:
          model: `CompiledModel`.
          rows: Dict of arrays ``[rows, ...]``, see `dreamer_tf.specs`.
          moment: Row that a dream begins at.
          seed: Int.
        """
        self._model = model
        self._rows = rows
        self._seed = seed
        self.first = max(0, moment - WARM_UP)
        self._chunks = []

    def latent(self, row):
        """The posterior `Latent` at a row."""
        latents, _, index = self._at(row)
        return Latent(*(part[index] for part in latents))

    def judged(self, row):
        """What the model expects of the state at a row, dict of floats, see `LatentModel.judge`."""
        _, judged, index = self._at(row)
        return {key: float(values[index]) for key, values in judged.items()}

    def _at(self, row):
        """The chunk of a row, filtered now if it was not, and the row's place in it."""
        chunk, index = divmod(row - self.first, CHUNK)
        while len(self._chunks) <= chunk:
            self._chunks.append(self._filter(len(self._chunks)))
        return *self._chunks[chunk], index

    def _filter(self, chunk):
        start = self.first + chunk * CHUNK
        # The last chunk is filled up with the last row, whose copies nobody asks for.
        places = np.minimum(np.arange(CHUNK), len(self._rows["reward"]) - 1 - start)
        # By a slice: for whatever else is asked for, a stored array reads the whole episode.
        rows = {key: values[start : start + CHUNK][places] for key, values in self._rows.items()}
        if chunk:
            before = Latent(*(part[-1] for part in self._chunks[-1][0]))
        else:
            # Wherever the warm-up starts: there is nothing before it, no action led there.
            rows["is_first"][0] = True
            before = self._model.initial()
        return self._model.observe(rows, before, (self._seed, chunk))
