"""The documentation as a site: ``make docs``. The pages are the Markdown files of the repository.

Links stay as they are in the repository. Where one leads to a file that is no page, such as a
source or a preset, the site gets a page that shows the file (`link_sources`).
"""

import os
import pathlib
import re
import shutil
import sys

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import guess_lexer_for_filename
from pygments.util import ClassNotFound

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

project = "dreamer-tf"
copyright = "The dreamer-tf authors"
version = release = re.search(
    r'^__version__ = "(.+)"$', (ROOT / "dreamer_tf" / "__init__.py").read_text("utf-8"), re.M
)[1]

root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "tests/golden/README.md"]
exclude_patterns = [".*", "build", "dist", "runs", "figures", "*.egg-info", "dreamer_tf", "configs"]
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autoclass_content = "both"  # What a class is, and what its constructor takes.
add_module_names = False
napoleon_use_rtype = False
napoleon_use_ivar = True
pygments_style, pygments_dark_style = "default", "github-dark"

html_theme = "furo"
html_title = f"dreamer-tf {version}"
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False

CONTENTS = {
    "Use": "install commands presets tips environments metrics export report figures dream sweeps "
    "scaling gpu objective data surviving trials api",
    "Understand": "architecture equations algorithms settings differences replay performance",
}
PROJECT = [
    "docs/results/README",
    "CONTRIBUTING",
    "Recordings </tests/golden/README>",
    "CHANGELOG",
    "docs/citing",
]
PICTURES = (".png", ".gif", ".svg")
SOURCE = "https://source.invalid/"
"""Stands for the repository in links to files that are no pages, until their page is known."""


def contents():
    """The directives of the table of contents, which the README has only on the site."""
    parts = {title: [f"docs/{name}" for name in names.split()] for title, names in CONTENTS.items()}
    for title, pages in (parts | {"Project": PROJECT}).items():
        yield f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(pages) + "\n```\n"


def mark_sources(app, docname, source):
    """Marks links to files that are no pages; adds the table of contents to the README."""
    folder = pathlib.Path(app.env.doc2path(docname)).parent

    def mark(match):
        link, _, anchor = match[1].partition("#")
        target = (folder / link).resolve()
        if not link or "://" in link or not target.is_relative_to(ROOT) or not target.exists():
            return match[0]
        if target.is_dir():
            if not (target / "README.md").is_file():
                return f"]({SOURCE}{target.relative_to(ROOT).as_posix()}/)"
            return f"]({link.rstrip('/')}/README.md)"
        if target.suffix in (".md", *PICTURES):
            return match[0]
        return f"]({SOURCE}{target.relative_to(ROOT).as_posix()})"

    text = re.sub(r"\]\(([^)\s]+)\)", mark, source[0])
    source[0] = "\n".join([text, *contents()]) if docname == root_doc else text


def link_sources(app, doctree, docname):
    """Leads marked links to the pages of their files, and notes which pages are wanted."""
    for node in doctree.findall(nodes.reference):
        if not node.get("refuri", "").startswith(SOURCE):
            continue
        path = node["refuri"].removeprefix(SOURCE)
        app.wanted_sources.add(path)
        here = app.builder.get_target_uri(docname)
        node["refuri"] = os.path.relpath(source_page(path), os.path.dirname(here) or ".")


def source_page(path):
    """Where the page of a file or folder of the repository lies in the site."""
    return f"source/{path}index.html" if path.endswith("/") else f"source/{path}.html"


def write_sources(app, error):
    """Writes the pages of the sources, and the first page under the name that servers look for."""
    if error is not None:
        return
    out = pathlib.Path(app.outdir)
    shutil.copyfile(out / f"{root_doc}.html", out / "index.html")
    wanted = set(app.wanted_sources)
    for folder in [path for path in wanted if path.endswith("/")]:
        wanted |= {folder + name for name in source_names(folder)}
    for path in sorted(wanted):
        page = out / source_page(path)
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(source_html(path), encoding="utf-8")


def source_names(folder):
    """The files in a folder of the repository and below; pictures are where a page shows them."""
    paths = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    left_out = (*PICTURES, ".pyc")
    return sorted(
        path.relative_to(ROOT / folder).as_posix() for path in paths if path.suffix not in left_out
    )


def source_html(path):
    """A file with colours and line numbers, or the list of a folder's files, as a page."""
    up = "../" * source_page(path).count("/")
    if path.endswith("/"):
        links = [f'<li><a href="{name}.html">{name}</a></li>' for name in source_names(path)]
        body = f"<ul>{''.join(links)}</ul>"
        style = ""
    else:
        text = (ROOT / path).read_text(encoding="utf-8")
        try:
            lexer = guess_lexer_for_filename(path, text)
        except ClassNotFound:
            lexer = guess_lexer_for_filename("file.txt", text)
        form = HtmlFormatter(linenos="inline", lineanchors="L", style="default")
        body, style = highlight(text, lexer, form), form.get_style_defs()
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{path}</title><style>body {{ font-family: sans-serif; margin: 1rem auto; "
        f"max-width: 60rem; padding: 0 1rem }} pre {{ font-size: 0.85rem; overflow-x: auto }} "
        f'{style}</style><p><a href="{up}index.html">{project}</a> / {path}</p>{body}</html>'
    )


def visit_math(self, node):
    """A formula as MathML, which browsers draw without a script."""
    self.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def visit_displaymath(self, node):
    """The same for a formula on lines of its own."""
    self.body.append(f"<p>{tex2mathml(node.astext(), as_block=True)}</p>")
    raise nodes.SkipNode


def setup(app):
    """Joins the parts above."""
    app.wanted_sources = set()
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    app.connect("source-read", mark_sources)
    app.connect("doctree-resolved", link_sources)
    app.connect("build-finished", write_sources)
    return {"parallel_read_safe": False}
