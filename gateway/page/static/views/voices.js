// @ts-check
/** The view "voices". */

import { html, render } from "../vendor/lit-html/lit-html.js";
import { t } from "../i18n.js";

/** @type {import("../main.js").Mount} */
export function mount(element, app) {
  render(html`<h1>${t("voices.title")}</h1>`, element);
  return () => {};
}
