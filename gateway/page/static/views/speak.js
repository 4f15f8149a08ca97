// @ts-check
/** Text to speech: the text, the settings, and the speeches of this session. */

import { html, nothing, render } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { ApiError } from "../api.js";
import { audioContext } from "../audio/player.js";
import { formatNumber, language, t } from "../i18n.js";
import { icon } from "../icons.js";
import { listModels, listVoices, timesWords } from "../models.js";
import { Clip } from "../speak/clip.js";
import { example } from "../speak/examples.js";
import { FIELDS, initialChoices, settingsForm } from "../speak/form.js";
import { Speech } from "../speak/speech.js";
import { emptyState, errorBox, errorText, loading } from "../ui.js";

const STORED = "tritone.speak";
const KEPT = 20; // speeches of the session, with their samples

function initial() {
  const choices = initialChoices();
  try {
    Object.assign(choices, JSON.parse(localStorage.getItem(STORED) ?? "{}"));
  } catch {
    // Written by another version of the page.
  }
  return {
    text: "",
    choices,
    /** @type {Speech[]} */ speeches: [],
    /** @type {number | null} */ limit: null,
  };
}

/** @type {import("../main.js").Mount} */
export function mount(element, app) {
  const memory = app.memory("speak", initial);
  const state = {
    choices: memory.choices,
    /** @type {import("../models.js").Model[]} */ models: [],
    /** @type {import("../models.js").Voice[] | null} */ voices: null,
    registered: new Set(),
    previewing: false,
    /** @type {{field: string, message: string} | null} */ wrong: null,
    /** @type {unknown} */ failed: null,
    isLoading: true,
  };
  /** @type {Map<Speech, Clip>} */
  const clips = new Map();
  /** @type {Speech | null} */
  let trial = null;
  let mounted = true;

  const draw = () => mounted && render(template(), element);

  async function load() {
    state.isLoading = true;
    state.failed = null;
    draw();
    try {
      state.models = await listModels(app.api, "speech");
      if (!state.models.some(({ id }) => id === memory.choices.model)) {
        Object.assign(memory.choices, { model: state.models[0]?.id ?? "", voice: "", language: "" });
      }
      if (memory.choices.model) await loadVoices();
    } catch (error) {
      state.failed = error;
    }
    state.isLoading = false;
    draw();
  }

  async function loadVoices() {
    const { model } = memory.choices;
    state.voices = null;
    draw();
    const found = await listVoices(app.api, model);
    if (model !== memory.choices.model) return;
    Object.assign(state, found);
    if (!found.voices.some(({ id }) => id === memory.choices.voice)) {
      const clones = state.models.find(({ id }) => id === model)?.mode === "voice_clone";
      memory.choices.voice = clones ? (found.voices[0]?.id ?? "") : "";
    }
  }

  /** @param {Partial<import("../speak/form.js").Choices>} changes */
  async function change(changes) {
    Object.assign(memory.choices, changes);
    localStorage.setItem(STORED, JSON.stringify(memory.choices));
    if (state.wrong && state.wrong.field in changes) state.wrong = null;
    draw();
    if (!("model" in changes)) return;
    memory.choices.language = "";
    try {
      await loadVoices();
    } catch (error) {
      state.failed = error;
    }
    draw();
  }

  /** @param {string} input */
  function newSpeech(input) {
    const { language: code, instructions, sample_rate, voice, ...rest } = memory.choices;
    return new Speech({
      ...rest,
      input,
      voice,
      words: timesWords(state.models.find(({ id }) => id === rest.model)),
      ...(code ? { language: code } : {}),
      ...(instructions ? { instructions } : {}),
      ...(sample_rate ? { sample_rate: Number(sample_rate) } : {}),
    });
  }

  async function speak() {
    if (!memory.text.trim() || !memory.choices.model) return;
    stop();
    audioContext(); // within the click, or the browser keeps it silent
    const speech = newSpeech(memory.text);
    memory.speeches = [speech, ...memory.speeches].slice(0, KEPT);
    state.wrong = null;
    app.announce(t("speak.speaking"));
    const running = speech.run(app.api);
    draw();
    await running;
    if (speech.error instanceof ApiError) note(speech, speech.error);
    app.announce(speech.error ? errorText(speech.error) : speech.state === "done" ? t("speak.done") : t("speak.stopped"));
    draw();
  }

  /** Show an error of a field at the field. @param {Speech} speech @param {ApiError} error */
  function note(speech, error) {
    if (error.field !== "input" && !FIELDS.includes(error.field)) return;
    state.wrong = { field: error.field, message: error.message };
    const limit = /at most (\d+)/.exec(error.message);
    if (error.field === "input" && limit) memory.limit = Number(limit[1]);
    if (!speech.player.duration) memory.speeches = memory.speeches.filter((other) => other !== speech);
  }

  function stop() {
    trial?.stop();
    for (const speech of memory.speeches) {
      if (speech.running) speech.stop();
      else speech.player.pause();
    }
  }

  async function preview() {
    const wasTrying = state.previewing;
    stop();
    if (wasTrying) return;
    audioContext();
    const voice = state.voices?.find(({ id }) => id === memory.choices.voice);
    trial = newSpeech(example(memory.choices.language || voice?.language, language()));
    trial.player.addEventListener("change", () => {
      const tries = Boolean(trial && (trial.running || trial.player.playing));
      if (tries !== state.previewing) {
        state.previewing = tries;
        draw();
      }
    });
    state.previewing = true;
    draw();
    await trial.run(app.api);
    if (trial.error instanceof ApiError) note(trial, trial.error);
    state.previewing = trial.player.playing;
    draw();
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      speak();
    } else if (event.key === "Escape" && !document.querySelector("dialog[open]")) stop();
  }

  /** @param {Speech} speech */
  function clip(speech) {
    const remove = () => {
      speech.stop();
      memory.speeches = memory.speeches.filter((other) => other !== speech);
      draw();
    };
    if (!clips.has(speech)) clips.set(speech, new Clip(speech, { remove }));
    return /** @type {Clip} */ (clips.get(speech)).element;
  }

  function forgetClips() {
    for (const [speech, shown] of clips) {
      if (memory.speeches.includes(speech)) continue;
      shown.close();
      clips.delete(speech);
    }
  }

  function template() {
    forgetClips();
    if (state.failed && !state.models.length) return html`<h1>${t("speak.title")}</h1>${errorBox(state.failed, load)}`;
    if (!state.isLoading && !state.models.length) {
      return html`<h1>${t("speak.title")}</h1>${emptyState("speak", t("speak.no_models"))}`;
    }
    return html`
      <h1>${t("speak.title")}</h1>
      <div class="columns">
        <section class="stack">${composer()} ${errorBox(state.failed, load)} ${speeches()}</section>
        <section class="card stack settings" aria-label=${t("speak.settings")}>
          ${state.models.length ? settingsForm(state, { change, preview }) : loading()}
        </section>
      </div>
    `;
  }

  function composer() {
    const wrong = state.wrong?.field === "input" ? state.wrong.message : "";
    const running = memory.speeches.some((speech) => speech.running);
    const length = [...memory.text].length;
    const count = memory.limit ? `${formatNumber(length)} / ${formatNumber(memory.limit)}` : formatNumber(length);
    return html`
      <div class="card composer ${wrong ? "wrong" : ""}">
        <label class="hidden" for="text">${t("speak.text")}</label>
        <textarea
          id="text"
          rows="7"
          placeholder=${t("speak.placeholder")}
          aria-describedby="text-count"
          .value=${live(memory.text)}
          @input=${(/** @type {any} */ event) => {
            memory.text = event.target.value;
            if (wrong) state.wrong = null;
            draw();
          }}
        ></textarea>
        ${wrong ? html`<p class="error-text" role="alert">${wrong}</p>` : nothing}
        <div class="row">
          <span id="text-count" class="muted count ${memory.limit && length > memory.limit ? "error-text" : ""}">
            ${t("speak.characters", { count })}
          </span>
          <span class="spread"></span>
          ${memory.text
            ? html`<button type="button" class="button quiet" @click=${() => setText("")}>${t("speak.clear")}</button>`
            : html`<button type="button" class="button quiet" @click=${insertExample}>${t("speak.example")}</button>`}
          ${running
            ? html`<button type="button" class="button primary" aria-keyshortcuts="Escape" title=${t("speak.stop_title")} @click=${stop}>
                ${icon("stop")}${t("speak.stop")}
              </button>`
            : html`<button
                type="button"
                class="button primary"
                aria-keyshortcuts="Control+Enter"
                title=${t("speak.speak_title")}
                ?disabled=${!memory.text.trim() || !memory.choices.model}
                @click=${speak}
              >
                ${icon("speak")}${t("speak.speak")}
              </button>`}
        </div>
      </div>
    `;
  }

  function insertExample() {
    const voice = state.voices?.find(({ id }) => id === memory.choices.voice);
    setText(example(memory.choices.language || voice?.language || "en", language()));
  }

  /** @param {string} text */
  function setText(text) {
    memory.text = text;
    draw();
    /** @type {HTMLElement | null} */ (element.querySelector("#text"))?.focus();
  }

  function speeches() {
    if (!memory.speeches.length) return emptyState("speak", t("speak.empty"));
    return html`<div class="stack" role="list" aria-label=${t("speak.history")}>
      ${repeat(memory.speeches, ({ id }) => id, (speech) => html`<div role="listitem">${clip(speech)}</div>`)}
    </div>`;
  }

  addEventListener("keydown", key);
  draw();
  load();
  return () => {
    mounted = false;
    removeEventListener("keydown", key);
    stop();
    for (const shown of clips.values()) shown.close();
  };
}
