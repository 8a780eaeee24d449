"""The page in a real browser: it dreams along actions, by pointer and by key."""

import contextlib
import threading

import pytest

pytest.importorskip("flask", reason='flask is missing: pip install "dreamer-tf[dream]"')

from dreamer_tf.apps.dream import server  # noqa: E402
from dreamer_tf.apps.dream.studio import Studio  # noqa: E402
from dreamer_tf.behaviors.acting import ActorBehavior  # noqa: E402
from dreamer_tf.specs import Space  # noqa: E402
from tests.apps.dream.small_runs import COLOR, GREY, NUMBERS, small_run  # noqa: E402
from tests.browser import PATIENCE, open_browser  # noqa: E402

MIXED = {
    "image": COLOR,
    "robot/eye": GREY,
    "robot/arm": NUMBERS,
    "kind": Space("int32", (2,), 0, 3),
    "flag": Space("bool"),
}
LONG = {"arm": NUMBERS, "rays": Space("float32", (30,))}

PHONE, DESK = (390, 800), (1280, 1000)
PIXELS = """
const canvas = document.querySelector(`.${arguments[0]} canvas.frame`);
const copy = Object.assign(document.createElement("canvas"), {width: 16, height: 16});
const context = copy.getContext("2d", {willReadFrequently: true});
context.drawImage(canvas, 0, 0);
return [...context.getImageData(0, 0, 16, 16).data].join();
"""
SETTLED = "return !('busy' in document.documentElement.dataset)"


@contextlib.contextmanager
def served(folder, name, **options):
    """The address of the page of a small run."""
    small_run(folder, name, lengths=(30, 40), **options)
    with server.bind(0) as listener:
        made = server.make(Studio(folder), listener, "a-token")
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.port}/?token=a-token"
        made.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Addresses: ``mixed`` with images, numbers and several actions; ``choice`` with one.

    ``planned`` is of a planner in place of the actor, which learned from recorded episodes.
    """
    folder = tmp_path_factory.mktemp("runs")
    with (
        served(folder / "mixed", "dreamerv3", obs_space=MIXED) as mixed,
        served(folder / "choice", "dreamerv2", obs_space=LONG, steps=600) as choice,
        served(folder / "planned", "dreamer", acted=False, dreamer__policy="planner") as planned,
    ):
        yield {"mixed": mixed, "choice": choice, "planned": planned}


@pytest.fixture(scope="module")
def browser():
    """A Chromium that is shared, because it takes long to start."""
    with open_browser() as driver:
        yield driver


class Page:
    """The page in the browser."""

    def __init__(self, browser):
        self.browser = browser

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def until(self, script, *arguments):
        """Waits until a script returns something true, and returns that."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.browser, PATIENCE).until(
            lambda driver: driver.execute_script(script, *arguments), f"never true: {script}"
        )

    def click(self, selector):
        self.run("document.querySelector(arguments[0]).click()", selector)
        self.until(SETTLED)

    def press(self, key):
        from selenium.webdriver import ActionChains

        self.run("document.activeElement.blur()")
        ActionChains(self.browser).send_keys(key).perform()
        self.until(SETTLED)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def pixels(self, side):
        return self.run(PIXELS, side)

    def slide(self, index, share):
        """Moves a slider of the actions, as a person does."""
        self.run(
            """
            const input = document.querySelectorAll("#actions input")[arguments[0]];
            input.value = Number(input.min) + arguments[1] * (input.max - input.min);
            input.dispatchEvent(new Event("input"));
            """,
            index,
            share,
        )

    @property
    def count(self):
        return int(self.text("#count"))


