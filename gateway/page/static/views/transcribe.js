// @ts-check
/** Speech to text: a file, a recording, or the microphone live. */

import { html, nothing, render } from "../vendor/lit-html/lit-html.js";
import { Recording } from "../audio/microphone.js";
import { toFloats } from "../audio/pcm.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { listModels, timesWords } from "../models.js";
import { initialChoices, settingsForm } from "../transcribe/form.js";
import { LiveSession } from "../transcribe/live.js";
import { HeardCard, liveText } from "../transcribe/live_view.js";
import { Result } from "../transcribe/result.js";
import { Transcript } from "../transcribe/transcript.js";
import { dropZone, emptyState, errorBox, errorText, loading } from "../ui.js";

const STORED = "tritone.transcribe";

function initial() {
  const choices = initialChoices();
  try {
    Object.assign(choices, JSON.parse(localStorage.getItem(STORED) ?? "{}"));
  } catch {
    // Written by another version of the page.
  }
  return {
    choices,
    /** @type {import("../transcribe/form.js").KnownSpeaker[]} */ known: [],
    /** @type {Transcript | null} */ transcript: null,
    /** @type {LiveSession | null} */ live: null,
  };
}

/** @type {import("../main.js").Mount} */
export function mount(element, app) {
  const memory = app.memory("transcribe", initial);
  /** @type {import("../models.js").Model[]} */
  let models = [];
  /** @type {unknown} */
  let failed = null; // the list of models
  /** @type {unknown} */
  let unheard = null; // the microphone
  let refused = ""; // why the last recording of a speaker was not taken
  let isLoading = true;
  /** @type {Result | null} */
  let result = memory.transcript && new Result(memory.transcript, app);
  /** @type {Recording | null} */
  let recording = null;
  /** @type {HeardCard | null} */
  let heard = null;
  let mounted = true;

  const draw = () => mounted && render(template(), element);

  async function load() {
    isLoading = true;
    failed = null;
    draw();
    try {
      models = await listModels(app.api, "transcription");
      if (!models.some(({ id }) => id === memory.choices.model)) {
        Object.assign(memory.choices, { model: models[0]?.id ?? "", language: "" });
      }
    } catch (error) {
      failed = error;
    }
    isLoading = false;
    draw();
  }

  /** @param {Partial<import("../transcribe/form.js").Choices>} changes */
  function change(changes) {
    Object.assign(memory.choices, changes, "model" in changes ? { language: "" } : {});
    localStorage.setItem(STORED, JSON.stringify(memory.choices));
    draw();
  }

  /** @param {File} file */
  async function transcribe(file) {
    stop();
    result?.close();
    memory.live = null;
    const words = timesWords(models.find(({ id }) => id === memory.choices.model));
    const transcript = new Transcript(file, { ...memory.choices, words, known: memory.known });
    memory.transcript = transcript;
    result = new Result(transcript, app);
    const running = transcript.run(app.api);
    app.announce(t("transcribe.running"));
    draw();
    await running;
    app.announce(transcript.error ? errorText(transcript.error) : t("transcribe.done"));
    draw();
  }

  async function record() {
    stop();
    unheard = memory.live = null;
    const made = new Recording((self, samples) => heard?.push(toFloats(samples), self.seconds));
    recording = made;
    showHeard(t("transcribe.recording"), t("transcribe.record_done"), finish);
    await made.start().catch((error) => {
      unheard = error;
      recording = null;
    });
    if (recording !== made) made.cancel();
    draw();
  }

  /** Transcribe the recording that is being made. */
  function finish() {
    const made = recording;
    if (!made) return;
    const file = new File([made.stop()], `${t("transcribe.recording")}.wav`, { type: "audio/wav" });
    recording = null;
    if (made.seconds) transcribe(file);
    else draw();
  }

  async function listen() {
    stop();
    unheard = null;
    result?.close();
    result = memory.transcript = null;
    const session = new LiveSession(memory.choices);
    memory.live = session;
    showHeard(t("transcribe.live"), t("transcribe.stop"), () => session.stop());
    session.addEventListener("samples", (/** @type {any} */ event) => heard?.push(event.detail, session.seconds));
    session.addEventListener("change", draw);
    await session.start(app.api);
    draw();
  }

  /** @param {string} title @param {string} stopText @param {() => void} stopped */
  function showHeard(title, stopText, stopped) {
    heard?.close();
    heard = new HeardCard({ title, stopText, stop: stopped });
    draw();
  }

  /** Stop what runs; a recording that is being made is thrown away. */
  function stop() {
    memory.transcript?.stop();
    result?.player.pause();
    if (memory.live && memory.live.state !== "ended") memory.live.stop();
    recording?.cancel();
    recording = null;
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
    if (recording) return finish(); // as the button, whose key it is
    stop();
    draw();
  }

  /** Take a file that misses the marked place, too. @param {DragEvent} event */
  function dropAnywhere(event) {
    const file = event.defaultPrevented ? null : event.dataTransfer?.files[0];
    if (file) transcribe(file);
  }

  function template() {
    const title = html`<h1>${t("transcribe.title")}</h1>`;
    if (failed) return html`${title}${errorBox(failed, load)}`;
    if (!isLoading && !models.length) return html`${title}${emptyState("transcribe", t("transcribe.no_models"))}`;
    return html`
      ${title}
      <div class="columns">
        <section class="stack">
          <div class="card">${recording || isListening() ? heard?.element : input()}</div>
          ${errorBox(unheard)}
          ${memory.live ? liveText(memory.live, forget) : result ? result.element : nothing}
          ${memory.live || result ? nothing : emptyState("transcribe", t("transcribe.empty"))}
        </section>
        <section class="card stack settings" aria-label=${t("transcribe.settings")}>
          ${models.length ? settingsForm({ ...memory, models, refused }, { change, setKnown }) : loading()}
        </section>
      </div>
    `;
  }

  function isListening() {
    return memory.live && (memory.live.state === "opening" || memory.live.state === "listening");
  }

  function forget() {
    memory.live = null;
    draw();
  }

  /** @param {import("../transcribe/form.js").KnownSpeaker[]} known @param {string} [problem] */
  function setKnown(known, problem = "") {
    memory.known = known;
    refused = problem;
    draw();
  }

  function input() {
    return html`
      ${dropZone({ text: t("transcribe.drop"), hint: t("transcribe.drop_hint"), chosen: transcribe })}
      <div class="row sources">
        <button type="button" class="button" ?disabled=${isLoading} @click=${record}>
          ${icon("record")}${t("transcribe.record")}
        </button>
        <button type="button" class="button" ?disabled=${isLoading} @click=${listen}>
          ${icon("microphone")}${t("transcribe.listen")}
        </button>
      </div>
    `;
  }

  addEventListener("keydown", key);
  element.addEventListener("drop", dropAnywhere);
  draw();
  load();
  return () => {
    mounted = false;
    removeEventListener("keydown", key);
    stop();
    result?.close();
    heard?.close();
  };
}
