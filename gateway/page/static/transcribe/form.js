// @ts-check
/** The settings of transcription: model, language, words to expect, speakers. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { formatNumber, t } from "../i18n.js";
import { icon } from "../icons.js";
import { languagesOf, supports } from "../models.js";
import { field, options } from "../ui.js";

const MOST_KNOWN = 4; // speakers that the server takes
const MOST_BYTES = 10 * 96_000 * 2 * 4; // of a recording: 10 s, uncompressed, stereo, 32 bits at 96 kHz

/**
 * @typedef {object} Choices
 * @property {string} model
 * @property {string} language empty: detected
 * @property {string} prompt
 * @property {boolean} speakers
 */
/** @typedef {{name: string, reference: string, file: string}} KnownSpeaker `reference`: a data URL; `file`: its name */
/**
 * @typedef {object} FormState
 * @property {Choices} choices
 * @property {import("../models.js").Model[]} models
 * @property {KnownSpeaker[]} known
 * @property {string} refused why the last recording of a speaker was not taken
 */

/** The values before the user chooses. @returns {Choices} */
export function initialChoices() {
  return { model: "", language: "", prompt: "", speakers: false };
}

/**
 * @param {FormState} state
 * @param {{change: (changes: Partial<Choices>) => void, setKnown: (known: KnownSpeaker[], refused?: string) => void}} actions
 */
export function settingsForm({ choices, models, known, refused }, { change, setKnown }) {
  const model = models.find(({ id }) => id === choices.model);
  /** @param {"model" | "language"} name @param {[string, string][]} entries */
  const select = (name, entries) => html`
    <select .value=${live(choices[name])} @change=${(/** @type {any} */ event) => change({ [name]: event.target.value })}>
      ${options(entries, choices[name])}
    </select>
  `;
  return html`
    ${field(t("transcribe.model"), select("model", models.map(({ id }) => [id, id])))}
    ${supports(model, "language")
      ? field(t("transcribe.language"), select("language", [["", t("transcribe.language_auto")], ...languagesOf(model)]))
      : nothing}
    ${supports(model, "prompt")
      ? field(
          t("transcribe.prompt"),
          html`<textarea
            rows="2"
            placeholder=${t("transcribe.prompt_example")}
            .value=${live(choices.prompt)}
            @input=${(/** @type {any} */ event) => change({ prompt: event.target.value })}
          ></textarea>`,
        )
      : nothing}
    <label class="check">
      <input
        type="checkbox"
        .checked=${live(choices.speakers)}
        @change=${(/** @type {any} */ event) => change({ speakers: event.target.checked })}
      />
      <span>${t("transcribe.speakers")}</span>
    </label>
    ${choices.speakers ? knownSpeakers(known, refused, setKnown) : nothing}
  `;
}

/** @param {KnownSpeaker[]} known @param {string} refused @param {(known: KnownSpeaker[], refused?: string) => void} setKnown */
function knownSpeakers(known, refused, setKnown) {
  /** @param {number} index @param {Partial<KnownSpeaker>} changes */
  const edit = (index, changes) => setKnown(known.map((one, at) => (at === index ? { ...one, ...changes } : one)));
  /** @param {File} file */
  const add = async (file) => {
    if (file.size > MOST_BYTES) {
      const most = formatNumber(MOST_BYTES / 1e6, 1);
      return setKnown(known, t("transcribe.known_too_large", { file: file.name, size: formatNumber(file.size / 1e6, 1), most }));
    }
    const reference = await dataUrl(file);
    setKnown([...known, { name: file.name.replace(/\.[^.]*$/, "").slice(0, 40), reference, file: file.name }]);
  };
  return html`
    <fieldset class="known">
      <legend>${t("transcribe.known")}</legend>
      ${known.map(
        ({ name, file }, index) => html`
          <div class="known-row">
            <input
              aria-label=${t("transcribe.known_name", { file })}
              .value=${live(name)}
              @input=${(/** @type {any} */ event) => edit(index, { name: event.target.value })}
            />
            <button
              type="button"
              class="button round quiet"
              aria-label=${t("transcribe.known_remove", { name })}
              title=${t("transcribe.known_remove", { name })}
              @click=${() => setKnown(known.filter((_, at) => at !== index))}
            >
              ${icon("close")}
            </button>
          </div>
        `,
      )}
      ${known.length < MOST_KNOWN
        ? html`<label class="button small">
            ${icon("plus")}${t("transcribe.known_add")}
            <input
              type="file"
              class="hidden"
              accept="audio/*"
              @change=${(/** @type {any} */ event) => {
                const [file] = event.target.files;
                event.target.value = "";
                if (file) add(file);
              }}
            />
          </label>`
        : nothing}
      ${refused ? html`<small class="error-text" role="alert">${refused}</small>` : nothing}
    </fieldset>
  `;
}

/** @param {File} file @returns {Promise<string>} */
function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
