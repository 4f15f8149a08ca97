// @ts-check
/** The view of voices: those of the models and the user's own, which it records, registers, designs and deletes. */

import { html, nothing, render } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { errorBox, loading } from "../ui.js";
import { readCatalogue } from "../voices/catalogue.js";
import { confirmed } from "../confirm.js";
import { Design } from "../voices/design.js";
import { consentList, modelVoices, ownVoices } from "../voices/lists.js";
import { Preview } from "../voices/preview.js";
import { Registration } from "../voices/register.js";

/** @type {import("../main.js").Mount} */
export function mount(element, app) {
  const view = new VoicesView(element, app);
  view.load();
  return () => view.close();
}

class VoicesView {
  /** @param {HTMLElement} element @param {import("../main.js").App} app */
  constructor(element, app) {
    this.#element = element;
    this.#app = app;
    this.#preview = new Preview(app.api, () => this.#draw());
  }

  #element;
  #app;
  #preview;
  #query = "";
  /** @type {import("../voices/catalogue.js").Catalogue | null} */
  #catalogue = null;
  /** @type {Registration | Design | null} the form that is open */
  #form = null;
  /** @type {unknown} */
  #error = null;
  #closed = false;

  async load() {
    this.#draw();
    try {
      this.#catalogue = await readCatalogue(this.#app.api);
      this.#error = null;
    } catch (error) {
      this.#error = error;
    }
    this.#draw();
  }

  close() {
    this.#closed = true;
    this.#preview.stop();
    if (this.#form instanceof Registration) this.#form.close();
  }

  /** @param {"record" | "design"} kind */
  #open(kind) {
    if (this.#form instanceof Registration) this.#form.close();
    const [changed, closed] = [() => this.#draw(), () => this.#shut()];
    const done = (/** @type {string} */ name) => {
      this.#app.announce(t("voices.registered_name", { name }));
      this.#shut();
      this.load();
    };
    this.#form =
      kind === "record"
        ? new Registration(this.#app, { changed, closed, registered: done })
        : new Design(this.#app, this.#preview, { changed, closed, kept: done });
    this.#draw();
    const first = this.#element.querySelector("form input, form textarea");
    /** @type {HTMLElement | null} */ (first)?.focus();
  }

  #shut() {
    this.#form = null;
    this.#draw();
    /** @type {HTMLElement | null} */ (this.#element.querySelector(".head .button"))?.focus();
  }

  /** @param {import("../voices/catalogue.js").OwnVoice} voice */
  async #remove(voice) {
    const { consents = [], own = [] } = this.#catalogue ?? {};
    const shared = own.some((other) => other.id !== voice.id && other.consent === voice.consent);
    const consent = shared ? null : consents.find((each) => each.id === voice.consent);
    const answer = await confirmed({
      title: t("voices.delete_title", { name: voice.name }),
      text: t("voices.delete_text"),
      option: consent ? t("voices.delete_consent_too", { name: consent.name }) : "",
      act: t("voices.delete"),
    });
    if (!answer) return;
    await this.#act(async () => {
      this.#preview.stop();
      await this.#app.api.json(`v1/audio/voices/${voice.id}`, { method: "DELETE" });
      if (consent && answer.option) await this.#app.api.json(`v1/audio/voice_consents/${consent.id}`, { method: "DELETE" });
      this.#app.announce(t("voices.deleted_name", { name: voice.name }));
    });
  }

  /** @param {import("../voices/catalogue.js").Consent} consent */
  async #removeConsent(consent) {
    const title = t("voices.delete_title", { name: consent.name });
    if (!(await confirmed({ title, text: t("voices.delete_consent_text"), act: t("voices.delete") }))) return;
    await this.#act(async () => {
      await this.#app.api.json(`v1/audio/voice_consents/${consent.id}`, { method: "DELETE" });
    });
  }

  /** @param {() => Promise<void>} change */
  async #act(change) {
    try {
      await change();
    } catch (error) {
      this.#error = error;
      return this.#draw();
    }
    await this.load();
  }

  #draw() {
    if (!this.#closed) render(this.#template(), this.#element);
  }

  #template() {
    const catalogue = this.#catalogue;
    return html`
      <div class="head row">
        <h1>${t("voices.title")}</h1>
        <div class="row spread">
          <button type="button" class="button primary" data-act="new" @click=${() => this.#open("record")}>
            ${icon("plus")}${t("voices.new")}
          </button>
          <button
            type="button"
            class="button"
            data-act="design"
            ?disabled=${!catalogue?.designing.length}
            @click=${() => this.#open("design")}
          >
            ${icon("voices")}${t("voices.design")}
          </button>
        </div>
      </div>
      ${errorBox(this.#error, () => this.load())}
      ${catalogue ? this.#hints(catalogue) : this.#error ? nothing : loading()}
      ${this.#form instanceof Registration ? this.#form.template(catalogue?.consents ?? []) : (this.#form?.template() ?? nothing)}
      ${catalogue ? this.#lists(catalogue) : nothing}
    `;
  }

  /** @param {import("../voices/catalogue.js").Catalogue} catalogue */
  #hints(catalogue) {
    const missing = [...(catalogue.designing.length ? [] : ["voice_design"]), ...(catalogue.cloning.length ? [] : ["voice_clone"])];
    if (!missing.length) return nothing;
    const kind = catalogue.cloning.length ? "designing" : "cloning";
    const setting = `TTS_MODES=${[...catalogue.speaking, ...missing].join(",")}`;
    return html`<div class="notice">
      ${icon("settings")}
      <div>
        <p>${t(`voices.no_${kind}`)}</p>
        <p class="muted">${t(`voices.no_${kind}_how`)} <code>${setting}</code></p>
      </div>
    </div>`;
  }

  /** @param {import("../voices/catalogue.js").Catalogue} catalogue */
  #lists(catalogue) {
    return html`
      <div class="field search">
        <input
          type="search"
          aria-label=${t("voices.search")}
          placeholder=${t("voices.search")}
          .value=${live(this.#query)}
          @input=${(/** @type {any} */ event) => {
            this.#query = event.target.value;
            this.#draw();
          }}
        />
      </div>
      ${errorBox(this.#preview.error)}
      <section class="stack" aria-labelledby="own-voices">
        <h2 id="own-voices">${t("voices.own")}</h2>
        ${ownVoices(catalogue, this.#query, this.#preview, { remove: (voice) => this.#remove(voice) })}
        ${consentList(catalogue, (consent) => this.#removeConsent(consent))}
      </section>
      <section class="stack" aria-labelledby="model-voices">
        <h2 id="model-voices">${t("voices.of_models")}</h2>
        ${modelVoices(catalogue, this.#query, this.#preview)}
      </section>
    `;
  }
}
