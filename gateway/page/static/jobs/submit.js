// @ts-check
/** The form that creates jobs: the transcription of recordings, or the speech of a long text. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { heardLanguages, modelEntries, speakerOf } from "../choices.js";
import { formatNumber, t } from "../i18n.js";
import { icon } from "../icons.js";
import { dropZone, errorBox, field, options } from "../ui.js";
import { keepTitle } from "./titles.js";

const SOUNDS = ["mp3", "opus", "aac", "flac", "wav"];

/** @typedef {import("../choices.js").Choices} Choices */

/** The values of the form, which outlive the view. */
export const INITIAL = {
  kind: /** @type {"transcription" | "speech"} */ ("transcription"),
  files: /** @type {File[]} */ ([]),
  text: "",
  model: "",
  language: "",
  diarize: false,
  speaker: "",
  voice: "",
  sound: "mp3",
};

export class Submission {
  /**
   * @param {import("../api.js").Api} api @param {typeof INITIAL} values
   * @param {{changed: () => void, created: () => void}} calls
   */
  constructor(api, values, { changed, created }) {
    this.#api = api;
    this.values = values;
    this.#changed = changed;
    this.#created = created;
    this.sending = false;
    /** @type {unknown} */
    this.error = null;
  }

  #api;
  #changed;
  #created;

  /** Create the jobs of the form: one for each file, or one for the text. @param {Choices} choices */
  async #send(choices) {
    this.sending = true;
    this.error = null;
    this.#changed();
    try {
      if (this.values.kind === "speech") await this.#speak(choices);
      else await this.#transcribe();
    } catch (error) {
      this.error = error;
    } finally {
      this.sending = false;
      this.#changed();
      this.#created();
    }
  }

  async #transcribe() {
    const { values } = this;
    while (values.files.length) {
      const [file] = values.files;
      const form = new FormData();
      if (values.model) form.append("model", values.model);
      if (values.language) form.append("language", values.language);
      form.append("response_format", values.diarize ? "diarized_json" : "json"); // any other can be asked for later
      form.append("file", file);
      const job = await this.#api.json("v1/audio/jobs", { form });
      keepTitle(job.id, file.name);
      values.files = values.files.filter((each) => each !== file);
    }
  }

  /** @param {Choices} choices */
  async #speak(choices) {
    const { values } = this;
    const { model, voice } = speakerOf(choices, values);
    const json = { input: values.text, response_format: values.sound, ...(model && { model }), ...(voice && { voice }) };
    const job = await this.#api.json("v1/audio/jobs", { json });
    keepTitle(job.id, values.text.trim().split("\n")[0]);
    values.text = "";
  }

  /** Return the form. @param {Choices} choices */
  template(choices) {
    const { values } = this;
    const speech = values.kind === "speech";
    const ready = speech ? Boolean(values.text.trim()) : values.files.length > 0;
    const submit = (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      if (ready && !this.sending) this.#send(choices);
    };
    return html`
      <form class="card stack submit" @submit=${submit}>
        <div class="kinds" role="group" aria-label=${t("jobs.kind")}>
          ${/** @type {const} */ (["transcription", "speech"]).map(
            (kind) => html`<button
              type="button"
              class="button"
              aria-pressed=${values.kind === kind ? "true" : "false"}
              @click=${() => this.#set({ kind })}
            >
              ${icon(kind === "speech" ? "speak" : "transcribe")}${t(`jobs.new_${kind}`)}
            </button>`,
          )}
        </div>
        ${speech ? this.#speech(choices) : this.#transcription(choices)}
        ${errorBox(this.error)}
        <div class="actions">
          <button class="button primary" data-act="submit" ?disabled=${!ready || this.sending}>
            ${this.sending ? html`<span class="spinner" aria-hidden="true"></span>` : icon("jobs")}
            ${this.sending ? t("jobs.sending") : t("jobs.submit")}
          </button>
        </div>
      </form>
    `;
  }

  /** @param {Choices} choices */
  #transcription(choices) {
    const { values } = this;
    return html`
      ${dropZone({
        text: t("jobs.drop"),
        hint: t("jobs.drop_hint"),
        many: true,
        chosen: (file) => this.#set({ files: [...values.files, file] }),
      })}
      ${values.files.length
        ? html`<ul class="files">
            ${values.files.map(
              (file) => html`<li class="chip">
                ${icon("file")}<span>${file.name}</span>
                <button
                  type="button"
                  aria-label=${t("jobs.remove_file", { name: file.name })}
                  @click=${() => this.#set({ files: values.files.filter((each) => each !== file) })}
                >
                  ${icon("close")}
                </button>
              </li>`,
            )}
          </ul>`
        : nothing}
      <div class="three">
        ${this.#select("model", t("jobs.model"), [["", t("jobs.first_model")], ...modelEntries(choices.transcribing)])}
        ${this.#select("language", t("jobs.language"), [["", t("jobs.detect")], ...heardLanguages(choices, values.model)])}
        <label class="check">
          <input
            type="checkbox"
            name="diarize"
            .checked=${live(values.diarize)}
            @change=${(/** @type {any} */ event) => this.#set({ diarize: event.target.checked })}
          />
          <span>${t("jobs.diarize")}</span>
        </label>
      </div>
    `;
  }

  /** @param {Choices} choices */
  #speech(choices) {
    const { values } = this;
    const { model, voice, voices } = speakerOf(choices, values);
    return html`
      ${field(
        t("jobs.text"),
        html`<textarea
          name="text"
          rows="6"
          placeholder=${t("jobs.text_placeholder")}
          .value=${live(values.text)}
          @input=${(/** @type {any} */ event) => this.#set({ text: event.target.value })}
        ></textarea>`,
        { hint: t("jobs.characters", { count: formatNumber(values.text.length) }) },
      )}
      <label class="button small file">
        ${icon("file")}${t("jobs.text_file")}
        <input
          type="file"
          class="hidden"
          accept=".txt,.md,text/plain"
          @change=${async (/** @type {any} */ event) => {
            const [file] = event.target.files;
            event.target.value = "";
            if (file) this.#set({ text: await file.text() });
          }}
        />
      </label>
      <div class="three">
        ${this.#select("speaker", t("jobs.model"), modelEntries(choices.speaking), model)}
        ${this.#select("voice", t("jobs.voice"), voices.map((each) => [each.id, each.name]), voice)}
        ${this.#select("sound", t("jobs.sound"), SOUNDS.map((sound) => [sound, sound]))}
      </div>
    `;
  }

  /**
   * @param {"model" | "language" | "speaker" | "voice" | "sound"} name @param {string} label
   * @param {[string, string][]} entries @param {string} [chosen]
   */
  #select(name, label, entries, chosen = this.values[name]) {
    return field(
      label,
      html`<select name=${name} @change=${(/** @type {any} */ event) => this.#set({ [name]: event.target.value })}>
        ${options(entries, chosen)}
      </select>`,
    );
  }

  /** @param {Partial<typeof INITIAL>} changes */
  #set(changes) {
    Object.assign(this.values, changes);
    this.#changed();
  }
}
