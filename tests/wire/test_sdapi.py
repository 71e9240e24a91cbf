"""A1111's API over a real socket, with tiny pipelines: the client library `webuiapi`, and raw requests."""

import asyncio
import json
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import webuiapi
from PIL import Image
from safetensors.torch import save_file

from haiga.core.pictures import Picture
from haiga.engines.diffusers.shelf import Shelf
from haiga.engines.diffusers.upscaling.networks import Compact
from haiga.services.images.encoding import encode
from tests.painters import ThreadPainter
from tests.wire.sdapi_server import painting

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 2, "cfg_scale": 3}
BASIC = httpx.BasicAuth("anyone", "sk-one")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps things, with an upscaler that doubles on its shelf."""
    place = tmp_path_factory.mktemp("sdapi")
    (place / "shelf" / "ESRGAN").mkdir(parents=True)
    save_file(Compact([3, 4, 12], 2).state_dict(), place / "shelf" / "ESRGAN" / "doubler.safetensors")
    (place / "styles.csv").write_text('name,prompt,negative_prompt\nfilm,"a photo of {prompt}, grain",text\nbare,,\n')
    return place


@pytest.fixture(scope="module")
def painters(place: Path) -> dict[str, ThreadPainter]:
    return {family: ThreadPainter(family, Shelf(place / "shelf")) for family in ("sd15", "sdxl", "flux")}


@pytest.fixture(scope="module")
def url(place: Path, painters: dict[str, ThreadPainter]) -> Iterator[str]:
    with painting(place, list(painters.values())) as url:
        yield url


@pytest.fixture
def api(url: str) -> webuiapi.WebUIApi:
    return webuiapi.WebUIApi(baseurl=f"{url}/sdapi/v1", username="anyone", password="sk-one", sampler="Euler", steps=2)


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, auth=BASIC, timeout=60) as client:
        yield client


def scene(size: tuple[int, int] = (64, 64)) -> Image.Image:
    image = Image.new("RGB", size, (30, 90, 160))
    image.paste((220, 180, 40), (0, 0, size[0] // 2, size[1] // 2))
    return image


def until(true: Callable[[], Any]) -> Any:
    """What `true` gives as soon as that is something."""
    for _ in range(2000):
        if found := true():
            return found
        time.sleep(0.005)
    raise AssertionError("it never came")


@pytest.fixture
def shut(painters: dict[str, ThreadPainter]) -> Iterator[ThreadPainter]:
    """Jobs stand still after each step."""
    painters["sd15"].gate.clear()
    yield painters["sd15"]
    painters["sd15"].gate.set()


def begun(url: str, key: str, **asked: Any) -> tuple[threading.Thread, dict[str, Any]]:
    """A request under way, and a place for its answer."""
    answer: dict[str, Any] = {}

    def ask() -> None:
        body = {**SMALL, "steps": 4, **asked}
        headers = {"authorization": f"Bearer {key}"}
        answer["it"] = httpx.post(f"{url}/sdapi/v1/txt2img", json=body, headers=headers, timeout=60)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, answer


# --- pictures ---


@pytest.mark.parametrize("model", ["sd15", "sdxl", "flux"])
def test_a_client_gets_the_pictures_with_what_made_them(api: webuiapi.WebUIApi, model: str) -> None:
    asked = {**SMALL, "prompt": "a fox", "seed": 5, "override_settings": {"sd_model_checkpoint": model}}
    made = api.txt2img(**asked, batch_size=2, alwayson_scripts={})
    assert [(64, 64)] * 2 == [image.size for image in made.images]
    assert [5, 6] == made.info["all_seeds"]
    assert made.info["infotexts"] == [image.info["parameters"] for image in made.images]
    assert (model, 2, "Euler") == (made.info["sd_model_name"], made.info["steps"], made.info["sampler_name"])
    assert made.images[0].tobytes() == api.txt2img(**asked, alwayson_scripts={}).image.tobytes()


def test_what_made_a_picture_is_read_back_and_makes_it_again(api: webuiapi.WebUIApi, client: httpx.Client) -> None:
    first = api.txt2img(prompt="a (red:1.2) boat, calm", negative_prompt="text", seed=9, alwayson_scripts={}, **SMALL)
    told = client.post("/sdapi/v1/png-info", json={"image": webuiapi.b64_img(first.image)}).json()
    assert ("a (red:1.2) boat, calm", "text", "9", "64") == tuple(
        told["parameters"][name] for name in ("Prompt", "Negative prompt", "Seed", "Size-1")
    )
    again = client.post("/sdapi/v1/txt2img", json={"infotext": told["info"]}).json()
    assert first.image.tobytes() == Image.open(BytesIO(b64decode(again["images"][0]))).tobytes()


def test_a_picture_is_begun_from_and_masked(api: webuiapi.WebUIApi) -> None:
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (32, 32, 64, 64))
    asked = {**SMALL, "prompt": "a fox", "seed": 5, "denoising_strength": 0.9, "alwayson_scripts": {}}
    whole = api.img2img(images=[scene()], **asked)
    masked = api.img2img(
        images=[scene()], mask_image=mask, inpainting_fill=1, inpaint_full_res=False, mask_blur=0, **asked
    )
    assert (0.9, None) == (whole.info["denoising_strength"], whole.parameters["init_images"])
    assert scene().crop((0, 0, 24, 24)).tobytes() == masked.image.crop((0, 0, 24, 24)).tobytes()
    assert scene().tobytes() != masked.image.tobytes()


def test_a_mask_may_say_by_its_transparency_where(client: httpx.Client) -> None:
    mask = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    mask.paste((0, 0, 0, 255), (32, 32, 64, 64))
    file = BytesIO()
    mask.save(file, "PNG")
    body = {**SMALL, "seed": 5, "init_images": [webuiapi.b64_img(scene())], "mask": b64encode(file.getvalue()).decode()}
    made = client.post("/sdapi/v1/img2img", json={**body, "mask_blur": 0, "denoising_strength": 1}).json()
    image = Image.open(BytesIO(b64decode(made["images"][0])))
    assert scene().crop((0, 0, 24, 24)).tobytes() == image.crop((0, 0, 24, 24)).tobytes()
    assert scene().crop((40, 40, 64, 64)).tobytes() != image.crop((40, 40, 64, 64)).tobytes()


def test_a_second_pass_enlarges(api: webuiapi.WebUIApi) -> None:
    asked = {**SMALL, "prompt": "a fox", "seed": 1, "alwayson_scripts": {}}
    made = api.txt2img(enable_hr=True, hr_scale=2, hr_upscaler="Lanczos", denoising_strength=0.5, **asked)
    assert (128, 128) == made.image.size
    assert "Hires upscaler: Lanczos" in made.info["infotexts"][0]


def test_a_file_is_of_the_kind_that_the_caller_set(api: webuiapi.WebUIApi, client: httpx.Client) -> None:
    body = {**SMALL, "prompt": "a fox", "override_settings": {"samples_format": "webp"}}
    made = client.post("/sdapi/v1/txt2img", json=body).json()
    assert b"WEBP" == b64decode(made["images"][0])[8:12]
    told = client.post("/sdapi/v1/png-info", json={"image": made["images"][0]}).json()
    assert ("a fox", json.loads(made["info"])["infotexts"][0]) == (told["parameters"]["Prompt"], told["info"])


def test_pictures_need_not_be_sent(client: httpx.Client) -> None:
    made = client.post("/sdapi/v1/txt2img", json={**SMALL, "send_images": False})
    assert ([], made.headers["haiga-job-id"]) == (made.json()["images"], json.loads(made.json()["info"])["job_id"])


def test_styles_of_the_file_stand_around_the_prompts_of_both_passes(client: httpx.Client) -> None:
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Lanczos", "hr_prompt": "a dog"}
    body = {**SMALL, "prompt": "a fox", "negative_prompt": "blur", "styles": ["film", "bare"], **hires}
    info = json.loads(client.post("/sdapi/v1/txt2img", json=body).json()["info"])
    assert ("a photo of a fox, grain", "blur, text") == (info["prompt"], info["negative_prompt"])
    assert 'Hires prompt: "a photo of a dog, grain"' in info["infotexts"][0]
    assert ["film", "bare"] == info["styles"]


# --- what is refused ---


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"sampler_name": "Euler ab"}, 404, "sampler_name: sampler 'Euler ab' is not known; near it: Euler a"),
        ({"scheduler": "bent"}, 404, "scheduler: scheduler 'bent' is not known"),
        ({"enable_hr": True, "hr_sampler_name": "Eulr"}, 404, "hr_sampler_name: sampler 'Eulr' is not known"),
        ({"override_settings": {"sd_model_checkpoint": "../secret"}}, 404, "model: ../secret"),
        ({"prompt": "a <lora:../../x:1>"}, 422, "prompt: there is no LoRA"),
        ({"override_settings": {"sd_vae": "/etc/passwd"}}, 422, "there is no VAE"),
        ({"enable_hr": True, "hr_upscaler": "../x"}, 422, "hr_upscaler"),
        ({"width": 70}, 422, "width"),
        ({"steps": "many"}, 422, "steps"),
        ({"styles": ["dreamy"]}, 404, "styles: style 'dreamy' not found. Those there are: film, bare"),
        ({"script_name": "X/Y/Z plot"}, 422, "script_name: Script 'X/Y/Z plot' not found"),
        ({"alwayson_scripts": {"ControlNet": {"args": [{"model": "../m"}]}}}, 422, "ControlNet"),
    ],
)
def test_what_is_wrong_is_told_by_its_field(
    client: httpx.Client, asked: dict[str, Any], status: int, said: str
) -> None:
    answer = client.post("/sdapi/v1/txt2img", json={**SMALL, **asked})
    assert status == answer.status_code, answer.text
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("AAAA", "none of JPEG"),
        ("not base64!", "base64"),
        ("data:image/png;base64,iVBORw0KGgo=", "Could not process image"),
        ("http://127.0.0.1:1/x.png", "127.0.0.1"),
        ("file:///etc/passwd", "base64"),
    ],
)
def test_a_picture_that_is_none_is_refused_and_its_address_is_guarded(
    client: httpx.Client, image: str, said: str
) -> None:
    answer = client.post("/sdapi/v1/img2img", json={**SMALL, "init_images": [image]})
    assert 422 == answer.status_code
    assert answer.json()["detail"].startswith("init_images.0")
    assert said in answer.json()["detail"]


def test_a_damaged_file_says_nothing_and_does_no_harm(client: httpx.Client) -> None:
    whole = encode(Picture.of(bytes(64 * 64 * 3), 64, 64), "png", "a fox\nSteps: 2, Seed: 1, Size: 64x64")
    answer = client.post("/sdapi/v1/png-info", json={"image": b64encode(whole[:-60]).decode()})
    assert (422, "image: Could not process image") == (answer.status_code, answer.json()["detail"][:30])


@pytest.mark.parametrize("path", ["interrogate", "train/embedding", "create/hypernetwork", "server-kill"])
def test_what_is_not_done_is_refused_by_name(client: httpx.Client, path: str) -> None:
    answer = client.post(f"/sdapi/v1/{path}", json={})
    assert (422, f"/sdapi/v1/{path} is not done here") == (answer.status_code, answer.json()["detail"])


# --- who asks ---


def test_a_key_is_taken_as_basic_s_password_bearer_or_header_and_nothing_else_will_do(url: str) -> None:
    path = f"{url}/sdapi/v1/samplers"
    assert 200 == httpx.get(path, auth=("anyone", "sk-one")).status_code
    assert 200 == httpx.get(path, headers={"authorization": "Bearer sk-one"}).status_code
    assert 200 == httpx.get(path, headers={"x-api-key": "sk-one"}).status_code
    nobody = httpx.get(path)
    assert (401, 'Basic realm="haiga"') == (nobody.status_code, nobody.headers["www-authenticate"])
    assert 401 == httpx.get(path, auth=("sk-one", "wrong")).status_code
    assert 401 == httpx.get(path, headers={"authorization": "Basic %%%"}).status_code
    assert 401 == httpx.get(f"{url}/v1/models", auth=("anyone", "sk-one")).status_code


def test_basic_is_not_taken_from_another_site_s_page(url: str) -> None:
    ask = {"url": f"{url}/sdapi/v1/options", "auth": ("anyone", "sk-one")}
    assert 403 == httpx.post(**ask, headers={"origin": "http://evil.example"}, json={}).status_code
    assert 200 == httpx.post(**ask, headers={"origin": url}, json={}).status_code


# --- jobs under way ---


def test_progress_is_of_the_caller_s_own_job_and_by_its_id(url: str, client: httpx.Client, shut: ThreadPainter) -> None:
    thread, answer = begun(url, "sk-one", force_task_id="task(one)", n_iter=2)
    told = until(lambda: (p := client.get("/sdapi/v1/progress").json())["state"]["sampling_step"] and p)
    assert ("task-one-", 2, 0, 4) == (
        told["id"],
        *(told["state"][n] for n in ("job_count", "job_no", "sampling_steps")),
    )
    assert 0 < told["progress"] < 1
    named = client.get("/sdapi/v1/progress", params={"id_task": "task(one)"}).json()
    assert ("task-one-", None) == (named["id"], client.get("/sdapi/v1/progress", params={"id": "other"}).json()["id"])
    inner = client.post("/internal/progress", json={"id_task": "task(one)", "live_preview": False}).json()
    assert (True, False, False) == (inner["active"], inner["queued"], inner["completed"])
    other = {"authorization": "Bearer sk-two"}
    stranger = httpx.get(f"{url}/sdapi/v1/progress?id_task=task(one)", headers=other).json()
    assert (None, 0, "") == (stranger["id"], stranger["progress"], stranger["state"]["job"])
    shut.gate.set()
    thread.join()
    assert 2 == len(answer["it"].json()["images"])
    done = client.post("/internal/progress", json={"id_task": "task(one)"}).json()
    assert (False, True) == (done["active"], done["completed"])


def test_interrupt_ends_the_caller_s_own_job_alone(url: str, client: httpx.Client, shut: ThreadPainter) -> None:
    thread, answer = begun(url, "sk-two", n_iter=2)
    two = {"authorization": "Bearer sk-two"}
    until(lambda: httpx.get(f"{url}/sdapi/v1/progress", headers=two).json()["state"]["sampling_step"])
    assert {} == client.post("/sdapi/v1/interrupt").json()
    assert None is client.post("/sdapi/v1/skip").json()
    assert httpx.get(f"{url}/sdapi/v1/progress", headers=two).json()["id"]
    httpx.post(f"{url}/sdapi/v1/interrupt", headers=two)
    thread.join()
    assert (200, []) == (answer["it"].status_code, answer["it"].json()["images"])


def test_skip_leaves_the_picture_under_way_and_goes_on_with_the_next(
    url: str, client: httpx.Client, shut: ThreadPainter
) -> None:
    thread, answer = begun(url, "sk-one", n_iter=3, seed=5)
    until(lambda: client.get("/sdapi/v1/progress").json()["state"]["sampling_step"])
    assert None is client.post("/sdapi/v1/skip").json()
    shut.gate.set()
    thread.join()
    assert [6, 7] == json.loads(answer["it"].json()["info"])["all_seeds"]


def test_a_client_that_goes_away_ends_its_job(url: str, client: httpx.Client, shut: ThreadPainter) -> None:
    with pytest.raises(httpx.ReadTimeout):
        client.post("/sdapi/v1/txt2img", json={**SMALL, "steps": 4}, timeout=0.5)
    until(lambda: client.get("/sdapi/v1/progress").json()["id"] is None)


# --- lists and options ---


def test_a_client_finds_what_it_can_name(api: webuiapi.WebUIApi, client: httpx.Client) -> None:
    assert ["sd15", "sdxl", "flux"] == [model["model_name"] for model in api.get_sd_models()]
    assert {"Euler", "Euler a", "DPM++ 2M"} <= {sampler["name"] for sampler in api.get_samplers()}
    assert {"Karras", "Automatic"} <= {scheduler["label"] for scheduler in api.get_schedulers()}
    assert {"None", "Lanczos"} <= {upscaler["name"] for upscaler in api.get_upscalers()}
    assert "Latent" in {mode["name"] for mode in api.get_latent_upscale_modes()}
    assert ({"loaded": {}, "skipped": {}}, [], []) == (api.get_embeddings(), api.get_loras(), api.get_sd_vae())
    assert {"txt2img": [], "img2img": []} == api.get_scripts()
    assert [[], [], []] == [api.get_hypernetworks(), api.get_face_restorers(), api.get_realesrgan_models()]
    assert ["film", "bare"] == [style["name"] for style in api.get_prompt_styles()]
    assert api.get_memory()["ram"]["total"] > 0
    assert api.get_cmd_flags()["api"]
    assert None is api.refresh_checkpoints()


def test_every_scheduler_of_the_list_is_taken_by_its_name(client: httpx.Client) -> None:
    names = [each["name"] for each in client.get("/sdapi/v1/schedulers").json()]
    body = {**SMALL, "sampler_name": "DPM++ 2M"}
    answers = {n: client.post("/sdapi/v1/txt2img", json={**body, "scheduler": n}) for n in names}
    taken = {name for name, answer in answers.items() if answer.status_code == 200}
    needing = {name for name, answer in answers.items() if "needs the package" in answer.text}
    assert set(names) == taken | needing
    assert {"automatic", "karras"} <= taken


def test_options_are_a_key_s_own(url: str, api: webuiapi.WebUIApi) -> None:
    other = webuiapi.WebUIApi(baseurl=f"{url}/sdapi/v1", username="x", password="sk-other", steps=2)
    assert None is other.set_options({"sd_model_checkpoint": "sdxl", "unknown": 1, "samples_format": "jpg"})
    assert ("sdxl", "jpg") == tuple(other.get_options()[name] for name in ("sd_model_checkpoint", "samples_format"))
    assert ("sd15", "png") == tuple(api.get_options()[name] for name in ("sd_model_checkpoint", "samples_format"))
    made = other.txt2img(prompt="a fox", width=64, height=64, sampler_name="Euler", alwayson_scripts={})
    assert ("sdxl", "JPEG") == (made.info["sd_model_name"], made.image.format)
    wrong = httpx.post(f"{url}/sdapi/v1/options", auth=("x", "sk-other"), json={"sd_model_checkpoint": "none"})
    assert (404, "sdxl") == (wrong.status_code, other.get_options()["sd_model_checkpoint"])


# --- pictures that are there ---


def test_pictures_are_enlarged_one_and_several(api: webuiapi.WebUIApi) -> None:
    one = api.extra_single_image(scene((40, 20)), upscaler_1="Lanczos", upscaling_resize=2)
    sized = {"resize_mode": 1, "upscaling_resize_w": 50, "upscaling_resize_h": 50}
    several = api.extra_batch_images([scene((40, 20)), scene((20, 20))], upscaler_1="Nearest", **sized)
    assert [(80, 40), (50, 50), (50, 50)] == [one.image.size, *(image.size for image in several.images)]


def test_a_network_from_the_shelf_is_listed_and_enlarges_alone_and_as_a_second_pass(
    api: webuiapi.WebUIApi, client: httpx.Client
) -> None:
    assert "doubler" in {upscaler["name"] for upscaler in api.get_upscalers()}
    made = api.extra_single_image(scene((40, 20)), upscaler_1="doubler", upscaling_resize=3, upscaler_2="Lanczos")
    job = client.get("/v1/jobs", auth=None, headers={"x-api-key": "sk-one"}).json()["data"][0]
    assert ("done", 120, "doubler") == (
        job["status"],
        job["pictures"][0]["width"],
        job["request"]["upscale"]["upscaler"],
    )
    again = api.txt2img(enable_hr=True, hr_upscaler="doubler", denoising_strength=0.5, alwayson_scripts={}, **SMALL)
    assert [(120, 60), (128, 128)] == [made.image.size, again.image.size]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"upscaler_1": "/etc/passwd"}, "upscaler_1"),
        ({"upscaling_resize": 99}, "upscaling_resize"),
        ({"gfpgan_visibility": 1}, "gfpgan_visibility"),
        ({"image": "?"}, "image"),
    ],
)
def test_what_cannot_be_enlarged_is_told(client: httpx.Client, asked: dict[str, Any], field: str) -> None:
    body = {"image": webuiapi.raw_b64_img(scene()), "upscaler_1": "Lanczos", **asked}
    answer = client.post("/sdapi/v1/extra-single-image", json=body)
    assert (422, field) == (answer.status_code, answer.json()["detail"].partition(":")[0].partition(".")[0])


async def test_several_clients_at_once_each_get_their_own(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def ask(seed: int) -> list[int]:
            headers = {"authorization": f"Bearer sk-{seed % 3}"}
            answer = await client.post("/sdapi/v1/txt2img", json={**SMALL, "seed": seed}, headers=headers)
            return list(json.loads(answer.json()["info"])["all_seeds"])

        assert [[seed] for seed in range(6)] == await asyncio.gather(*(ask(seed) for seed in range(6)))