@pytest.fixture
def show(browser, pages):
    """Function that opens a page in a window of a size; it must log nothing wrong."""

    def show(name, where="#episode=2&row=8&seed=0", size=DESK, theme="light"):
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": theme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        browser.get("about:blank")
        browser.get(pages[name] + where)
        page = Page(browser)
        page.until(f"return document.querySelector('#numbers tr') && (() => {{{SETTLED}}})()")
        page.origin = pages[name]
        return page

    yield show
    wrong = [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"]
    # A browser notes every answer that refuses; the page has shown it.
    assert [
        entry for entry in wrong if "the server responded with a status of 4" not in str(entry)
    ] == []


def test_the_page_shows_the_moment_and_loads_nothing_from_elsewhere(show):
    page = show("mixed")
    assert page.text("#title") == "DreamerV3 on Walker Walk, seed 0"
    assert "600 of 1,000 frames" in page.text("#notices")
    assert page.count == 0 and "The moment itself" in page.text("#remark")
    for side in ("truth", "dreamed", "apart"):
        assert len(set(page.pixels(side).split(","))) > 10
    assert page.run("return getComputedStyle(document.querySelector('.frame')).imageRendering") == (
        "pixelated"
    )
    assert page.run("return document.querySelector('.frame').width") == 16
    names = page.run("return performance.getEntriesByType('resource').map((e) => e.name)")
    origin = page.run("return location.origin")
    assert names and all(name.startswith((origin, "data:")) for name in names)


def test_the_chosen_action_decides_the_dreamed_frame(show):
    page = show("mixed")
    first = page.pixels("dreamed")
    frames = []
    for share in (0, 1):
        page.slide(0, share)
        page.slide(1, share)
        assert page.run("return document.documentElement.dataset.who") == "you"
        page.click("#step")
        assert page.count == 1
        frames.append(page.pixels("dreamed"))
        page.click("#back")
        assert page.count == 0 and page.pixels("dreamed") == first
    assert len({first, *frames}) == 3
    assert page.text("#actions output") == "2"  # the environment's own upper bound


def test_truth_is_compared_only_along_recorded_actions(show):
    page = show("mixed")
    page.click("[data-who=recorded]")
    page.click("#step")
    assert "can be compared" in page.text("#remark") and page.text(".apart .cover") == ""
    page.click("[data-who=mode]")
    page.click("#step")
    assert page.count == 2 and "do not compare" in page.text("#remark")
    assert page.text(".truth figcaption") == "truth, under other actions"
    assert page.text(".apart .cover") == "other actions, nothing to compare"
    page.click("#back")
    assert page.text(".truth figcaption") == "truth"


def test_play_goes_on_until_it_is_paused(show):
    page = show("mixed")
    page.run("document.querySelector('#speed').value = 30")
    page.run("document.querySelector('#play').click()")
    page.until("return Number(document.querySelector('#count').textContent) >= 5")
    assert page.text("#play-text") == "Pause"
    page.click("#play")
    stopped = page.count
    assert page.text("#play-text") == "Play"
    drawn = page.run(
        "return [...document.querySelectorAll('#curves .plot')].map("
        "({chart}) => chart.data[0].length)"
    )
    assert len(drawn) == 3 and set(drawn) == {stopped + 1}
    page.click("#restart")
    assert page.count == 0


def test_a_recording_plays_to_its_end_and_stops(show):
    page = show("mixed", "#episode=2&row=36&seed=0")
    page.click("[data-who=recorded]")
    page.run("document.querySelector('#speed').value = 30")
    page.run("document.querySelector('#play').click()")
    page.until("return document.querySelector('#play-text').textContent === 'Play'")
    assert page.count == 3 and "In truth the episode ends here" in page.text("#remark")
    assert page.run("return document.querySelector('#step').disabled")
    page.click("[data-who=you]")
    page.click("#step")
    assert page.count == 4 and "the dream goes on alone" in page.text("#remark")


def test_keys_do_what_the_page_says(show):
    from selenium.webdriver.common.keys import Keys

    page = show("mixed")
    page.press(Keys.ENTER)
    page.press(Keys.ENTER)
    assert page.count == 2
    page.press(Keys.BACKSPACE)
    assert page.count == 1
    page.press("t")
    assert page.run("return document.documentElement.dataset.who") == "recorded"
    page.press(Keys.ARROW_RIGHT)
    assert page.run("return document.documentElement.dataset.who") == "you" and page.count == 1
    before = float(page.text("#actions output"))
    page.press(Keys.ARROW_RIGHT)
    assert float(page.text("#actions output")) == pytest.approx(min(2, before + 0.4), abs=2e-3)
    page.press(" ")
    page.until("return Number(document.querySelector('#count').textContent) >= 3")
    page.press(" ")
    assert page.text("#play-text") == "Play"
    page.press("r")
    assert page.count == 0


def test_every_kind_of_observation_is_shown(show):
    page = show("mixed")
    page.click("[data-who=recorded]")
    page.click("#step")
    headings = page.run(
        "return [...document.querySelectorAll('#frames h3')].map((h) => h.textContent)"
    )
    assert headings == ["image", "robot/eye"]
    grey = page.run("document.querySelectorAll('.frames-row')[0].remove();" + PIXELS, "truth")
    values = [int(value) for value in grey.split(",")]
    assert values[0::4] == values[1::4] == values[2::4] and len(set(values)) > 10
    shown = page.run(
        "return [...document.querySelectorAll('.vector')].map((card) => [card.dataset.key,"
        " [...card.querySelectorAll('.element b')].map((number) => number.textContent)])"
    )
    numbers = {key: [float(text) for text in texts] for key, texts in shown}
    assert {key: len(found) for key, found in numbers.items()} == {
        "robot/arm": 6,
        "kind": 4,
        "flag": 2,
    }
    assert set(numbers["kind"]) <= {0, 1, 2, 3} and set(numbers["flag"]) <= {0, 1}
    curves = page.run(
        "return [...document.querySelectorAll('.element path')].map((p) => p.getAttribute('d'))"
    )
    assert len(curves) == 12 and all(d.startswith("M") and d.count("L") == 1 for d in curves)


def test_a_long_vector_is_drawn_whole(show):
    page = show("choice")
    page.click("#step")
    drawn = page.run(
        "return document.querySelector('[data-key=rays] .plot').chart.data.map((x) => [...x])"
    )
    assert [len(column) for column in drawn] == [30, 30, 30]
    assert drawn[0] == list(range(30)) and drawn[1] != drawn[2] and None not in drawn[1]


def test_one_choice_is_taken_at_once(show):
    from selenium.webdriver.common.keys import Keys

    page = show("choice")
    pressed = "return document.querySelector('#actions [aria-pressed=true]').textContent"
    page.click("#actions button:nth-of-type(4)")
    assert page.count == 1 and page.run(pressed) == "8"
    page.press("6")
    assert page.count == 2 and page.run(pressed) == "6"
    page.press(Keys.ARROW_LEFT)
    assert page.count == 3 and page.run(pressed) == "5"
    assert page.run("return document.querySelectorAll('#notices .notice').length") == 0
    assert page.run("return document.querySelectorAll('.element').length") == 3
    assert page.run("return document.querySelectorAll('#frames canvas').length") == 0


def test_a_planner_chooses_in_both_ways(show):
    page = show("planned")
    assert page.text("#who") == "YouPlannerPlanner, sampledAs recorded"
    for count, key in enumerate("as", 1):
        page.press(key)
        page.click("#step")
        assert page.count == count and page.run("return document.querySelector('#error').hidden")
    assert page.run("return document.documentElement.dataset.who") == "sample"


def test_where_nothing_acted_updates_are_no_frames(show):
    page = show("planned")
    assert page.text("#progress") == "600 updates"
    assert "600 of 1,000 updates" in page.text("#notices")


def test_a_behaviour_of_ones_own_is_called_as_it_calls_its_choices(show, monkeypatch):
    monkeypatch.setattr(ActorBehavior, "kind", "guesser")
    page = show("choice")
    assert page.text("#who") == "YoumodesampleAs recorded"
    page.press("m")
    page.click("#step")
    assert page.count == 1 and page.run("return document.documentElement.dataset.who") == "mode"


def test_what_is_refused_is_said_and_the_dream_stays(show):
    page = show("mixed")
    page.click("#step")
    page.run(
        "const seed = document.querySelector('#seed'); seed.value = -1;"
        "seed.dispatchEvent(new Event('change'));"
    )
    page.until("return !document.querySelector('#error').hidden")
    assert page.text("#error-text") == "seed: expected a whole number from 0 to 2147483647, got -1"
    assert page.count == 1
    page.click("#step")
    assert page.count == 2 and page.run("return document.querySelector('#error').hidden")


def test_another_moment_begins_another_dream(show):
    page = show("mixed")
    first = page.pixels("truth")
    page.click("#step")
    page.run(
        "const row = document.querySelector('#row'); row.value = 30;"
        "row.dispatchEvent(new Event('input'));"
    )
    page.until("return document.querySelector('#row-shown').textContent.startsWith('30 of 39')")
    page.click("#begin")
    assert page.count == 0 and page.pixels("truth") != first
    assert page.run("return location.hash") == "#episode=2&row=30&seed=0"


def test_an_address_that_outlived_its_episode_begins_at_the_newest(show):
    page = show("mixed", "#episode=77&row=8&seed=0")
    assert "there is no episode 77" in page.text("#error-text")
    assert page.count == 0 and page.run("return location.hash").startswith("#episode=2&")


def test_a_forgotten_dream_begins_again(show):
    page = show("mixed")
    page.click("#step")
    told = page.browser.execute_async_script(
        """
        const done = arguments[arguments.length - 1];
        const body = JSON.stringify({episode: 1, row: 0, seed: 0});
        const headers = {"Content-Type": "application/json"};
        const all = Array.from({length: 8}, () =>
            fetch("/api/dreams", {method: "POST", headers, body}));
        Promise.all(all).then(() => done("done"));
        """
    )
    assert told == "done"
    page.click("#step")
    assert "begin it again" in page.text("#error-text") and page.count == 0
    page.click("#step")
    assert page.count == 1


@pytest.mark.parametrize("name", ["mixed", "choice"])
def test_a_phone_shows_everything_without_scrolling_sideways(show, name):
    page = show(name, size=PHONE, theme="dark")
    page.click("#step")
    assert page.run("return document.documentElement.scrollWidth") <= PHONE[0]
    assert page.run("return document.documentElement.dataset.theme") == "dark"
    dark = page.run("return getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.run("return getComputedStyle(document.body).backgroundColor") != dark
