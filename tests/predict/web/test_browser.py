"""The page as a visitor sees it, in a headless Chromium: ``pytest -m browser``.

Nothing waits for a fixed time: every step waits for what it should bring about.
"""

import io
import json
import shutil
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from maskrcnn_benchmark.data.synthetic import sample_scene
from maskrcnn_benchmark.predict.web.inspection import Choice, inspect_image
from tests.predict.web.cases import FakePredictor, huge_png, prediction

pytestmark = pytest.mark.browser

gradio_client = pytest.importorskip("gradio_client")
page = pytest.importorskip("maskrcnn_benchmark.predict.web.page")
pytest.importorskip("selenium")

from selenium import webdriver  # noqa: E402
from selenium.webdriver import ActionChains  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

MARKUP = "${6*7}{{name}}<b>dog</b>"  # a name of a class that is shown as it is
KEYS = {"score": "class score", "mask_iou": "mask IoU", "mask_score": "mask score"}
LONGEST_WAIT = 20  # seconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def photos(folder):
    random = np.random.default_rng(3)
    paths = [folder / f"photo_{index}.png" for index in range(8)]
    for index, path in enumerate(paths):
        Image.fromarray(sample_scene(random, (60 + 4 * index, 90)).image).save(path)
    return paths


@pytest.fixture(scope="module")
def model():
    return FakePredictor(prediction(dog=MARKUP), seconds=0.05)


@pytest.fixture(scope="module")
def address(folder, photos, model):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "cache"))
        made = page.make_page(model, "model.pth", photos[:2])
        _, url, _ = page.serve(made, None, prevent_thread_lock=True, quiet=True)
        yield url
        made.close(verbose=False)


@pytest.fixture(scope="module")
def browser(folder):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        *("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"),
        "host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # no network
    ):
        options.add_argument(f"--{argument}")
    options.add_experimental_option("prefs", {"download.default_directory": str(folder / "saved")})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    yield started
    started.quit()


# of the page that must lie in the window
PARTS = ", ".join(
    ["#title", "#title *", "#drop", "#status", "#picture", "#score_key", "#threshold"]
    + ["#instances table", "#json", "#png"]
)


class Visitor:
    """What a person does on the page and sees of it."""

    def __init__(self, browser, address):
        self.browser = browser
        self.resize(1280, 900)
        browser.get(address)
        self.wait(lambda: self.all("#drop input[type=file]"))

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def wait(self, condition):
        return WebDriverWait(
            self.browser, LONGEST_WAIT, poll_frequency=0.05, ignored_exceptions=[Exception]
        ).until(lambda _: condition())

    def resize(self, width, height):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def upload(self, path):
        self.one("#drop input[type=file]").send_keys(str(path))
        self.wait(lambda: path.name in self.one("#status").text)

    def numbers(self):
        return [int(row.get_attribute("data-number")) for row in self.all("#instances tbody tr")]

    def column(self, key):
        return [cell.text for cell in self.all(f"#instances td.{key}")]

    def set_threshold(self, value):
        box = self.one("#threshold input[type=number]")
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(f"{value:.2f}", Keys.TAB)
        self.wait(lambda: f"≥ {value:.2f}" in self.one("#status").text)

    def rank_by(self, key):
        self.one(f"#score_key input[value={key}]").find_element(By.XPATH, "..").click()
        self.wait(lambda: f"{KEYS[key]} ≥" in self.one("#status").text)

    def picture(self):
        """Return the pixels of the picture."""
        source = self.one("#picture img").get_attribute("src")
        with urllib.request.urlopen(source) as answer:
            return np.asarray(Image.open(io.BytesIO(answer.read())))

    def wait_for_picture(self, expected):
        self.wait(lambda: np.array_equal(self.picture(), expected))


@pytest.fixture
def visitor(browser, address):
    browser.get_log("browser")  # forget what earlier pages logged
    return Visitor(browser, address)


@pytest.fixture(scope="module")
def expected(photos, model):
    """The first photo and its detections, computed without the page."""
    return inspect_image(photos[0].name, Image.open(photos[0]), model)


