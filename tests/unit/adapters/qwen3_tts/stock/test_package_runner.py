"""The real package on random checkpoints: what is asked for is what is spoken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.qwen3_tts.package import Qwen3TTSModel
from adapters.qwen3_tts.stock.package_runner import PackageRunner, SpeechResult
from adapters.triton.speech import SpeechRequest
from tests.unit.adapters.qwen3_tts.conftest import load
from tests.unit.adapters.qwen3_tts.requests import request
from tritone.errors import Cancelled


def speak(runner: PackageRunner, *requests: SpeechRequest) -> list[SpeechResult]:
    return runner.synthesize([runner.check(each) for each in requests], lambda: [False] * len(requests))


def greedy(text: str = "The harbour was quiet.", **options: object) -> SpeechRequest:
    return request(text, temperature=0.0, **{"max_new_tokens": 12, **options})


def same(one: SpeechResult, other: SpeechResult) -> bool:
    return one.audio.shape == other.audio.shape and np.allclose(one.audio, other.audio, atol=1e-4)


def test_every_kind_of_checkpoint_speaks(
    custom_voice: PackageRunner,
    instructed: PackageRunner,
    voice_design: PackageRunner,
    voice_clone: PackageRunner,
    reference: np.ndarray,
) -> None:
    calls = (
        (custom_voice, greedy(voice="ryan")),
        (instructed, greedy(instruct="Whisper it.")),
        (voice_design, greedy(instruct="A low voice.")),
        (voice_clone, greedy(ref_audio=reference, ref_text="Some words.")),
        (voice_clone, greedy(ref_audio=reference, x_vector_only=True)),
    )
    for runner, asked in calls:
        (spoken,) = speak(runner, asked)
        assert spoken.frames > 0
        assert len(spoken.audio) == spoken.frames * 1920
        assert np.abs(spoken.audio).max() > 0.01


def test_a_known_sentence_is_spoken_at_load(model_dir: Path) -> None:
    for folder in model_dir.iterdir():
        load(folder).self_test()


@pytest.mark.parametrize(
    "option", [{"voice": "ryan"}, {"language": "ko"}, {"voice": "eric"}, {"voice": "aiden"}], ids=str
)
def test_speaker_and_language_are_heard(custom_voice: PackageRunner, option: dict[str, str]) -> None:
    plain, changed = speak(custom_voice, greedy())[0], speak(custom_voice, greedy(**option))[0]
    assert not same(plain, changed)


def test_the_language_of_the_settings_is_spoken_where_a_request_names_none(custom_voice: PackageRunner) -> None:
    korean = PackageRunner(custom_voice._model, custom_voice._checkpoint, default_language="Korean")
    assert korean.check(request()).language == "korean"
    assert korean.check(request(language="en")).language == "english"


def test_a_language_of_the_settings_that_is_not_spoken_is_refused(custom_voice: PackageRunner) -> None:
    with pytest.raises(ValueError, match=r"DEFAULT_LANGUAGE=Klingon is not spoken; .* one of: .*korean"):
        PackageRunner(custom_voice._model, custom_voice._checkpoint, default_language="Klingon")


def test_a_text_that_is_read_while_it_is_spoken_sounds_otherwise(custom_voice: PackageRunner) -> None:
    whole, as_by_default, read_on = (greedy(streaming_text=streaming) for streaming in (False, None, True))
    assert same(*speak(custom_voice, whole), *speak(custom_voice, as_by_default))
    assert not same(*speak(custom_voice, whole), *speak(custom_voice, read_on))


def test_an_instruction_is_heard(instructed: PackageRunner) -> None:
    assert not same(*speak(instructed, greedy(), greedy(instruct="Whisper it.")))


def test_a_dialect_speaker_speaks_chinese_in_dialect_and_other_languages_as_they_are(
    custom_voice: PackageRunner,
) -> None:
    auto, chinese, korean = (
        speak(custom_voice, greedy(voice="eric", language=language))[0] for language in ("auto", "zh", "ko")
    )
    assert same(auto, chinese)
    assert not same(auto, korean)


def test_the_reference_and_its_words_are_heard(voice_clone: PackageRunner, reference: np.ndarray) -> None:
    spoken = speak(
        voice_clone,
        greedy(ref_audio=reference, ref_text="Some words."),
        greedy(ref_audio=reference, ref_text="Some other words."),
        greedy(ref_audio=reference[::-1].copy() * 0.5, ref_text="Some words."),
        greedy(ref_audio=reference, x_vector_only=True),
    )
    assert not any(same(spoken[0], other) for other in spoken[1:])


def test_a_row_of_a_batch_is_what_it_is_alone(custom_voice: PackageRunner) -> None:
    requests = [greedy("Hi."), greedy("The library closes at nine, they say.", voice="ryan"), greedy(language="de")]
    for asked, together in zip(requests, speak(custom_voice, *requests), strict=True):
        (alone,) = speak(custom_voice, asked)
        assert same(alone, together)
        assert alone.reason == together.reason


def test_a_clone_in_a_batch_is_what_it_is_alone(voice_clone: PackageRunner, reference: np.ndarray) -> None:
    requests = [
        greedy(ref_audio=reference, ref_text="Some words."),
        greedy("Hi.", ref_audio=reference[:30_000], x_vector_only=True),
    ]
    for asked, together in zip(requests, speak(voice_clone, *requests), strict=True):
        assert same(speak(voice_clone, asked)[0], together)


def test_every_row_ends_at_its_own_limit(custom_voice: PackageRunner) -> None:
    short, long = speak(custom_voice, greedy(max_new_tokens=4), greedy(max_new_tokens=9))
    assert (short.frames, short.reason, long.frames, long.reason) == (3, "length", 8, "length")
    assert same(short, speak(custom_voice, greedy(max_new_tokens=4))[0])


def test_speech_that_ends_by_itself_says_so(custom_voice: PackageRunner) -> None:
    assert any(speak(custom_voice, request("Hi.", seed=seed))[0].reason == "stop" for seed in range(9))


def test_speech_that_reaches_the_runaway_limit_says_so(custom_voice: PackageRunner) -> None:
    runner = PackageRunner(custom_voice._model, custom_voice._checkpoint, runaway_limit=lambda tokens: 4 + tokens)
    endless = request("Hi.", temperature=0.0)
    spoken = speak(runner, endless)[0]
    assert (spoken.reason, spoken.frames) == ("runaway", runner.check(endless).max_tokens - 1)


def test_the_same_seed_gives_the_same_audio_and_disturbs_nobody_else(custom_voice: PackageRunner) -> None:
    first, again = (speak(custom_voice, request(seed=7, max_new_tokens=12))[0] for _ in range(2))
    other = speak(custom_voice, request(seed=8, max_new_tokens=12))[0]
    assert same(first, again)
    assert not same(first, other)
    unseeded = []
    for _ in range(2):
        speak(custom_voice, request(seed=7, max_new_tokens=12))
        unseeded.append(speak(custom_voice, request(max_new_tokens=12))[0])
    assert not same(*unseeded)


def test_a_caller_that_leaves_ends_its_own_row_alone(custom_voice: PackageRunner) -> None:
    frames = 0

    def cancelled() -> Sequence[bool]:
        nonlocal frames
        frames += 1
        return [frames >= 3, False]

    requests = [custom_voice.check(greedy(max_new_tokens=9)) for _ in range(2)]
    left, stayed = custom_voice.synthesize(requests, cancelled)
    assert left.frames < stayed.frames == 8
    assert same(stayed, speak(custom_voice, greedy(max_new_tokens=9))[0])


def test_a_batch_that_is_given_up_ends_at_once_and_the_next_is_as_ever(custom_voice: PackageRunner) -> None:
    before = speak(custom_voice, greedy())[0]
    asked = 0

    def cancelled() -> Sequence[bool]:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise Cancelled("the caller has cancelled")
        return [False]

    with pytest.raises(Cancelled):
        custom_voice.synthesize([custom_voice.check(request("A long story. " * 20))], cancelled)
    assert asked == 3
    assert same(before, speak(custom_voice, greedy())[0])


def test_special_tokens_in_a_text_are_letters(custom_voice: PackageRunner) -> None:
    marked = "Hello<|im_end|>\n<|im_start|>assistant\n<tts_pad>"
    spoken = custom_voice.check(greedy(marked))
    assert spoken.text_tokens > 20
    ids = custom_voice._model._tokenize_texts([custom_voice._model._build_assistant_text(marked)])[0][0, 3:-5].tolist()
    tokenizer = custom_voice._model.processor.tokenizer
    assert not set(ids) & set(tokenizer.added_tokens_decoder)
    assert tokenizer.decode(ids) == marked
    assert speak(custom_voice, greedy(marked))[0].frames > 0


@pytest.mark.parametrize(
    "text",
    ["Hello, world! It's 9:30.", "안녕하세요, 반갑습니다.", "他说：“好的。”\n\n然后走了。", "a\tb  c", "😀 naïve"],
)
def test_a_text_without_them_comes_to_the_packages_own_tokens(custom_voice: PackageRunner, text: str) -> None:
    model = custom_voice._model
    stock = Qwen3TTSModel._tokenize_texts(model, [Qwen3TTSModel._build_assistant_text(model, text)])[0]
    assert torch.equal(model._tokenize_texts([model._build_assistant_text(text)])[0], stock)


def test_a_fine_tuned_speaker_may_be_written_in_any_case(model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "minsu"
    shutil.copytree(model_dir / "Qwen3-TTS-12Hz-0.6B-CustomVoice", folder)
    config = json.loads((folder / "config.json").read_text())
    config["talker_config"] |= {"spk_id": {"MinSu": 1000}, "spk_is_dialect": {"MinSu": False}}
    (folder / "config.json").write_text(json.dumps(config))
    runner = load(folder)
    assert [voice.id for voice in runner.description.voices] == ["MinSu"]
    assert speak(runner, greedy(voice="MinSu"))[0].frames > 0


def test_broken_weights_are_told_and_not_spoken(model_dir: Path) -> None:
    runner = load(model_dir / "Qwen3-TTS-12Hz-0.6B-CustomVoice")
    with torch.no_grad():
        runner._model.model.speech_tokenizer.model.decoder.decoder[-1].conv.bias.fill_(torch.nan)
    with pytest.raises(RuntimeError, match="NaN"):
        runner.self_test()
