// @ts-check
/** The form that registers a voice from a recording, with the words of it and the speaker's consent. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { ApiError, isAbort } from "../api.js";
import { languageName, t } from "../i18n.js";
import { icon } from "../icons.js";
import { errorBox, field, options } from "../ui.js";
import { READING_LANGUAGES, pageLanguage, readings } from "./readings.js";
import { Recorder, recorderField } from "./recorder.js";

const MOST_CHARS = 128; // of a name
/** The request's field -> the part of the form that it is about. @type {Record<string, string>} */
const PART = { name: "name", audio_sample: "sample", recording: "consent", consent: "consent", ref_text: "words" };

export class Registration {
  /**
   * @param {import("../main.js").App} app
   * @param {{changed: () => void, registered: (name: string) => void, closed: () => void}} calls
   */
  constructor(app, { changed, registered, closed }) {
    this.#app = app;
    this.#changed = changed;
    this.#registered = registered;
    this.#closed = closed;
    this.sample = new Recorder(changed, (file) => this.#propose(file));
    this.consent = new Recorder(changed);
    this.name = "";
    this.language = pageLanguage();
    this.words = "";
    this.timbreOnly = false;
    /** "record", "none", or the id of a consent that is kept. */
    this.agreed = "record";
    /** @type {"idle" | "listening" | "proposed" | "failed"} whether words were proposed */
    this.proposal = "idle";
    this.sending = false;
    /** @type {unknown} */
    this.error = null;
    this.missing = "";
  }

  #app;
  #changed;
  #registered;
  #closed;
  /** @type {AbortController | null} */
  #listening = null;

  /** Stop everything that goes on. */
  close() {
    this.#listening?.abort();
    this.sample.clear();
    this.consent.clear();
  }

  /** Ask the served transcription model for the words of the recording. @param {File} file */
  async #propose(file) {
    this.#listening?.abort();
    const request = new AbortController();
    this.#listening = request;
    this.proposal = "listening";
    const before = this.words;
    this.#changed();
    try {
      const { text } = await this.#app.api.json("v1/audio/transcriptions", {
        form: formOf({ file, language: this.language, response_format: "json" }),
        signal: request.signal,
      });
      if (this.#listening !== request) return;
      const isUntouched = this.words === before; // the user may have begun to write
      if (isUntouched) this.words = text.trim();
      this.proposal = isUntouched ? "proposed" : "idle";
    } catch (error) {
      if (isAbort(error)) return;
      this.proposal = "failed";
    }
    this.#changed();
  }

  /** @param {SubmitEvent} event */
  async #submit(event) {
    event.preventDefault();
    this.error = null;
    this.missing = !this.name.trim()
      ? "name"
      : !this.sample.file
        ? "sample"
        : this.agreed === "record" && !this.consent.file
          ? "consent"
          : "";
    if (this.missing) {
      this.#changed();
      const part = /** @type {HTMLElement} */ (event.target).querySelector(`[data-part="${this.missing}"]`);
      /** @type {HTMLElement | null} */ (part?.querySelector("input, button") ?? null)?.focus();
      return;
    }
    this.sending = true;
    this.#changed();
    try {
      const consent = await this.#consentId();
      await this.#app.api.json("v1/audio/voices", {
        form: formOf({
          name: this.name.trim(),
          audio_sample: /** @type {File} */ (this.sample.file),
          ...(consent ? { consent } : {}),
          ...(this.words.trim() && !this.timbreOnly ? { ref_text: this.words.trim() } : {}),
          ...(this.timbreOnly ? { x_vector_only: "true" } : {}),
        }),
      });
      this.close();
      this.#registered(this.name.trim());
    } catch (error) {
      this.error = error;
    } finally {
      this.sending = false;
      this.#changed();
    }
  }

  /** Return the id of the consent; one that was recorded is kept first. */
  async #consentId() {
    if (this.agreed === "none") return "";
    if (this.agreed !== "record") return this.agreed;
    const recording = /** @type {File} */ (this.consent.file);
    const name = t("voices.consent_of", { name: this.name.trim() });
    const made = await this.#app.api.json("v1/audio/voice_consents", {
      form: formOf({ name, language: this.language, recording }),
    });
    this.agreed = made.id; // a second try, after an error in the voice, does not keep it again
    this.kept = { id: made.id, name };
    return made.id;
  }

  /** @type {{id: string, name: string} | null} */
  kept = null;

  /** Return the form. @param {import("./catalogue.js").Consent[]} consents */
  template(consents) {
    const texts = readings(this.language);
    const wrong = this.error instanceof ApiError ? (PART[this.error.field] ?? "") : "";
    const change = (/** @type {Partial<Registration>} */ values) => {
      Object.assign(this, values);
      this.#changed();
    };
    const known = [...(this.kept ? [this.kept] : []), ...consents.filter((each) => each.id !== this.kept?.id)];
    return html`
      <form class="card stack register" novalidate @submit=${(/** @type {SubmitEvent} */ event) => this.#submit(event)}>
        <h2>${t("voices.new_title")}</h2>
        <div class="pair">
          <div data-part="name">
            ${field(
              t("voices.name"),
              html`<input
                name="name"
                maxlength=${MOST_CHARS}
                autocomplete="off"
                .value=${live(this.name)}
                @input=${(/** @type {any} */ event) => (this.name = event.target.value)}
              />`,
              { error: this.missing === "name" ? t("voices.need_name") : "" },
            )}
          </div>
          ${field(
            t("voices.language"),
            html`<select
              name="language"
              @change=${(/** @type {any} */ event) => change({ language: event.target.value })}
            >
              ${options(READING_LANGUAGES.map((code) => [code, languageName(code)]), this.language)}
            </select>`,
          )}
        </div>

        <fieldset data-part="sample" class=${wrong === "sample" || this.missing === "sample" ? "wrong" : ""}>
          <legend><span class="step">1</span>${t("voices.sample")}</legend>
          <p class="muted">${t("voices.sample_hint")}</p>
          ${recorderField(this.sample, { text: texts.read, language: texts.tag, id: "sample" })}
          ${this.missing === "sample" ? html`<small class="error-text">${t("voices.need_sample")}</small>` : nothing}
        </fieldset>

        <fieldset data-part="words">
          <legend><span class="step">2</span>${t("voices.words")}</legend>
          <textarea
            name="words"
            rows="3"
            lang=${this.language}
            aria-label=${t("voices.words")}
            placeholder=${t("voices.words_placeholder")}
            ?disabled=${this.timbreOnly}
            .value=${live(this.words)}
            @input=${(/** @type {any} */ event) => (this.words = event.target.value)}
          ></textarea>
          <p class="muted" role="status">${this.proposal === "idle" ? t("voices.words_hint") : t(`voices.words_${this.proposal}`)}</p>
          <label class="check">
            <input
              type="checkbox"
              .checked=${live(this.timbreOnly)}
              @change=${(/** @type {any} */ event) => change({ timbreOnly: event.target.checked })}
            />
            <span>${t("voices.timbre_only")}</span>
          </label>
        </fieldset>

        <fieldset data-part="consent" class=${wrong === "consent" || this.missing === "consent" ? "wrong" : ""}>
          <legend><span class="step">3</span>${t("voices.consent")}</legend>
          ${field(
            t("voices.consent_which"),
            html`<select name="consent" @change=${(/** @type {any} */ event) => change({ agreed: event.target.value })}>
              ${options(
                [
                  ["record", t("voices.consent_record")],
                  ...known.map((each) => /** @type {[string, string]} */ ([each.id, each.name])),
                  ["none", t("voices.consent_none")],
                ],
                this.agreed,
              )}
            </select>`,
            { hint: this.agreed === "none" ? t("voices.consent_none_hint") : "" },
          )}
          ${this.agreed === "record"
            ? recorderField(this.consent, { text: texts.consent, language: texts.tag, id: "consent" })
            : nothing}
          ${this.missing === "consent" ? html`<small class="error-text">${t("voices.need_consent")}</small>` : nothing}
        </fieldset>

        ${errorBox(this.error)}
        <div class="actions">
          <button class="button primary" data-act="register" ?disabled=${this.sending}>
            ${this.sending ? html`<span class="spinner" aria-hidden="true"></span>` : icon("check")}
            ${this.sending ? t("voices.registering") : t("voices.register")}
          </button>
          <button
            type="button"
            class="button"
            @click=${() => {
              this.close();
              this.#closed();
            }}
          >
            ${t("shell.cancel")}
          </button>
        </div>
      </form>
    `;
  }
}

/** @param {Record<string, string | File>} fields */
function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return form;
}
