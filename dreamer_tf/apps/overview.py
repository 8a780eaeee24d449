"""All commands: their list, starting one by its name, and the completion of their words in bash."""

import contextlib
import importlib
import io
import os
import re
import shlex
import sys

import dreamer_tf
from dreamer_tf.common import nearest
from dreamer_tf.config import options, preset_names
from dreamer_tf.config.program import unread_output

COMMANDS = {
    "train": ("commands:train", "train an agent, or continue a run"),
    "evaluate": ("commands:evaluate", "play episodes with a trained agent"),
    "report": ("report.commands:report", "one HTML page about a run, or about several"),
    "dream": ("dream.commands:dream", "step inside the world model of a run, in the browser"),
    "export": ("commands:export", "the policy for programs without this project"),
    "plot": ("figures.commands:plot", "the papers' figures from runs and score files"),
    "sweep": ("sweep.commands:sweep", "the runs of a paper's benchmark"),
    "benchmark": ("benchmark.commands:benchmark", "how fast a preset is on this machine"),
}
"""Name to where it is within ``dreamer_tf.apps``, and what it does. Installed, each is also a
program ``dreamer-<name>``."""

_WITH_CONFIG = ("train", "sweep", "benchmark")
_BASH = """\
# Completion of dreamer-tf's commands in bash: source this, or put it into ~/.bashrc.
_dreamer_tf() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} option= words= place
  for ((place = COMP_CWORD - 1; place > 0; place--)); do
    if [[ ${{COMP_WORDS[place]}} == --* ]]; then option=${{COMP_WORDS[place]}}; break; fi
  done
  if [[ $current == -* ]]; then
    case ${{1##*/}} in
{options}
    esac
  else
    case $option in
{values}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _dreamer_tf {programs}
"""


def main(argv):
    """Lists the commands, starts one, or prints the completion.

    Args:
      argv: Words behind ``python -m dreamer_tf``.
    """
    name, rest = (argv[0], argv[1:]) if argv else ("--help", [])
    with unread_output():
        if name in ("-h", "--help"):
            print(listing())
        elif name == "--version":
            print(f"dreamer-tf {dreamer_tf.__version__}")
        elif name == "completion":
            print(completion(), end="")
        elif name in COMMANDS:
            sys.argv = [f"dreamer-{name}", *rest]
            load(name)(rest)
        else:
            near = nearest(name, [*COMMANDS, "completion"]) or COMMANDS
            print(
                f"there is no command {name!r}; did you mean {' or '.join(near)}?", file=sys.stderr
            )
            raise SystemExit(2)


def load(name):
    """The function of a command."""
    module, _, function = COMMANDS[name][0].partition(":")
    return getattr(importlib.import_module(f"dreamer_tf.apps.{module}"), function)


def listing():
    """The commands with what they do, a line each."""
    lines = [f"  dreamer-{name:<11}{meaning}" for name, (_, meaning) in COMMANDS.items()]
    return "\n".join(
        [
            f"dreamer-tf {dreamer_tf.__version__}",
            "",
            *lines,
            "",
            "Each has --help. Not installed, train is python -m dreamer_tf train, and so on.",
            "Completion in bash: source <(python -m dreamer_tf completion)",
        ]
    )


def completion():
    """A script for bash that completes options, presets, and values where there is a choice."""
    known = options()
    words = {
        name: sorted({*_words_of_help(name), *([f"--{key}" for key in known] if shared else [])})
        for name in COMMANDS
        for shared in [name in _WITH_CONFIG]
    }
    values = {"--configs": preset_names()}
    for key, option in known.items():
        if option.choices or option.kind is bool:
            values[f"--{key}"] = option.choices or ("false", "true")
    return _BASH.format(
        options="\n".join(_case(f"dreamer-{name}", found) for name, found in words.items()),
        values="\n".join(_case(option, found) for option, found in values.items()),
        programs=" ".join(f"dreamer-{name}" for name in COMMANDS),
    )


def _case(pattern, words):
    return f"      {pattern}) words={shlex.quote(' '.join(words))} ;;"


def _words_of_help(name):
    text, width = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "200"  # No option is broken across lines.
    try:
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            load(name)(["--help"])
    finally:
        os.environ.pop("COLUMNS") if width is None else os.environ.update(COLUMNS=width)
    return re.findall(r"(?<![\w-])--[\w.]+", text.getvalue())
