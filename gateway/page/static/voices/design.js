// @ts-check
/** The form that has a model make a voice from a description: the voice is heard, and kept or made again. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { errorBox, field } from "../ui.js";
import { readings } from "./readings.js";

const MOST_CHARS = 300; // of the text that the new voice speaks
const EXAMPLES = [1, 2, 3];

export class Design {
  /**
   * @param {import("../main.js").App} app
   * @param {import("./preview.js").Preview} preview
   * @param {{changed: () => void, kept: (name: string) => void, closed: () => void}} calls
   */
  constructor(app, preview, { changed, kept, closed }) {
    this.#app = app;
    this.#preview = preview;
    this.#changed = changed;
    this.#kept = kept;
    this.#closed = closed;
    this.name = "";
    this.description = "";
    this.text = readings().sample;
    this.working = false;
    this.missing = "";
    /** @type {{id: string, name: string} | null} the voice that was made, which the server has registered */
    this.made = null;
    /** @type {unknown} */
    this.error = null;
  }

  #app;
  #preview;
  #changed;
  #kept;
  #closed;

  /** Make a voice, in place of the one that was made before, and let it be heard. */
  async #make() {
    this.error = null;
    this.missing = !this.description.trim() ? "description" : !this.name.trim() ? "name" : "";
    if (this.missing) return this.#changed();
    this.working = true;
    this.#changed();
    try {
      await this.#discard();
      this.made = await this.#app.api.json("v1/audio/voices", {
        json: {
          type: "prompt",
          name: this.name.trim(),
          prompt: this.description.trim(),
          ...(this.text.trim() ? { script_hint: this.text.trim() } : {}),
        },
      });
      this.#app.announce(t("voices.design_made"));
      this.#hear();
    } catch (error) {
      this.error = error;
    } finally {
      this.working = false;
      this.#changed();
    }
  }

  #hear() {
    const made = /** @type {{id: string}} */ (this.made);
    const input = this.text.trim() || readings().sample;
    return this.#preview.toggle(made.id, `v1/audio/voices/${made.id}/preview`, { input });
  }

  async #discard() {
    if (!this.made) return;
    this.#preview.stop();
    await this.#app.api.json(`v1/audio/voices/${this.made.id}`, { method: "DELETE" });
    this.made = null;
  }

  async #leave() {
    try {
      await this.#discard();
      this.#closed();
    } catch (error) {
      this.error = error;
      this.#changed();
    }
  }

  /** Return the form. */
  template() {
    const set = (/** @type {"name" | "description" | "text"} */ name) => (/** @type {any} */ event) => {
      this[name] = event.target.value;
    };
    const submit = (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      this.#make();
    };
    const example = (/** @type {string} */ text) => {
      this.description = text;
      this.#changed();
    };
    const playing = Boolean(this.made) && this.#preview.voice === this.made?.id;
    return html`
      <form class="card stack design" novalidate @submit=${submit}>
        <h2>${t("voices.design_title")}</h2>
        ${field(
          t("voices.description"),
          html`<textarea
            name="description"
            rows="3"
            placeholder=${t("voices.description_placeholder")}
            .value=${live(this.description)}
            @input=${set("description")}
          ></textarea>`,
          { error: this.missing === "description" ? t("voices.need_description") : "" },
        )}
        <div class="row examples">
          ${EXAMPLES.map((number) => {
            const text = t(`voices.example_${number}`);
            return html`<button type="button" class="button small" @click=${() => example(text)}>${text}</button>`;
          })}
        </div>
        <div class="pair">
          ${field(
            t("voices.name"),
            html`<input name="name" maxlength="128" autocomplete="off" .value=${live(this.name)} @input=${set("name")} />`,
            { error: this.missing === "name" ? t("voices.need_name") : "" },
          )}
          ${field(
            t("voices.design_text"),
            html`<textarea
              name="text"
              rows="2"
              maxlength=${MOST_CHARS}
              .value=${live(this.text)}
              @input=${set("text")}
            ></textarea>`,
            { hint: t("voices.design_text_hint") },
          )}
        </div>
        ${this.made
          ? html`<div class="notice made">
              <button
                type="button"
                class="button round play"
                aria-pressed=${playing ? "true" : "false"}
                aria-label=${playing ? t("voices.stop_name", { name: this.made.name }) : t("voices.hear_name", { name: this.made.name })}
                @click=${() => this.#hear()}
              >
                ${icon(playing ? "stop" : "play")}
              </button>
              <div><strong>${this.made.name}</strong><p class="muted">${t("voices.design_question")}</p></div>
            </div>`
          : nothing}
        ${errorBox(this.error)}
        <div class="actions">
          ${this.made
            ? html`<button
                type="button"
                class="button primary"
                data-act="keep"
                @click=${() => {
                  this.#preview.stop();
                  this.#kept(/** @type {{name: string}} */ (this.made).name);
                }}
              >
                ${icon("check")}${t("voices.keep")}
              </button>`
            : nothing}
          <button class="button ${this.made ? "" : "primary"}" data-act="make" ?disabled=${this.working}>
            ${this.working ? html`<span class="spinner" aria-hidden="true"></span>` : icon("voices")}
            ${this.working ? t("voices.designing") : this.made ? t("voices.design_again") : t("voices.design_now")}
          </button>
          <button type="button" class="button" ?disabled=${this.working} @click=${() => this.#leave()}>
            ${this.made ? t("voices.discard") : t("shell.cancel")}
          </button>
        </div>
      </form>
    `;
  }
}
