// @ts-check
/** The API key: asked for when the server wants one, kept for this tab or, if the user says so, in this browser. */

import { html, render } from "./vendor/lit-html/lit-html.js";
import { t } from "./i18n.js";

const STORED = "tritone.key";
const SENDABLE = "\\s*[!-~]*\\s*"; // a header holds nothing else: what is copied from a text may hold a long hyphen

export class Keys {
  /** @type {Promise<boolean> | null} */
  #asked = null;

  /** The key; empty without one. */
  get key() {
    return sessionStorage.getItem(STORED) ?? localStorage.getItem(STORED) ?? "";
  }

  /** Whether the key outlives this tab. */
  get remembered() {
    return localStorage.getItem(STORED) !== null;
  }

  /** Keep a key; an empty one removes it. @param {string} key @param {boolean} remember */
  set(key, remember) {
    sessionStorage.removeItem(STORED);
    localStorage.removeItem(STORED);
    if (key) (remember ? localStorage : sessionStorage).setItem(STORED, key);
  }

  /**
   * Ask for the key, once however many requests need it; resolve to whether the user gave one.
   * @param {{wrong?: boolean}} [options] `wrong`: the server rejected the key that there is
   */
  ask({ wrong = false } = {}) {
    this.#asked ??= this.#show(wrong).finally(() => (this.#asked = null));
    return this.#asked;
  }

  /** @param {boolean} wrong @returns {Promise<boolean>} */
  #show(wrong) {
    const dialog = document.createElement("dialog");
    dialog.className = "dialog";
    dialog.setAttribute("aria-labelledby", "key-title");
    document.body.append(dialog);
    return new Promise((resolve) => {
      const save = (/** @type {SubmitEvent} */ event) => {
        event.preventDefault();
        const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
        const key = String(form.get("key")).trim();
        this.set(key, form.has("remember"));
        dialog.close(key ? "given" : "");
      };
      dialog.addEventListener("close", () => {
        dialog.remove();
        resolve(dialog.returnValue === "given");
      });
      render(
        html`
          <form @submit=${save}>
            <h2 id="key-title">${t("shell.key_title")}</h2>
            <p class=${wrong ? "error-text" : "muted"} role=${wrong ? "alert" : "note"}>
              ${wrong ? t("shell.key_wrong") : t("shell.key_why")}
            </p>
            <label class="field">
              <span>${t("shell.key")}</span>
              <input
                name="key"
                type="password"
                autocomplete="off"
                spellcheck="false"
                autofocus
                pattern=${SENDABLE}
                title=${t("shell.key_letters")}
                .value=${this.key}
              />
            </label>
            <label class="check">
              <input name="remember" type="checkbox" .checked=${this.remembered} />
              <span>${t("shell.key_remember")}</span>
            </label>
            <div class="actions">
              <button type="button" class="button" @click=${() => dialog.close("")}>${t("shell.cancel")}</button>
              <button class="button primary">${t("shell.save")}</button>
            </div>
          </form>
        `,
        dialog,
      );
      dialog.showModal();
    });
  }
}
