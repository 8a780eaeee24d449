"""DreamerV2's aggregates over the Atari games: how far above random play, in people's terms.

Each game's score s, the mean over the seeds, is normalised twice::

    gamer  = (s − random) / (gamer − random)        record = (s − random) / (record − random)

and averaged over the games in four ways: median of gamer, mean of gamer, mean of record, and mean
of min(record, 1). The mean of gamer is ruled by a few games; the last is the one that DreamerV2
(arXiv:2010.02193, Section 3) recommends.
"""

import numpy as np

from dreamer_tf.apps.figures.aggregation import BINS, last_end, over_tasks
from dreamer_tf.apps.figures.atari_scores import ATARI
from dreamer_tf.apps.figures.drawing import named
from dreamer_tf.apps.figures.errors import FigureError

AGGREGATES = ("Gamer median", "Gamer mean", "Record mean", "Clipped record mean")


def aggregates(games, scores):
    """The four averages over games.

    Args:
      games: Names of ``G`` games, all in ``ATARI``.
      scores: Scores ``[G, …]``.

    Returns:
      Dict of aggregate to ``[…]``. A game without a known record counts for the gamer's only.

    Raises:
      FigureError: If none of the games has a record.
    """
    scores = np.asarray(scores, float)
    shape = (len(games), *[1] * (scores.ndim - 1))
    low = np.array([ATARI[game].random for game in games]).reshape(shape)
    gamer = np.array([ATARI[game].gamer for game in games]).reshape(shape)
    known = [i for i, game in enumerate(games) if ATARI[game].record is not None]
    if not known:
        raise FigureError(f"no human record is known for {named(games)}")
    best = np.array([ATARI[games[i]].record for i in known]).reshape(len(known), *shape[1:])
    by_gamer = (scores - low) / (gamer - low)
    by_record = (scores[known] - low[known]) / (best - low[known])
    values = (
        np.median(by_gamer, axis=0),
        np.mean(by_gamer, axis=0),
        np.mean(by_record, axis=0),
        np.mean(np.minimum(by_record, 1), axis=0),
    )
    return dict(zip(AGGREGATES, values, strict=True))


def aggregate_curves(collection, games, method, bins=BINS, end=None):
    """The aggregates of a method over frames.

    Seeds that ended early count as far as they go; where a game has none left, the curve ends.
    So DreamerV2's numbers at 200M frames are met, where one game has two of its eight seeds left.

    Args:
      collection: `Collection`.
      games: Names of the games; the method has curves of all.
      method: Name of the method.
      bins: Bins from 0 to the end.
      end: Frames at which what is shown ends; None: where the longest curve does.

    Returns:
      Frames ``[N]`` and dict of aggregate to ``[N]``.
    """
    played = [collection.of(game, method) for game in games]
    if end is None:
        end = max(map(last_end, played))
    frames, scores = over_tasks(played, end, bins, majority=False)
    return frames, aggregates(games, scores)
