"""Reports in a real browser: curves respond, videos play, themes and phones fit."""

import base64
import json

import pytest

from dreamer_tf.apps.report.document import write_report
from tests.apps.report.example_runs import example_run
from tests.browser import PATIENCE, open_browser

PHONE, DESK = (360, 740), (1280, 1000)
EVALUATION = '.chart[data-metric="eval/return"]'
LOSS = '.chart[data-metric="image_loss"]'
RANGES = """
return [...document.querySelectorAll("[data-drawn]")].map(
    (figure) => [figure.chart.scales.x.min, figure.chart.scales.x.max]);
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Addresses of the report of one run, of two runs, and of one that did not act."""
    folder = tmp_path_factory.mktemp("reports")
    first = example_run(folder / "first", films=(1000,))
    second = example_run(
        folder / "a_second_run_with_a_long_name", reached=600, agent="dreamerv2", seed=1
    )
    with (first / "metrics.jsonl").open("a") as file:
        file.write("".join(f'{{"step": {step}, "zero_loss": 0.0}}\n' for step in (500, 1000)))
    fit = example_run(folder / "fit", acted=False)
    one = write_report([first], folder / "one.html")
    two = write_report([first, second], folder / "two.html")
    learned = write_report([fit], folder / "learned.html")
    return {"one": one.as_uri(), "two": two.as_uri(), "learned": learned.as_uri()}


@pytest.fixture(scope="module")
def browser():
    """A Chromium that is shared, because it takes long to start."""
    with open_browser() as driver:
        yield driver


@pytest.fixture
def show(browser, pages):
    """Function that opens a page in a window of a size; it must load nothing and log nothing."""

    def show(name, size=DESK, theme="light"):
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": theme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        browser.get(pages[name])
        until(browser, "return document.readyState === 'complete'")

    yield show
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    loaded = browser.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert [name for name in loaded if not name.startswith(("data:", "blob:"))] == []


def until(browser, script, *arguments):
    """Waits until a script returns something true, and returns that."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, PATIENCE).until(
        lambda driver: driver.execute_script(script, *arguments), f"never true: {script}"
    )


def bring(browser, selector):
    """Scrolls to the first chart of a selector and waits until it is drawn; returns its place."""
    browser.execute_script(
        "document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector
    )
    until(browser, "return document.querySelector(arguments[0]).chart !== undefined", selector)
    return browser.execute_script(
        "const box = document.querySelector(arguments[0]).chart.over.getBoundingClientRect();"
        "return {x: box.x, y: box.y, width: box.width, height: box.height};",
        selector,
    )


def mouse(browser, kind, box, across, **more):
    """Sends an event of a mouse at a share of a chart's width, in its middle height."""
    place = {"x": box["x"] + across * box["width"], "y": box["y"] + box["height"] / 2}
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, **place, **more})


def drag(browser, box, start, end):
    """Drags the mouse across a chart."""
    held = {"button": "left", "buttons": 1, "clickCount": 1}
    mouse(browser, "mouseMoved", box, start)
    mouse(browser, "mousePressed", box, start, **held)
    for share in (0.3, 0.6, 1.0):
        mouse(browser, "mouseMoved", box, start + share * (end - start), buttons=1)
    mouse(browser, "mouseReleased", box, end, **{**held, "buttons": 0})


def test_every_chart_draws_its_numbers(browser, show):
    show("one")
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    count = browser.execute_script("return document.querySelectorAll('.chart').length")
    assert count >= 10
    for index in range(count):
        bring(browser, f'.chart[data-chart="{index}"]')
    painted = until(
        browser,
        """
        return [...document.querySelectorAll(".chart")].every(({chart}) => {
            const {width, height} = chart.ctx.canvas;
            const colors = new Set(new Uint32Array(
                chart.ctx.getImageData(0, 0, width, height).data.buffer));
            return chart.status === 1 && colors.size > 2;
        });
        """,
    )
    assert painted


@pytest.mark.parametrize(("name", "label"), [("one", "environment frames"), ("learned", "updates")])
def test_the_axis_says_what_is_counted(browser, show, name, label):
    show(name)
    bring(browser, EVALUATION)
    drawn = "return document.querySelector(arguments[0]).chart.axes[0].label"
    assert browser.execute_script(drawn, EVALUATION) == label


