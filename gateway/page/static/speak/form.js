// @ts-check
/** The settings of speech: model, voice, language, speed, style, and the form of the file. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { formatNumber, languageName, t } from "../i18n.js";
import { icon } from "../icons.js";
import { languagesOf, supports } from "../models.js";
import { field, options } from "../ui.js";

const FORMATS = ["wav", "mp3", "opus", "aac", "flac", "pcm"];
const RATES = [8000, 16000, 24000, 44100, 48000];

/**
 * @typedef {object} Choices the values of the form
 * @property {string} model
 * @property {string} voice empty: the model's default
 * @property {string} language empty: by the voice or the text
 * @property {string} instructions
 * @property {number} speed
 * @property {string} response_format
 * @property {string} sample_rate empty: the model's
 * @property {boolean} stream
 */

/**
 * @typedef {object} FormState
 * @property {Choices} choices
 * @property {import("../models.js").Model[]} models
 * @property {import("../models.js").Voice[] | null} voices null while they are loading
 * @property {Set<string>} registered ids of the user's own voices
 * @property {boolean} previewing whether a voice is being tried
 * @property {{field: string, message: string} | null} wrong a field that the server rejected
 */

/** The values before the user chooses. @returns {Choices} */
export function initialChoices() {
  return {
    model: "",
    voice: "",
    language: "",
    instructions: "",
    speed: 1,
    response_format: "wav",
    sample_rate: "",
    stream: true,
  };
}

/** The fields of the form, as the server names them. */
export const FIELDS = ["model", "voice", "language", "instructions", "speed", "response_format", "sample_rate"];

/**
 * @param {FormState} state
 * @param {{change: (changes: Partial<Choices>) => void, preview: () => void}} actions
 */
export function settingsForm(state, { change, preview }) {
  const { choices, models } = state;
  const model = models.find(({ id }) => id === choices.model);
  /** @param {string} name */
  const error = (name) => (state.wrong?.field === name ? state.wrong.message : "");
  /** @param {keyof Choices} name @param {[string, string][]} entries */
  const select = (name, entries) => html`
    <select .value=${live(String(choices[name]))} @change=${(/** @type {any} */ event) => change({ [name]: event.target.value })}>
      ${options(entries, String(choices[name]))}
    </select>
  `;
  return html`
    ${field(t("speak.model"), select("model", models.map(({ id }) => [id, id])), { error: error("model") })}
    ${model?.mode === "voice_design" ? nothing : voiceField(state, error("voice"), change, preview)}
    ${supports(model, "instruct")
      ? field(
          model?.mode === "voice_design" ? t("speak.description") : t("speak.instructions"),
          html`<textarea
            rows="2"
            placeholder=${t("speak.instructions_example")}
            .value=${live(choices.instructions)}
            @input=${(/** @type {any} */ event) => change({ instructions: event.target.value })}
          ></textarea>`,
          { error: error("instructions") },
        )
      : nothing}
    ${supports(model, "language")
      ? field(t("speak.language"), select("language", [["", t("speak.language_auto")], ...languagesOf(model)]), {
          error: error("language"),
        })
      : nothing}
    ${field(
      html`${t("speak.speed")} <span class="value">${formatNumber(choices.speed, 2)}×</span>`,
      html`<input
        type="range"
        min="0.5"
        max="2"
        step="0.05"
        .value=${live(String(choices.speed))}
        aria-valuetext=${`${formatNumber(choices.speed, 2)}×`}
        @input=${(/** @type {any} */ event) => change({ speed: Number(event.target.value) })}
      />`,
      { error: error("speed") },
    )}
    <details ?open=${Boolean(error("response_format") || error("sample_rate"))}>
      <summary>${icon("chevron")}${t("speak.more")}</summary>
      <div class="stack">
        <div class="pair">
          ${field(t("speak.format"), select("response_format", FORMATS.map((name) => [name, name.toUpperCase()])), {
            error: error("response_format"),
          })}
          ${field(
            t("speak.rate"),
            select("sample_rate", [
              ["", t("speak.rate_auto")],
              ...RATES.map((rate) => /** @type {[string, string]} */ ([String(rate), `${formatNumber(rate / 1000, rate % 1000 ? 1 : 0)} kHz`])),
            ]),
            { error: error("sample_rate") },
          )}
        </div>
        <label class="check">
          <input
            type="checkbox"
            .checked=${live(choices.stream)}
            @change=${(/** @type {any} */ event) => change({ stream: event.target.checked })}
          />
          <span>${t("speak.stream")}</span>
        </label>
      </div>
    </details>
  `;
}

/**
 * @param {FormState} state @param {string} error @param {(changes: Partial<Choices>) => void} change
 * @param {() => void} preview
 */
function voiceField({ choices, voices, registered, previewing, models }, error, change, preview) {
  const model = models.find(({ id }) => id === choices.model);
  const clones = model?.mode === "voice_clone";
  if (clones && voices && !voices.length) {
    return html`<div class="notice">
      ${icon("voices")}
      <div>${t("speak.no_voice")} <a href="#voices">${t("speak.to_voices")}</a></div>
    </div>`;
  }
  return html`<div class="voice-row">
    ${field(
      t("speak.voice"),
      html`<select
        ?disabled=${!voices}
        .value=${live(choices.voice)}
        @change=${(/** @type {any} */ event) => change({ voice: event.target.value })}
      >
        ${clones ? nothing : html`<option value="" ?selected=${!choices.voice}>${t("speak.voice_default")}</option>`}
        ${groups(voices ?? [], registered).map(
          ([label, entries]) => html`<optgroup label=${label}>${options(entries, choices.voice)}</optgroup>`,
        )}
      </select>`,
      { error },
    )}
    <button
      type="button"
      class="button round"
      aria-label=${t("speak.preview")}
      title=${t("speak.preview")}
      aria-pressed=${previewing}
      ?disabled=${!voices}
      @click=${preview}
    >
      ${icon(previewing ? "stop" : "play")}
    </button>
  </div>`;
}

/**
 * Return the voices by language, the user's own first.
 * @param {import("../models.js").Voice[]} voices @param {Set<string>} registered
 * @returns {[string, [string, string][]][]} label, and value with name of each voice
 */
function groups(voices, registered) {
  /** @type {Map<string, [string, string][]>} */
  const found = new Map();
  const own = voices.filter(({ id }) => registered.has(id));
  for (const voice of [...own, ...voices.filter((voice) => !own.includes(voice))]) {
    const code = voice.language && voice.language !== "auto" ? voice.language : "";
    const label = own.includes(voice) ? t("speak.own_voices") : code ? languageName(code) : t("speak.all_voices");
    const name = code ? voice.name.replace(/ \([^)]*\)$/, "") : voice.name;
    found.set(label, [...(found.get(label) ?? []), [voice.id, name]]);
  }
  return [...found];
}
