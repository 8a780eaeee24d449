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
from dreamer_tf.apps.api.trained import evaluate, export
from dreamer_tf.common import short_name, write_json
from dreamer_tf.export.checks import check_free, check_onnx
from dreamer_tf.runs import run_folder
from dreamer_tf.training.loading import load_saved

VIDEO, RESULTS, POLICY = "replay.mp4", "results.json", "policy"

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

An agent of dreamer-tf {{ version }}, after {{ frames }} frames and {{ updates }} updates. Its mean
return over {{ count }} episodes with the mode action is
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
{% if curve %}| `scores.json` | the learning curve |
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
    out = pathlib.Path(out)
    check_free(out)
    if onnx:
        check_onnx()
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        results = _write(
            pathlib.Path(logdir), partial, episodes, env, task, seed, checkpoint, onnx, license
        )
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out, results


def _write(logdir, folder, episodes, env, task, seed, checkpoint, onnx, license_name):
    _, refusal = export(logdir, folder / POLICY, onnx=onnx, checkpoint=checkpoint)
    from dreamer_tf.runs.checkpoint import Checkpoints  # Loads TensorFlow: first, `export` quietly.

    config = configs.read(logdir)
    agent, state = load_saved(logdir, checkpoint)
    counters = state["counters"]
    counts = {"env_frames": counters["env_frames"], "grad_steps": counters["grad_steps"]}
    Checkpoints(folder / "checkpoints", agent=agent).save({"counters": counters}, **counts)
    # Where the run was is nobody's business.
    own = dataclasses.replace(config, logdir="")
    configs.save(own, folder, {key: "published run" for key in configs.options()})
    (folder / POLICY / configs.CONFIG_NAME).write_bytes((folder / configs.CONFIG_NAME).read_bytes())
    run_folder.save_spaces(folder, agent.obs_space, agent.act_space, agent.native_act_space)
    has_curve = (logdir / "scores.json").is_file()
    if has_curve:
        shutil.copyfile(logdir / "scores.json", folder / "scores.json")
    outcome = evaluate(
        *(logdir, episodes),
        env=env,
        task=task,
        seed=seed,
        checkpoint=checkpoint,
        video=folder / VIDEO,
    )
    results = {
        "task": task or config.task,
        "agent": short_name(config.agent),
        "returns": outcome.returns,
        "lengths": outcome.lengths,
        "mean": outcome.mean,
        "std": outcome.std,
        "crashed": outcome.crashed,
        "limited": outcome.limited,
        **counts,
        "dreamer_tf": dreamer_tf.__version__,
    }
    write_json(folder / RESULTS, results)
    forms = ["a TensorFlow SavedModel"]
    for name, file in (("LiteRT", "policy.tflite"), ("ONNX", "policy.onnx")):
        if (folder / POLICY / file).is_file():
            forms.append(f"{name} (`{file}`)")
    remarks = [f"There is no LiteRT file: {refusal}."] if refusal else []
    if outcome.limited:
        remarks.append(f"{outcome.limited} of the episodes had not ended and count as they were.")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    text = environment.from_string(_CARD).render(
        results
        | {
            "license": license_name,
            "version": dreamer_tf.__version__,
            "frames": f"{counts['env_frames']:,}",
            "updates": f"{counts['grad_steps']:,}",
            "count": len(outcome.returns),
            "low": min(outcome.returns),
            "high": max(outcome.returns),
            "remarks": remarks,
            "forms": ", ".join(forms),
            "curve": has_curve,
            "video": outcome.video is not None,
        }
    )
    (folder / "README.md").write_text(text + "\n", encoding="utf-8")
    return results