def test_hovering_shows_the_number_of_the_nearest_point(browser, show):
    show("one")
    box = bring(browser, LOSS)
    mouse(browser, "mouseMoved", box, 0.4)
    mouse(browser, "mouseMoved", box, 0.5)
    [line] = until(
        browser,
        """
        const tip = document.querySelector(arguments[0]).tip;
        const lines = tip.hidden ? [] : [...tip.children];
        return lines.length && lines.map((line) => ({...line.dataset, text: line.textContent}));
        """,
        LOSS,
    )
    step = int(line["step"])
    assert step in (400, 500) and float(line["value"]) == 1e6 / step**2
    assert line["text"] == f"{step}{1e6 / step**2:g}"


def test_a_drag_zooms_every_chart_and_a_double_click_ends_it(browser, show):
    show("one")
    whole = [0, 1000]
    bring(browser, LOSS)
    box = bring(browser, EVALUATION)
    assert browser.execute_script(RANGES)[0] == whole
    drag(browser, box, 0.25, 0.75)
    ranges = until(browser, f"if (document.querySelector('#reset').hidden) return; {RANGES}")
    assert len(ranges) > 1 and all(other == ranges[0] for other in ranges)
    assert ranges[0] == pytest.approx([250, 750], abs=20)
    for click in (1, 2):
        for kind, buttons in (("mousePressed", 1), ("mouseReleased", 0)):
            more = {"button": "left", "buttons": buttons, "clickCount": click}
            mouse(browser, kind, box, 0.5, **more)
    until(browser, "return document.querySelector('#reset').hidden")
    assert all(other == whole for other in browser.execute_script(RANGES))


def test_a_finger_zooms_and_the_button_ends_it(browser, show):
    show("one", PHONE)
    box = bring(browser, EVALUATION)
    for share in (0.2, 0.4, 0.8):
        place = {"x": box["x"] + share * box["width"], "y": box["y"] + box["height"] / 2}
        kind = "touchStart" if share == 0.2 else "touchMove"
        event = {"type": kind, "touchPoints": [place]}
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", event)
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    until(browser, "return !document.querySelector('#reset').hidden")
    assert browser.execute_script(RANGES)[0] == pytest.approx([200, 800], abs=20)
    browser.execute_script("document.querySelector('#reset').click()")
    assert browser.execute_script(RANGES)[0] == [0, 1000]


def test_a_logarithmic_axis_can_be_chosen(browser, show):
    show("one")
    bring(browser, LOSS)
    scale = f"return document.querySelector('{LOSS}').chart.scales.y.distr"
    assert browser.execute_script(scale) == 1
    browser.execute_script(f"document.querySelector('{LOSS} .log').click()")
    assert browser.execute_script(scale) == 3


@pytest.mark.parametrize("kind", ["eval", "openloop-image"])
def test_videos_play_when_they_are_seen(browser, show, kind):
    show("one")
    selector = f'.film[data-kind="{kind}"] video'
    # Scrolled to again and again: a video above that becomes known moves this one.
    until(
        browser,
        """
        const video = document.querySelector(arguments[0]);
        video.scrollIntoView({block: "center"});
        return video.currentTime > 0;
        """,
        selector,
    )
    size = "const v = document.querySelector(arguments[0]); return [v.videoWidth, v.videoHeight]"
    assert min(browser.execute_script(size, selector)) >= 256


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_follows_the_theme_and_the_button_switches_it(browser, show, theme):
    show("two", theme=theme)
    colors = """
    const brightness = (color) => color.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0) / 3;
    const {color, backgroundColor} = getComputedStyle(document.body);
    return [brightness(color), brightness(backgroundColor)];
    """
    text, page = browser.execute_script(colors)
    assert (page > 200 and text < 60) if theme == "light" else (page < 60 and text > 200)
    bring(browser, EVALUATION)
    stroke = f"return document.querySelector('{EVALUATION}').chart.series[1].stroke()"
    before = browser.execute_script(stroke)
    browser.execute_script("document.querySelector('#theme').click()")
    assert browser.execute_script(colors) == pytest.approx([page, text], abs=60)
    assert browser.execute_script(stroke) != before


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_phone_needs_no_sideways_scrolling(browser, show, name):
    show(name, PHONE)
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    bring(browser, LOSS)
    widest = browser.execute_script("return document.documentElement.scrollWidth")
    assert widest <= PHONE[0]


