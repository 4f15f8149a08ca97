// @ts-check
/** Small pieces of views: errors, empty states, fields, and the choice of files. All return templates of lit-html. */

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { ApiError } from "./api.js";
import { MicrophoneError } from "./audio/microphone.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";

/** Return the text of an error for people. @param {unknown} error */
export function errorText(error) {
  if (error instanceof MicrophoneError) return t(`shell.microphone_${error.reason}`);
  if (!(error instanceof ApiError)) return t("shell.error_page", { message: String(/** @type {any} */ (error)?.message ?? error) });
  if (error.code === "unreachable") return t("shell.error_unreachable");
  if (error.status === 401) return t("shell.error_key");
  return error.message || t("shell.error_status", { status: error.status });
}

/**
 * Return a box with an error, or nothing without one: the server's own words, and the field that they are about.
 * @param {unknown} error @param {(() => void) | null} [retry] what a button "try again" does
 */
export function errorBox(error, retry = null) {
  if (!error) return nothing;
  const text = errorText(error);
  const field = error instanceof ApiError && !text.startsWith(error.field) ? error.field : "";
  return html`
    <div class="notice error" role="alert">
      ${icon("alert")}
      <div>
        ${field ? html`<code>${field}</code> ` : nothing}${text}
        ${error instanceof ApiError && error.retryAfter
          ? html`<p class="muted">${t("shell.retry_after", { seconds: error.retryAfter })}</p>`
          : nothing}
      </div>
      ${retry ? html`<button type="button" class="button small" @click=${retry}>${t("shell.retry")}</button>` : nothing}
    </div>
  `;
}

/** Return a calm place for what is not there yet. @param {string} name of an icon @param {string} text @param {any} [more] */
export function emptyState(name, text, more = nothing) {
  return html`<div class="empty">${icon(name)}<p>${text}</p>${more}</div>`;
}

/** Return a sign that something is loading. @param {string} [text] */
export function loading(text = t("shell.loading")) {
  return html`<p class="loading" role="status"><span class="spinner" aria-hidden="true"></span>${text}</p>`;
}

/**
 * Return a labelled control. @param {string} label @param {unknown} control @param {{hint?: string, error?: string}} [more]
 * `error` is shown in place of the hint.
 */
export function field(label, control, { hint = "", error = "" } = {}) {
  return html`
    <label class="field ${error ? "wrong" : ""}">
      <span>${label}</span>
      ${control}
      ${error ? html`<small class="error-text">${error}</small>` : hint ? html`<small>${hint}</small>` : nothing}
    </label>
  `;
}

/**
 * Return the options of a `<select>`. @param {Iterable<[string, string]>} entries value, label
 * @param {string} chosen the value that is selected
 */
export function options(entries, chosen) {
  return [...entries].map(
    ([value, label]) => html`<option value=${value} ?selected=${value === chosen}>${label}</option>`,
  );
}

/**
 * Return a place to drop a file, or to choose one.
 * @param {{text: string, hint?: string, accept?: string, many?: boolean, chosen: (file: File) => void}} options
 * `many`: several files may come at once, and `chosen` is called for each
 */
export function dropZone({ text, hint = "", accept = "audio/*,video/*", many = false, chosen }) {
  const take = (/** @type {Iterable<File>} */ files) => [...files].slice(0, many ? undefined : 1).forEach(chosen);
  /** @param {DragEvent} event @param {boolean} over */
  const drag = (event, over) => {
    event.preventDefault();
    /** @type {HTMLElement} */ (event.currentTarget).classList.toggle("over", over);
  };
  return html`
    <label
      class="drop"
      @dragover=${(/** @type {DragEvent} */ event) => drag(event, true)}
      @dragleave=${(/** @type {DragEvent} */ event) => drag(event, false)}
      @drop=${(/** @type {DragEvent} */ event) => {
        drag(event, false);
        take(event.dataTransfer?.files ?? []);
      }}
    >
      ${icon("upload")}
      <strong>${text}</strong>
      ${hint ? html`<small>${hint}</small>` : nothing}
      <input
        type="file"
        class="hidden"
        accept=${accept}
        ?multiple=${many}
        @change=${(/** @type {any} */ event) => {
          const files = [...event.target.files];
          event.target.value = "";
          take(files);
        }}
      />
    </label>
  `;
}

/** Save content as a file. @param {Blob} content @param {string} name */
export function saveFile(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
