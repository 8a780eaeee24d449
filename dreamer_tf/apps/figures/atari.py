"""DreamerV2's aggregates over the Atari games as a figure and a table."""

from dreamer_tf.apps.figures import canvas
from dreamer_tf.apps.figures.aggregation import BINS, line_end
from dreamer_tf.apps.figures.atari_aggregates import AGGREGATES, aggregate_curves, aggregates
from dreamer_tf.apps.figures.atari_scores import ATARI
from dreamer_tf.apps.figures.drawing import Drawing, common_tasks, named, table
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.palette import styles


def draw(collection, *, bins=BINS, until=None):
    """Draws the four aggregates over frames.

    Args:
      collection: `Collection` of Atari games.
      bins: Bins of the lines, which end with the panels.
      until: Frames at which the panels end; None: where the longest of the runs' methods ends.

    Returns:
      `Drawing`; its text has the aggregates at the end of each line.

    Raises:
      FigureError: If there is no Atari game that all methods have played.
    """
    notes = []
    games = [task for task in collection.tasks if task in ATARI]
    if not games:
        raise FigureError(
            f"none of these tasks is one of the {len(ATARI)} Atari games with reference scores: "
            f"{named(collection.tasks)}"
        )
    games = [task for task in common_tasks(collection, collection.methods, notes) if task in ATARI]
    if not games:
        raise FigureError("there is no Atari game that all methods have played")
    alone = [aggregate_curves(collection, games, method, bins)[0] for method in collection.own]
    # Of a panel that goes on behind all curves, only what they reach is cut into bins.
    last = max(curve.end for curve in collection.curves if curve.task in games)
    end = until or max((xs[-1] for xs in alone if len(xs)), default=last)
    last = min(end, last)
    lines = {
        method: aggregate_curves(collection, games, method, bins, last)
        for method in collection.methods
    }
    for method, (xs, _) in lines.items():
        notes += _ends_note(collection, games, method, xs, last, last / bins)
    levels = _levels(collection, games, notes)
    looks = styles([*lines, *levels], collection.algorithms)
    with canvas.style():
        figure = _draw_panels(lines, levels, looks, end, collection.x_label)
    rows = [
        [looks[method].label, f"{xs[-1]:,.0f}", *(f"{v[-1]:.2f}" for v in values.values())]
        for method, (xs, values) in lines.items()
        if len(xs)
    ]
    rows += [
        [looks[method].label, "", *(f"{v:.2f}" for v in values.values())]
        for method, values in levels.items()
    ]
    text = f"{len(games)} games\n" + table(["Method", "Frames", *AGGREGATES], rows)
    return Drawing(figure, text, tuple(notes))


def _ends_note(collection, games, method, xs, last, width):
    """A note on a line that is missing, or at whose end few of the seeds are left."""
    if not len(xs):
        return [f"left out: {method} has no frames up to {last:,.0f} in all games"]
    few = [game for game in games if line_end(collection.of(game, method)) <= xs[-1] - width]
    if not few:
        return []
    return [
        f"{method}: fewer than half of the seeds come to the end of its line in {named(few)}; the "
        f"mean is of those that do"
    ]


def _levels(collection, games, notes):
    """Aggregates of the baselines that have a final score in each of the games."""
    levels = {}
    for method in collection.baselines:
        scores = {game: collection.final(game, method) for game in games}
        missing = [game for game, score in scores.items() if score is None]
        if missing:
            notes.append(f"left out: {method} has no score in {named(missing)}")
        else:
            levels[method] = aggregates(games, list(scores.values()))
    return levels


def _draw_panels(lines, levels, looks, end, x_label):
    handles = [canvas.line_handle(looks[method]) for method in lines]
    handles += [canvas.level_handle(looks[method]) for method in levels]
    figure, axes = canvas.grid(len(AGGREGATES), handles, columns=4, panel=(1.6, 1.25))
    for axis, name in zip(axes, AGGREGATES, strict=True):
        for method, (xs, values) in lines.items():
            canvas.line(axis, xs, values[name], looks[method])
        for method, values in levels.items():
            canvas.level(axis, values[name], looks[method])
        if axis.dataLim.y0 >= 0:
            axis.set_ylim(bottom=0)
        canvas.frames_axis(axis, end)
        axis.set_title(name)
    figure.supxlabel(x_label, fontsize=8)
    figure.supylabel("Normalised score", fontsize=8)
    canvas.legend(figure, handles)
    return figure