def test_slider_and_ranking_change_table_and_picture_but_not_the_model(
    visitor, photos, model, expected
):
    visitor.upload(photos[0])
    visitor.wait(lambda: visitor.numbers() == [1, 2, 3, 4])
    visitor.wait_for_picture(expected.picture(Choice("mask_score", 0.5)))
    calls = model.calls
    for threshold, numbers in ((0.59, [1]), (0.55, [1, 2])):
        visitor.set_threshold(threshold)
        visitor.wait(lambda numbers=numbers: visitor.numbers() == numbers)
        visitor.wait_for_picture(expected.picture(Choice("mask_score", threshold)))
    visitor.rank_by("score")
    visitor.wait(lambda: visitor.numbers() == [4, 1, 2, 3])
    visitor.wait_for_picture(expected.picture(Choice("score", 0.55)))
    assert visitor.column("score") == ["1.00", "0.88", "0.75", "0.62"]
    assert visitor.column("mask_iou") == ["0.50", "0.69", "0.78", "0.88"]
    assert visitor.column("mask_score") == ["0.50", "0.60", "0.59", "0.55"]
    marks = [bool(row.find_elements(By.CSS_SELECTOR, ".poor")) for row in visitor.all("tbody tr")]
    assert marks == [True, True, False, False]
    visitor.one("#threshold input[type=range]").send_keys(Keys.END)  # the slider itself
    visitor.wait(lambda: "≥ 1.00" in visitor.one("#status").text)
    visitor.wait(lambda: visitor.numbers() == [4])
    visitor.rank_by("mask_iou")
    visitor.wait(lambda: "No instance reaches" in visitor.one("#instances").text)
    assert model.calls == calls
    log = visitor.browser.get_log("browser")
    assert not [line["message"] for line in log if line["level"] == "SEVERE"]


def test_names_are_shown_literally(visitor, photos):
    visitor.upload(photos[0])
    visitor.wait(lambda: visitor.all("#instances td.text"))
    assert visitor.one("#instances td.text").text.startswith(MARKUP)


def test_the_table_is_sorted_by_a_click_and_stays_so(visitor, photos):
    visitor.upload(photos[0])
    visitor.rank_by("score")
    visitor.wait(lambda: visitor.numbers() == [4, 1, 2, 3])
    heads = {head.text.partition(" ▼")[0]: head for head in visitor.all("#instances th button")}
    assert list(heads) == ["#", "class", *KEYS.values()]
    for head, numbers in (
        ("mask IoU", [3, 2, 1, 4]),  # the best first
        ("mask IoU", [4, 1, 2, 3]),
        ("mask score", [1, 2, 3, 4]),
        ("class", [1, 4, 2, 3]),  # markup before "cat"; equal ones keep their order
        ("mask IoU", [3, 2, 1, 4]),
    ):
        heads[head].click()
        visitor.wait(lambda numbers=numbers: visitor.numbers() == numbers)
    visitor.set_threshold(0.7)  # of the class score
    visitor.wait(lambda: visitor.numbers() == [2, 1, 4])


def test_a_selected_row_highlights_its_instance(visitor, photos, expected):
    visitor.upload(photos[0])
    visitor.rank_by("score")
    visitor.all("#instances th button")[0].click()  # by number: not the order of the server
    visitor.wait(lambda: visitor.numbers() == [1, 2, 3, 4])
    visitor.all("#instances tbody tr")[1].click()
    visitor.wait_for_picture(expected.picture(Choice("score", 0.5, highlighted=2)))
    visitor.set_threshold(0.7)  # it stays selected
    visitor.wait(lambda: visitor.one("tr[aria-selected=true]").get_attribute("data-number") == "2")
    visitor.wait_for_picture(expected.picture(Choice("score", 0.7, highlighted=2)))
    visitor.all("#instances tbody tr")[0].send_keys(Keys.ENTER)  # by keyboard too
    visitor.wait_for_picture(expected.picture(Choice("score", 0.7, highlighted=1)))
    visitor.all("#instances tbody tr")[0].click()
    visitor.wait_for_picture(expected.picture(Choice("score", 0.7)))


def test_a_click_on_the_picture_selects_the_row(visitor, photos):
    visitor.upload(photos[0])
    visitor.wait(lambda: visitor.numbers() == [1, 2, 3, 4])
    image = visitor.one("#picture img")
    right = int(0.25 * image.rect["width"])  # of the center: in the fourth box
    ActionChains(visitor.browser).move_to_element_with_offset(image, right, 0).click().perform()
    visitor.wait(lambda: visitor.one("tr[aria-selected=true]").get_attribute("data-number") == "4")


