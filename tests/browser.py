"""A headless Chromium for tests of pages."""

import contextlib
import shutil

import pytest

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # a container's root has none
    "--disable-gpu",
    "--disable-dev-shm-usage",  # which is small in containers
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
    "--window-size=1280,1000",
)
PATIENCE = 120
"""Seconds to wait for what takes a moment on an idle machine."""


@contextlib.contextmanager
def open_browser():
    """Starts a Chromium; without one the test is skipped, which fails where ``CI`` is set.

    Yields:
      A driver of selenium.
    """
    paths = [path for path in map(shutil.which, _BROWSERS) if path]
    driver_path = shutil.which("chromedriver")
    if not (paths and driver_path):
        pytest.skip("there is no Chromium with its chromedriver; make browser installs them")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = paths[0]
    for switch in _SWITCHES:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(driver_path))
    try:
        driver.set_page_load_timeout(PATIENCE)
        driver.set_script_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()
