"""What files of other programs say, in the layouts that these have."""

import json

from haiga.text.image_prompts import recall

A1111 = """a (fox:1.2), <lora:fur:0.8>
in the snow
Negative prompt: blur, text
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 965400086, Size: 512x768, \
Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Denoising strength: 0.7, Clip skip: 2, \
Lora hashes: "fur: 7c2f1a, snow: 99", Hires upscale: 2, Hires upscaler: Latent, Version: v1.10.1"""
NEXT = """a fox
Negative prompt: blur
Template: a __animal__
Negative Template: __bad__
Steps: 20, Size: 1024x1024, Sampler: Euler a, Seed: 1, CFG scale: 6, App: SD.Next, Version: 1b2c, \
Pipeline: StableDiffusionXLPipeline, Operations: txt2img, Model: sd_xl_base_1.0"""
COMFY = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 42,
            "steps": 25,
            "cfg": 7.5,
            "sampler_name": "dpmpp_2m",
            "scheduler": "karras",
            "denoise": 1,
            "model": ["4", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "xl\\base.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 768, "height": 512, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["9", 0], "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blur", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "PrimitiveString", "inputs": {"value": "a fox, snow"}},
}
FLUX = {
    "10": {"class_type": "RandomNoise", "inputs": {"noise_seed": 7}},
    "11": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors"}},
    "12": {"class_type": "CLIPTextEncode", "inputs": {"text": "a heron", "clip": ["20", 0]}},
    "13": {
        "class_type": "SamplerCustomAdvanced",
        "inputs": {
            "noise": ["10", 0],
            "guider": ["16", 0],
            "sampler": ["17", 0],
            "sigmas": ["18", 0],
            "latent_image": ["19", 0],
        },
    },
    "16": {"class_type": "BasicGuider", "inputs": {"model": ["11", 0], "conditioning": ["21", 0]}},
    "17": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
    "18": {"class_type": "BasicScheduler", "inputs": {"scheduler": "beta", "steps": 8, "denoise": 1.0}},
    "19": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 1024, "height": 1024}},
    "21": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["12", 0]}},
}


def test_a1111_s_text_is_read_with_its_lines_and_its_size_by_sides() -> None:
    found = recall({"parameters": A1111, "Software": "x"})
    told = found.parameters
    assert ("a (fox:1.2), <lora:fur:0.8>\nin the snow", "blur, text") == (told["Prompt"], told["Negative prompt"])
    assert ("512", "768", "fur: 7c2f1a, snow: 99") == (told["Size-1"], told["Size-2"], told["Lora hashes"])
    assert ("965400086", "DPM++ 2M", "Latent") == (told["Seed"], told["Sampler"], told["Hires upscaler"])
    assert (A1111, {"Software": "x"}) == (found.text, found.others)


def test_sd_next_s_templates_are_no_part_of_its_prompts() -> None:
    told = recall({"UserComment": NEXT}).parameters
    assert ("a fox", "blur") == (told["Prompt"], told["Negative prompt"])
    assert ("a __animal__", "__bad__", "SD.Next") == (told["Template"], told["Negative template"], told["App"])


def test_comfy_s_graph_is_read_before_its_sampler() -> None:
    expected = {
        "Prompt": "a fox, snow",
        "Negative prompt": "blur",
        "Steps": "25",
        "CFG scale": "7.5",
        "Seed": "42",
        "Sampler": "DPM++ 2M",
        "Schedule type": "Karras",
        "Size": "768x512",
        "Model": "base",
        "Size-1": "768",
        "Size-2": "512",
    }
    texts = {"prompt": json.dumps(COMFY), "workflow": "{}"}
    assert (expected, texts) == ((found := recall(texts)).parameters, found.others)
    assert expected == recall({"Model": "prompt:" + json.dumps(COMFY)}).parameters


def test_comfy_s_sampler_of_several_parts_is_read() -> None:
    told = recall({"prompt": json.dumps(FLUX)}).parameters
    assert ("a heron", "7", "8", "3.5") == (told["Prompt"], told["Seed"], told["Steps"], told["CFG scale"])
    assert ("Euler", "Beta", "flux1-dev") == (told["Sampler"], told["Schedule type"], told["Model"])


def test_a_graph_with_a_ring_or_with_nothing_in_it_ends() -> None:
    ring = {"1": {"inputs": {"positive": ["2", 0], "latent_image": 1}}, "2": {"inputs": {"a": ["2", 0], "b": ["1", 0]}}}
    assert [{}] * 5 == [
        recall({"prompt": text}).parameters
        for text in (json.dumps(ring), "[" * 100_000, "no", "[1]", '{"1": {"inputs": 3}}')
    ]


def test_other_texts_are_told_and_nothing_is_made_of_them() -> None:
    found = recall({"Title": "a fox", "workflow": '{"nodes": []}'})
    assert ("", {}, {"Title": "a fox", "workflow": '{"nodes": []}'}) == (found.text, found.parameters, found.others)


def test_a_text_made_to_be_slow_is_read_at_once() -> None:
    for text in ("a" * 1_000_000, " " * 1_000_000, 'a:"\\",' * 200_000, 'a:"' * 300_000):
        assert text.strip("\n") == recall({"parameters": text}).text.strip("\n")