def test_downloads(visitor, photos, expected, folder):
    visitor.upload(photos[0])
    visitor.set_threshold(0.55)
    choice = Choice("mask_score", 0.55)
    visitor.wait_for_picture(expected.picture(choice))
    saved = folder / "saved"
    for button in ("#json", "#png"):
        visitor.one(button).click()
    visitor.wait(lambda: (saved / "photo_0.json").is_file())
    visitor.wait(lambda: (saved / "photo_0_instances.png").is_file())
    content = json.loads((saved / "photo_0.json").read_text(encoding="utf-8"))
    assert content == json.loads(expected.write_json(choice).read_text(encoding="utf-8"))
    assert len(content["annotations"]) == 2
    picture = np.asarray(Image.open(saved / "photo_0_instances.png"))
    np.testing.assert_array_equal(picture, expected.picture(choice))


def test_what_is_no_image_is_refused_and_the_page_stays_usable(visitor, photos, folder):
    (folder / "notes.txt").write_text("hello")
    (folder / "huge.png").write_bytes(huge_png(20000, 20000))
    visitor.upload(folder / "notes.txt")
    assert visitor.one("[role=alert]").text.startswith("notes.txt is not an image. Use JPEG, PNG")
    visitor.upload(folder / "huge.png")
    assert "too many pixels; the limit is 50 million" in visitor.one("[role=alert]").text
    assert not visitor.all("#instances tbody tr")
    visitor.upload(photos[1])
    visitor.wait(lambda: visitor.numbers())
    assert not visitor.all("[role=alert]")


def test_a_file_above_the_limit_is_refused(visitor, photos, address, folder):
    (folder / "big.png").write_bytes(bytes(page.MAX_BYTES + 1))
    visitor.one("#drop input[type=file]").send_keys(str(folder / "big.png"))
    visitor.wait(lambda: "exceed the maximum allowed size" in visitor.one("body").text)
    visitor.upload(photos[0])
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="big.png"\r\n\r\n'
    body += bytes(page.MAX_BYTES + 1) + b"\r\n--x--\r\n"
    request = urllib.request.Request(
        f"{address}gradio_api/upload",
        data=body,
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 413


def test_an_example(visitor, photos):
    visitor.all("#examples button")[1].click()
    visitor.wait(lambda: photos[1].name in visitor.one("#status").text)
    visitor.wait(lambda: visitor.numbers())


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_nothing_sticks_out(visitor, photos, size, folder):
    visitor.resize(*size)
    width = "return document.documentElement.scrollWidth"
    assert visitor.browser.execute_script(width) <= size[0]
    visitor.upload(photos[0])
    visitor.wait(lambda: visitor.numbers())
    assert visitor.browser.execute_script(width) <= size[0]
    for part in visitor.all(PARTS):
        left, wide = part.rect["x"], part.rect["width"]
        assert left >= 0 and left + wide <= size[0], part.get_attribute("outerHTML")[:200]
    assert visitor.browser.save_screenshot(str(folder / f"page_{size[0]}.png"))
    assert Image.open(folder / f"page_{size[0]}.png").size == size


def test_nothing_is_loaded_from_elsewhere(visitor, address):
    names = visitor.browser.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert len(names) > 5
    assert not [name for name in names if not name.startswith((address, "data:", "blob:"))]


def test_visitors_do_not_see_each_other(browser, address, photos):
    first = Visitor(browser, address)
    first.upload(photos[0])
    one = browser.current_window_handle
    browser.switch_to.new_window("tab")
    try:
        second = Visitor(browser, address)
        assert not second.all("#picture img") and not second.one("#status").text
        second.upload(photos[1])
        of_second = second.picture()
        browser.switch_to.window(one)
        first.set_threshold(0.1)
        assert photos[0].name in first.one("#status").text
        assert not np.array_equal(first.picture(), of_second)
    finally:
        for handle in browser.window_handles:
            if handle != one:
                browser.switch_to.window(handle)
                browser.close()
        browser.switch_to.window(one)


def test_eight_uploads_at_once_are_all_answered(address, photos, model):
    clients = [gradio_client.Client(address, verbose=False) for _ in photos]

    def detect(client, path):
        client.predict(gradio_client.handle_file(path), api_name="/detect")
        return client.predict("mask_score", 0.5, api_name="/show")

    with ThreadPoolExecutor(len(photos)) as pool:
        answers = list(pool.map(detect, clients, photos))
    for answer, path in zip(answers, photos, strict=True):
        texts = [part for part in answer if isinstance(part, str)]
        assert any(f"<b>{path.name}</b>" in text for text in texts)
    pictures = [next(part for part in answer if str(part).endswith(".png")) for answer in answers]
    shapes = [np.asarray(Image.open(picture)).shape for picture in pictures]
    assert all(one[0] < other[0] for one, other in pairwise(shapes))  # each got its own
    assert model.most_at_once == 1
