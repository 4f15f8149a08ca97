// @ts-check
/** A question before something is deleted. */

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { t } from "./i18n.js";

/**
 * Ask, and return null if the user says no, else whether they chose the option.
 * @param {{title: string, text: string, act: string, option?: string}} question
 * @returns {Promise<{option: boolean} | null>}
 */
export function confirmed({ title, text, act, option = "" }) {
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  dialog.setAttribute("aria-labelledby", "confirm-title");
  document.body.append(dialog);
  return new Promise((resolve) => {
    let chosen = false;
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? { option: chosen } : null);
    });
    const answer = (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      chosen = new FormData(/** @type {HTMLFormElement} */ (event.target)).has("option");
      dialog.close("yes");
    };
    render(
      html`
        <form @submit=${answer}>
          <h2 id="confirm-title">${title}</h2>
          <p class="muted">${text}</p>
          ${option
            ? html`<label class="check"><input type="checkbox" name="option" checked /><span>${option}</span></label>`
            : nothing}
          <div class="actions">
            <button type="button" class="button" autofocus @click=${() => dialog.close("")}>${t("shell.cancel")}</button>
            <button class="button primary" data-act="confirm">${act}</button>
          </div>
        </form>
      `,
      dialog,
    );
    dialog.showModal();
  });
}
