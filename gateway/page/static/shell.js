// @ts-check
/** The frame around the views: navigation, language, theme, key, and the live region for screen readers. */

import { html, render } from "./vendor/lit-html/lit-html.js";
import { live } from "./vendor/lit-html/directives/live.js";
import { LANGUAGES, language, t } from "./i18n.js";
import { icon } from "./icons.js";
import { nextTheme, setTheme, theme } from "./theme.js";

/** @typedef {{views: string[], view: string, changeLanguage: (to: any) => void, showAgain: () => void}} Frame */

/** Draw the frame. @param {HTMLElement} root @param {import("./main.js").App} app @param {Frame} frame */
export function renderShell(root, app, frame) {
  document.title = `${t(`shell.nav_${frame.view}`)} · Tritone`;
  const again = () => renderShell(root, app, frame);
  const switchTheme = () => {
    setTheme(nextTheme());
    app.announce(t(`shell.theme_${theme()}`));
    again();
  };
  const askKey = async () => {
    const before = app.keys.key;
    await app.keys.ask();
    if (app.keys.key !== before) frame.showAgain(); // what the server has for this key
  };
  const skip = (/** @type {Event} */ event) => {
    event.preventDefault();
    root.querySelector("main")?.focus();
  };
  render(
    html`
      <a class="skip" href="#main" @click=${skip}>${t("shell.skip")}</a>
      <header class="top">
        <a class="brand" href="#speak"><img src="page/icon.svg" alt="" width="28" height="28" />Tritone</a>
        <nav class="nav" aria-label=${t("shell.navigation")}>
          ${frame.views.map(
            (view) => html`
              <a href="#${view}" aria-current=${view === frame.view ? "page" : "false"}>
                ${icon(view)}<span>${t(`shell.nav_${view}`)}</span>
              </a>
            `,
          )}
        </nav>
        <div class="tools">
          <label class="language">
            <span class="hidden">${t("shell.language")}</span>
            ${icon("globe")}
            <select
              .value=${live(language())}
              @change=${(/** @type {any} */ event) => frame.changeLanguage(event.target.value)}
            >
              ${Object.entries(LANGUAGES).map(
                ([tag, name]) => html`<option value=${tag} lang=${tag} ?selected=${tag === language()}>${name}</option>`,
              )}
            </select>
          </label>
          ${tool(`theme-${theme()}`, t(`shell.theme_${theme()}`), switchTheme)}
          ${tool(app.keys.key ? "key-set" : "key", app.keys.key ? t("shell.key_change") : t("shell.key_enter"), askKey)}
          <a class="tool" href="docs" title=${t("shell.docs")} aria-label=${t("shell.docs")}>${icon("docs")}</a>
        </div>
      </header>
      <main id="main" tabindex="-1"></main>
      <p id="status" class="hidden" role="status" aria-live="polite"></p>
    `,
    root,
  );
}

/** @param {string} name @param {string} label @param {() => void} act */
function tool(name, label, act) {
  return html`<button type="button" class="tool" title=${label} aria-label=${label} @click=${act}>
    ${icon(name)}
  </button>`;
}
