"""Packaging: dependencies, extras, console commands, and ``configs/`` as package data."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).resolve().parent


def version():
    """The version, read as text: importing the package would need its dependencies."""
    source = (ROOT / "dreamer_tf" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE).group(1)


def description():
    """The README for those who have the wheel: its commands, and no links into the repository."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"(?:\.venv/bin/)?python scripts/(\w+)\.py", r"dreamer-\1", text)
    text = re.sub(r"!\[[^]]*\]\((?!https?://)[^)]*\)", "", text)  # pictures
    return re.sub(r"\[([^]]*)\]\((?!https?://)[^)]*\)", r"\1", text)


INSTALL_REQUIRES = [
    # 2.21 is what the reference numbers are checked against; a new minor version needs the
    # tf-keras of the same number.
    "tensorflow>=2.21,<2.22",
    "tf-keras>=2.21,<2.22",  # TensorFlow Probability imports it; it must match TensorFlow
    "tensorflow-probability>=0.25,<0.26",
    "keras>=3.12",
    "tensorboard>=2.19",  # tf.summary needs it; TensorFlow no longer brings it
    "dm_control>=1.0.50",
    "mujoco>=3.17,<4",  # dm_control 1.0.50 does not run with 4.0, but lets pip choose it
    "gymnasium>=1.0",
    "gym>=0.26.2,<0.27",  # last release; only its current API is supported
    "numpy>=2.0",
    "ruamel.yaml>=0.18",
    "imageio>=2.34",
    "imageio-ffmpeg>=0.5",  # MP4 without a system ffmpeg
    "pillow>=10.0",  # resizes images
    "cloudpickle>=3.0",  # environment constructors travel to worker processes
    "rich>=13.0",
    "psutil>=5.9",
    "jinja2>=3.1",  # the template of reports
]

EXTRAS_REQUIRE = {
    "atari": ["ale-py>=0.11"],  # brings the games as well
    "crafter": ["crafter>=1.8", "numba>=0.61"],  # compiled, a world in a tenth of the time
    "figures": [
        "matplotlib>=3.8",
        "rliable>=1.2",
        "scipy>=1.11",  # rliable and dm_control bring it, too
        # rliable 1.2 asks for arch below 8, with reason: arch 8.0 refuses the keyword random_state
        # that it passes. arch 7.2 fails on import with pandas 3, where deprecate_kwarg() has other
        # arguments, but lets pip choose it.
        "pandas>=2.2.2,<3",  # 2.2.2: the first for NumPy 2
    ],
    "wandb": ["wandb>=0.20"],
    # The client alone, with what its SQLite store needs: the whole of mlflow brings a web server.
    "mlflow": ["mlflow-skinny>=3.0", "sqlalchemy>=2.0", "alembic>=1.10"],
    "minari": ["minari>=0.5.4", "h5py>=3.10"],  # 0.5.4: the first that keeps images as they are
    "onnx": ["tf2onnx>=1.17", "onnx>=1.17", "onnxruntime>=1.20"],
    "dream": ["flask>=3.0", "werkzeug>=3.0"],
    "ray": ["ray>=2.50,<3"],
    "search": ["optuna>=4.0"],
    "slurm": ["submitit>=1.5"],
    "docs": ["sphinx>=9.0", "myst-parser>=5.0", "furo>=2025.9", "sphinx-copybutton>=0.5.2"],
    "dev": [
        "pytest>=8.0",
        "hypothesis>=6.100",
        "ruff>=0.12",
        "mypy>=2.0",
        "selenium>=4.20",
        "nbclient>=0.10",
        "ipykernel>=6.29",
    ],
}

setup(
    name="dreamer-tf",
    version=version(),
    description="PlaNet, Dreamer, DreamerV2 and DreamerV3 in TensorFlow 2 and Keras 3",
    long_description=description(),
    long_description_content_type="text/markdown",
    project_urls={
        "PlaNet": "https://arxiv.org/abs/1811.04551",
        "Dreamer": "https://arxiv.org/abs/1912.01603",
        "DreamerV2": "https://arxiv.org/abs/2010.02193",
        "DreamerV3": "https://arxiv.org/abs/2301.04104",
    },
    keywords=["reinforcement learning", "world models", "dreamer", "tensorflow", "keras"],
    author="The dreamer-tf authors",
    license="MIT",
    python_requires=">=3.11,<3.13",  # labmaze, which dm_control needs, has no wheel for 3.13
    packages=[*find_packages(include=["dreamer_tf", "dreamer_tf.*"]), "dreamer_tf.presets"],
    package_dir={"dreamer_tf.presets": "configs"},
    package_data={
        "dreamer_tf": ["py.typed"],  # It says that the hints are there for others, too.
        "dreamer_tf.presets": ["*.yaml"],
        "dreamer_tf.apps.dream": ["page/*"],
        "dreamer_tf.apps.report": ["page/*.*", "page/vendor/*"],
    },
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    entry_points={
        "console_scripts": [
            "dreamer-train = dreamer_tf.apps.commands:train",
            "dreamer-evaluate = dreamer_tf.apps.commands:evaluate",
            "dreamer-export = dreamer_tf.apps.commands:export",
            "dreamer-benchmark = dreamer_tf.apps.benchmark.commands:benchmark",
            "dreamer-plot = dreamer_tf.apps.figures.commands:plot",
            "dreamer-dream = dreamer_tf.apps.dream.commands:dream",
            "dreamer-report = dreamer_tf.apps.report.commands:report",
            "dreamer-sweep = dreamer_tf.apps.sweep.commands:sweep",
        ]
    },
    classifiers=[
        "License :: OSI Approved :: MIT License",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Operating System :: POSIX :: Linux",
        "Typing :: Typed",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
