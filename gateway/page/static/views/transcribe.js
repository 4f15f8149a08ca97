// @ts-check
/** The view "transcribe". */

import { html, render } from "../vendor/lit-html/lit-html.js";
import { t } from "../i18n.js";

/** @type {import("../main.js").Mount} */
export function mount(element, app) {
  render(html`<h1>${t("transcribe.title")}</h1>`, element);
  return () => {};
}
