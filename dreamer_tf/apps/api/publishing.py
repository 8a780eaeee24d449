"""A folder for a model hub: a card with results, a video, the agent, and its policy as exports."""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import jinja2

import dreamer_tf
from dreamer_tf import config as configs
from dreamer_tf.apps.api.trained import evaluate, load_with_state, warn_of_unknown_range
from dreamer_tf.apps.report.summary import UPDATES, unit
from dreamer_tf.common import short_name, write_json
from dreamer_tf.export.checks import check_free, check_onnx
from dreamer_tf.export.errors import OnnxError
from dreamer_tf.export.folders import made_whole
from dreamer_tf.runs import run_folder

VIDEO, RESULTS, POLICY = "replay.mp4", "results.json", "policy"
_CURVE = "scores.json"

_CARD = """\
---
library_name: dreamer-tf
pipeline_tag: reinforcement-learning
{% if license %}license: {{ license }}
{% endif %}tags:
- reinforcement-learning
- deep-reinforcement-learning
- model-based-reinforcement-learning
- world-model
- {{ agent }}
- {{ task | tojson }}
model-index:
- name: {{ agent }}
  results:
  - task:
      type: reinforcement-learning
      name: reinforcement-learning
    dataset:
      name: {{ task | tojson }}
      type: {{ task | tojson }}
    metrics:
    - type: mean_reward
      name: mean_reward
      value: "{{ "%.2f" % mean }} +/- {{ "%.2f" % std }}"
      verified: false
---

# {{ agent }} on {{ task }}

An agent of dreamer-tf {{ version }}, after {{ progress }}. Its mean return over {{ count }}
episodes with the mode action is
**{{ "%.2f" % mean }} ± {{ "%.2f" % std }}** (mean and standard deviation; {{ "%.2f" % low }} to
{{ "%.2f" % high }}).
{% for remark in remarks %}
{{ remark }}
{% endfor %}
## Use

```python
import dreamer_tf as dreamer

agent = dreamer.load("path/to/this/folder")  # its checkpoint; trains on in a run with run.from_run
action, state = agent.policy(obs, mode="eval")
print(dreamer.evaluate("path/to/this/folder", episodes=10))
```

`policy/` is the same policy for programs without dreamer-tf; its README says how to call it:
{{ forms }}.

## What is here

| file | |
| --- | --- |
| `config.yaml` | every option of the run |
| `checkpoints/` | the agent |
| `spaces.json` | what it sees and does |
| `policy/` | the exports |
| `results.json` | the return of each episode |
{% if curve %}| `scores.json` | the learning curve{% if fitted %}, over updates{% endif %} |
{% endif %}{% if video %}| `replay.mp4` | an episode |
{% endif %}"""