@pytest.mark.parametrize("name", ["one", "two"])
def test_tables_can_be_read_on_a_phone(browser, show, name):
    show(name, PHONE)
    rows = browser.execute_script(
        """
        for (const d of document.querySelectorAll("details")) d.open = true;
        return [...document.querySelectorAll("tbody tr")].map((row) => {
            const cells = [...row.cells].map((cell) => cell.getBoundingClientRect());
            return {name: row.dataset.name, height: row.offsetHeight, head: cells[0].width,
                    right: Math.max(...cells.map((cell) => cell.right))};
        });
        """
    )
    assert len(rows) > 50
    assert [row for row in rows if row["height"] > 250 or row["right"] > PHONE[0]] == []
    assert min(row["head"] for row in rows if row["name"]) > 250
    names = browser.execute_script(
        "return [...document.querySelectorAll('#settings td')].map((td) =>"
        " getComputedStyle(td, '::before').content)"
    )
    of = {"one": '"default"', "two": '"a_second_run_with_a_long_name"'}
    assert of[name] in names, "each value says which it is"


def test_paper_shows_every_chart(browser, show):
    show("one", theme="dark")
    drawn = "return [...document.querySelectorAll('.chart')].map((f) => !!f.chart)"
    assert not all(browser.execute_script(drawn)), "they are drawn lazily"
    inside = browser.execute_script(
        "return [...document.querySelectorAll('.chart')].filter((f) => f.offsetParent).length"
    )
    size = len(base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"]))
    assert sum(browser.execute_script(drawn)) == inside >= 8
    hide = "for (const canvas of document.querySelectorAll('canvas')) canvas.remove()"
    browser.execute_script(hide)
    bare = len(base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"]))
    assert size > bare + 1000 * inside, "what is drawn is on the paper, too"
    until(browser, "return !document.documentElement.classList.contains('printing')")
    assert browser.execute_script("return document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_axes_have_names_and_whole_labels(browser, show, size):
    show("one", size)
    for selector, names in (
        (EVALUATION, ["environment frames", "return"]),
        (LOSS, ["environment frames"]),
    ):
        bring(browser, selector)
        labels = "return document.querySelector(arguments[0]).chart.axes.map((a) => a.label)"
        assert [name for name in browser.execute_script(labels, selector) if name] == names
        end, room = browser.execute_script(
            """
            const {chart} = document.querySelector(arguments[0]);
            chart.ctx.font = chart.axes[0].font[0];
            const shown = chart.axes[0]._values.filter((text) => text);
            const last = shown[shown.length - 1];
            return [chart.valToPos(+last.replace(",", ""), "x", true)
                    + chart.ctx.measureText(last).width / 2, chart.ctx.canvas.width];
            """,
            selector,
        )
        assert end <= room, "the last label is cut"


def test_a_constant_lies_in_the_middle_of_its_axis(browser, show):
    show("one")
    chart = '.chart[data-metric="zero_loss"]'
    bring(browser, chart)
    scale = (
        f"const {{min, max}} = document.querySelector('{chart}').chart.scales.y; return [min, max]"
    )
    assert until(browser, scale) == [-1, 1]


def test_settings_can_be_searched(browser, show):
    show("two")
    shown = """
    document.querySelector("#all-settings").open = true;
    const field = document.querySelector("#filter");
    field.value = arguments[0];
    field.dispatchEvent(new Event("input"));
    return [...document.querySelectorAll("#all-settings tbody tr")]
        .filter((row) => row.offsetParent).map((row) => row.dataset.name);
    """
    everything = browser.execute_script(shown, "")
    found = browser.execute_script(shown, "Free_Nats")
    assert "dreamer.free_nats" in found and len(found) < len(everything) / 4


def test_two_runs_share_their_charts(browser, show):
    show("two")
    box = bring(browser, LOSS)
    mouse(browser, "mouseMoved", box, 0.4)
    mouse(browser, "mouseMoved", box, 0.55)
    text = until(
        browser,
        """
        const {tip} = document.querySelector(arguments[0]);
        return tip.children.length === 2 && tip.textContent;
        """,
        LOSS,
    )
    assert "first" in text and "a_second_run_with_a_long_name" in text
    data = json.loads(browser.execute_script("return document.getElementById('data').textContent"))
    assert data["runs"][0]["light"] != data["runs"][1]["light"]
