"""The notebook runs from top to bottom, at a tiny size, in a kernel of its own."""

import pathlib

import pytest

NOTEBOOK = pathlib.Path(__file__).parents[2] / "examples" / "quickstart.ipynb"
TINY = '"configs": ["dreamerv3_gym", "debug"], "run.prefill": 40, "run.train_every": 40'


def test_the_notebook_runs(tmp_path):
    nbclient = pytest.importorskip("nbclient", reason='pip install "dreamer-tf[dev]"')
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code), "clear its outputs"
    changed = code[0].source.replace("15_000, {}", f"120, {{{TINY}}}")
    assert changed != code[0].source
    code[0].source = changed
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = ["".join(output.get("text", "") for output in cell.outputs) for cell in code]
    assert "training episodes" in shown[2] and " ± " in shown[-1]
    assert float(code[3].outputs[0]["data"]["text/plain"].strip("np.float64()")) >= 8
    assert (tmp_path / "runs" / "notebook" / "report.html").is_file()
