"""What a job is asked besides its prompt, and while it runs: styles, several pictures, pictures skipped."""

import json
from dataclasses import replace
from pathlib import Path

import httpx

from haiga.engines.fake_painter import CARD, FakePainter
from tests.wire.images.asking import PNG, asking, begun, ended, freed, held, picture, png, watching
from tests.wire.limited_server import Running, running


def test_a_model_that_combines_pictures_is_given_them_all(tmp_path: Path) -> None:
    able = replace(CARD, capabilities=replace(CARD.capabilities, combines=True))
    painter = FakePainter(able)
    with running(tmp_path / "able", painters=[painter]) as served, asking(served, served.key()) as http:
        sent = [("image[]", (f"{side}.png", png("RGBA", (side, 24)))) for side in (16, 24, 32)]
        assert 200 == http.post("/v1/images/edits", data={"prompt": "a boat"}, files=sent).status_code
        masked = http.post("/v1/images/edits", data={"prompt": "a"}, files=[*sent, ("mask", ("m.png", png("RGBA")))])
        assert (400, "image[1]") == (masked.status_code, masked.json()["error"]["param"])
        job = http.post("/v1/jobs", json={"prompt": "a boat", "image": PNG, "more_images": [PNG, PNG], "id": "a"})
        assert 202 == job.status_code and "done" == ended(http, "a")["status"]
    assert [[24, 32], [32, 32]] == [[each.width for each in asked.beside] for asked in painter.asked]
    assert [(16, None), (32, None)] == [(a.source.width, a.inpaint) for a in painter.asked if a.source]


def test_a_picture_is_enlarged_by_the_model_where_no_resampling_has_that_name(
    http: httpx.Client, painter: FakePainter
) -> None:
    asked = {"image": PNG, "upscaler_1": "doubler", "upscaling_resize": 2}
    made = picture(http.post("/sdapi/v1/extra-single-image", json=asked).json()["image"])
    assert ((64, 48), [(64 * 48, (10, 20, 30))]) == (made.size, made.getcolors())
    sized = {**asked, "resize_mode": 1, "upscaling_resize_w": 50, "upscaling_resize_h": 40}
    made = picture(http.post("/sdapi/v1/extra-single-image", json=sized).json()["image"])
    assert ((50, 40), ["upscale doubler"] * 2) == (made.size, painter.log[-2:])


def test_a_job_s_styles_are_those_of_the_data_directory_s_file_at_that_moment(
    tmp_path: Path, http: httpx.Client
) -> None:
    (tmp_path / "styles.csv").write_text("name,prompt,negative_prompt\nfilm,a photo of {prompt},text\n")
    asked = http.post("/v1/jobs", json={"prompt": "a boat", "styles": ["film"]}).json()["request"]
    assert ("a photo of a boat", "text") == (asked["prompt"], asked["negative"])


def test_wildcards_become_lines_of_the_data_directory_s_files_for_each_picture_on_every_face(
    tmp_path: Path, http: httpx.Client, painter: FakePainter
) -> None:
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards" / "colour.txt").write_text("".join(f"shade {each}\n" for each in range(1000)))
    asked = {
        "prompt": "a __colour__ boat, __unknown__",
        "n": 3,
        "seed": 5,
        "id": "a",
        "hires": {"prompt": "__colour__"},
    }
    assert 202 == http.post("/v1/jobs", json=asked).status_code == http.post("/v1/jobs", json=asked).status_code
    job = ended(http, "a")
    said = [each["parameters"]["Prompt"] for each in job["pictures"]]
    assert ("done", [5, 6, 7], 3) == (job["status"], [each["seed"] for each in job["pictures"]], len(set(said)))
    assert all(text.startswith("a shade ") and text.endswith(" boat, __unknown__") for text in said)
    assert all(each.hires and each.hires.prompt and each.hires.prompt in each.prompt for each in painter.asked)
    made = http.post("/sdapi/v1/txt2img", json={"prompt": asked["prompt"], "seed": 6, "batch_size": 2}).json()
    assert said[1:] == json.loads(made["info"])["all_prompts"]
    http.post("/v1/images/generations", json={"prompt": asked["prompt"], "seed": 7})
    assert said[2] == painter.asked[-1].prompt


def test_a_job_asked_for_again_without_a_seed_is_the_job_that_there_is(http: httpx.Client) -> None:
    asked = {"prompt": "a {red|green|blue|black|white|grey} boat", "n": 3, "id": "a"}
    first, again = (http.post("/v1/jobs", json=asked) for _ in range(2))
    assert (202, first.json()["request"]) == (again.status_code, again.json()["request"])
    assert 1 == len(http.get("/v1/jobs").json()["data"])


def test_pictures_of_a_job_are_skipped_one_at_a_time(served: Running, painter: FakePainter, http: httpx.Client) -> None:
    held(served, painter)
    http.post("/v1/jobs", json={"prompt": "a boat", "id": "a", "n": 3, "seed": 5})
    assert "queued" == http.post("/v1/jobs", json={"prompt": "a boat", "id": "b"}).json()["status"]
    assert "queued" == http.post("/v1/jobs/b/skip").json()["status"]
    while http.get("/v1/jobs/a").json()["status"] != "running":
        pass
    assert "running" == http.post("/v1/jobs/a/skip").json()["status"]
    freed(served, painter)
    assert ("done", [6, 7]) == ((job := ended(http, "a"))["status"], [each["seed"] for each in job["pictures"]])
    assert 1 == len(ended(http, "b")["pictures"])


def test_a_watcher_skips_a_picture(served: Running, painter: FakePainter, http: httpx.Client) -> None:
    held(served, painter)
    http.post("/v1/jobs", json={"prompt": "a boat", "id": "a", "n": 2, "seed": 5})
    with watching(served, http) as watched:
        begun(watched)
        watched.send('{"type": "skip"}')
        while "skip" not in painter.log:
            pass
        freed(served, painter)
        events = [json.loads(text) for text in watched]
    assert [6] == [each["seed"] for each in events[-1]["job"]["pictures"]]
