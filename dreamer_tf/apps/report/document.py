"""Puts the page together and writes it."""

import datetime
import json
import logging
import pathlib

import jinja2

import dreamer_tf
from dreamer_tf.apps.figures.palette import styles
from dreamer_tf.apps.figures.tasks import title as task_title
from dreamer_tf.apps.report import summary, tables
from dreamer_tf.apps.report.assets import page_file
from dreamer_tf.apps.report.curves import MOST_POINTS, Plot
from dreamer_tf.apps.report.films import films, newest_film
from dreamer_tf.apps.report.looks import LINE_WIDTH, looks
from dreamer_tf.apps.report.run_folder import read_runs
from dreamer_tf.common import duration, number, replacing

_LOGGER = logging.getLogger(__name__)

REPORT_NAME = "report.html"
_VIDEOS_OF_ONE, _VIDEOS_OF_SEVERAL = 3, 1


def write_report(texts, path=None, videos=None):
    """Writes the report of a run, or of several side by side.

    Args:
      texts: Run folders; ``NAME=PATH`` calls the run at PATH NAME.
      path: The HTML file; None: ``report.html``, in the run's folder or, of several runs, in the
        current one.
      videos: Videos of each kind and run; None: three of a single run, else one.

    Returns:
      The path of the file.

    Raises:
      ReportError: If one is no run folder, or cannot be read.
    """
    runs = read_runs(texts)
    if videos is None:
        videos = _VIDEOS_OF_ONE if len(runs) == 1 else _VIDEOS_OF_SEVERAL
    if path is None:
        path = runs[0].path / REPORT_NAME if len(runs) == 1 else REPORT_NAME
    path = pathlib.Path(path)
    text = render(runs, videos)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def write_at_end(folder, tell):
    """Writes ``report.html`` of a run that has ended. It is complete without, so nothing is raised.

    Args:
      folder: Run folder.
      tell: Function that is told, a line of text each, where the newest film of an evaluation and
        the report are, or why there is no report.
    """
    try:
        path = write_report([folder])
    except Exception as error:
        _LOGGER.debug("the report of %s failed", folder, exc_info=True)
        tell(
            f"the report could not be written ({type(error).__name__}: {error}); the run is whole, "
            f"and dreamer-report {folder} tries again"
        )
    else:
        film = newest_film(folder)
        if film:
            tell(f"film {film}")
        tell(f"report {path}")


def render(runs, videos, now=None):
    """The page as text.

    Args:
      runs: List of `run_folder.Run`.
      videos: Videos of each kind and run.
      now: When it is written; None: now.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dreamer_tf.apps.report", "page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"number": number, "duration": duration}
    now = datetime.datetime.now(datetime.UTC) if now is None else now
    plot = Plot(runs)
    run_looks = looks([run.agent for run in runs])
    plot.data["lineWidth"] = LINE_WIDTH
    plot.data["axis"] = axis = _axis(runs)
    plot.data["runs"] = [
        {"name": run.name, "light": look.light, "dark": look.dark, "dash": look.dash}
        for run, look in zip(runs, run_looks, strict=True)
    ]
    cards = [
        _card(run, look, *films(run.path, videos))
        for run, look in zip(runs, run_looks, strict=True)
    ]
    settings = tables.settings(runs)
    return environment.get_template("report.html").render(
        title=_title(runs),
        cards=cards,
        plot=plot,
        axis=axis,
        most_points=MOST_POINTS,
        settings=settings,
        unlike=[row for row in settings if (row.differs if len(runs) > 1 else row.is_changed)],
        environment=tables.environment(runs),
        data=script_json(plot.data),
        style=page_file("report.css"),
        program=page_file("report.js"),
        uplot=page_file("vendor/uPlot.iife.min.js"),
        uplot_style=page_file("vendor/uPlot.min.css"),
        uplot_licence=page_file("vendor/uPlot.LICENSE"),
        version=dreamer_tf.__version__,
        written=now.strftime("%Y-%m-%d %H:%M UTC"),
    )


def script_json(value):
    """JSON that may stand inside a ``script`` element: nothing in it can end the element."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _card(run, look, shown, notes):
    """What the template needs of a run."""
    acts = run.unit == summary.FRAMES
    memory = summary.latest(run.history, "memory/rss")
    return {
        "run": run,
        "look": look,
        "label": styles([run.agent])[run.agent].label,
        "task": task_title(run.task),
        "score": summary.score(run.history),
        "updates": summary.latest(run.history, "grad_steps") if acts else None,
        "episodes": summary.latest(run.history, "episodes"),
        "seconds": float(run.history.seconds().sum()),
        "frames_speed": summary.typical(run.history, "speed/frames") if acts else None,
        "acting_speed": summary.typical(run.history, "speed/acting"),
        "updating_speed": summary.typical(run.history, "speed/updating"),
        "memory_mib": None if memory is None else round(memory / 2**20),
        "shares": summary.time_shares(run.history),
        "films": shown,
        "notes": (*run.notes, *notes),
    }


def _axis(runs):
    """What curves are drawn over."""
    names = {summary.FRAMES: "environment frames", summary.UPDATES: "updates"}
    return " or ".join(name for unit, name in names.items() if unit in {run.unit for run in runs})


def _title(runs):
    names = styles([run.agent for run in runs])
    agents = [names[agent].label for agent in dict.fromkeys(run.agent for run in runs)]
    tasks = list(dict.fromkeys(task_title(run.task) for run in runs))
    what = f"{_listed(agents)} on {_listed(tasks)}"
    return f"{what}, seed {runs[0].seed}" if len(runs) == 1 else f"{what}: {len(runs)} runs"


def _listed(names):
    if len(names) > 3:
        return f"{', '.join(names[:2])} and {len(names) - 2} more"
    return " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])