def publish(
    logdir: str | os.PathLike,
    out: str | os.PathLike,
    *,
    episodes: int = 10,
    env: Any | Callable[[], Any] | None = None,
    task: str | None = None,
    seed: int | None = None,
    checkpoint: int | str | None = None,
    onnx: bool = True,
    license: str | None = None,
) -> tuple[pathlib.Path, dict[str, Any]]:
    """Writes a folder for a model hub: whole, or not at all. Nothing is uploaded.

    All of it is of one checkpoint, also where the run goes on meanwhile. What LiteRT or ONNX cannot
    hold is left out, and the card says why.

    Args:
      logdir: Run folder.
      out: Folder to make.
      episodes: How many to play for the results and the video.
      env: As for `dreamer_tf.evaluate`.
      task: Likewise.
      seed: Likewise.
      checkpoint: As for `dreamer_tf.load`.
      onnx: Whether to write ``policy.onnx``, too; needs the extra ``onnx``.
      license: The hub's name of the licence under which you publish; None: none is stated.

    Returns:
      The folder, and the results as in ``results.json``.

    Raises:
      RunFolderError: The folder holds no run, or no checkpoint yet.
      ExportError: The folder is taken, or the agent has nothing to export.
    """
    out, logdir = pathlib.Path(out), pathlib.Path(logdir)
    check_free(out)
    if onnx:
        check_onnx()
    config = run_folder.read_config(logdir)
    # Once: asked again, a run that goes on would have a newer checkpoint, or another best one.
    agent, state = load_with_state(logdir, checkpoint=checkpoint)
    warn_of_unknown_range(logdir)
    fitted = unit(state["counters"]["env_frames"], state["counters"]["agent_steps"]) == UPDATES
    with made_whole(out) as folder:
        remarks = _export(agent, folder / POLICY, config, onnx)
        _write_run(agent, state["counters"], config, folder)
        # What is in the folder plays, and no newer checkpoint of the run.
        outcome = evaluate(folder, episodes, env=env, task=task, seed=seed, video=folder / VIDEO)
        results = {
            "task": task or config.task,
            "agent": short_name(config.agent),
            "returns": outcome.returns,
            "lengths": outcome.lengths,
            "mean": outcome.mean,
            "std": outcome.std,
            "crashed": outcome.crashed,
            "limited": outcome.limited,
            # What a fit calls its frames are updates: nothing acted.
            "env_frames": 0 if fitted else state["counters"]["env_frames"],
            "grad_steps": state["counters"]["grad_steps"],
            "dreamer_tf": dreamer_tf.__version__,
        }
        write_json(folder / RESULTS, results)
        has_curve = (logdir / _CURVE).is_file()
        if has_curve:
            shutil.copyfile(logdir / _CURVE, folder / _CURVE)
        if outcome.limited:
            limited = f"{outcome.limited} of the episodes had not ended and count as they were."
            remarks.append(limited)
        about = {"license": license, "fitted": fitted, "curve": has_curve, "remarks": remarks}
        _write_card(folder, results, about | {"video": outcome.video is not None})
    return out, results


def _export(agent, folder, config, onnx):
    """Exports the policy; returns remarks on what it could not be."""
    info, remarks = {"task": config.task}, []
    try:
        _, refusal = agent.export(folder, onnx=onnx, info=info)
    except OnnxError as error:
        remarks.append(f"There is no ONNX file: {error}.")
        _, refusal = agent.export(folder, info=info)
    if refusal:
        remarks.append(f"There is no LiteRT file: {refusal}.")
    return remarks


def _write_run(agent, counters, config, folder):
    """What makes a run folder of the card's: `load` takes it, and it can be played."""
    from dreamer_tf.runs.checkpoint import Checkpoints  # It loads TensorFlow.

    counts = {name: counters[name] for name in ("env_frames", "grad_steps")}
    Checkpoints(folder / "checkpoints", agent=agent).save({"counters": counters}, **counts)
    # Where the run was is nobody's business.
    own = dataclasses.replace(config, logdir="")
    configs.save(own, folder, {key: "published run" for key in configs.options()})
    (folder / POLICY / configs.CONFIG_NAME).write_bytes((folder / configs.CONFIG_NAME).read_bytes())
    run_folder.save_spaces(folder, agent.obs_space, agent.act_space, agent.native_act_space)


def _write_card(folder, results, about):
    updates = f"{results['grad_steps']:,} updates"
    progress = f"{results['env_frames']:,} frames and {updates}"
    forms = ["a TensorFlow SavedModel"]
    for name, file in (("LiteRT", "policy.tflite"), ("ONNX", "policy.onnx")):
        if (folder / POLICY / file).is_file():
            forms.append(f"{name} (`{file}`)")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    text = environment.from_string(_CARD).render(
        results
        | about
        | {
            "version": dreamer_tf.__version__,
            "progress": f"{updates} on recorded episodes" if about["fitted"] else progress,
            "count": len(results["returns"]),
            "low": min(results["returns"]),
            "high": max(results["returns"]),
            "forms": ", ".join(forms),
        }
    )
    (folder / "README.md").write_text(text + "\n", encoding="utf-8")
