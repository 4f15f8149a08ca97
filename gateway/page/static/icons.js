// @ts-check
/** Our own line icons, 24 by 24; decoration beside a text or in a control with a label. */

import { html, nothing, svg } from "./vendor/lit-html/lit-html.js";

const PATHS = {
  speak: svg`<path d="M4 10v4M8 7v10M12 4v16M16 8v8M20 11v2" />`,
  transcribe: svg`<path d="M4 6h16M4 11h10M4 16h13M4 21h7" />`,
  voices: svg`<circle cx="12" cy="8" r="4" /><path d="M4 21c.6-4.4 3.8-7 8-7s7.4 2.6 8 7" />`,
  jobs: svg`<path d="M4 5h16v5H4zM4 14h16v5H4zM7.5 7.5h.01M7.5 16.5h.01" />`,
  talk: svg`<path d="M4 5h16v11H12l-5 4v-4H4zM8 10.5h.01M12 10.5h.01M16 10.5h.01" />`,
  globe: svg`<circle cx="12" cy="12" r="9" /><path d="M3 12h18M12 3c3 3 3.5 6 3.5 9s-.5 6-3.5 9c-3-3-3.5-6-3.5-9S9 6 12 3z" />`,
  "theme-system": svg`<circle cx="12" cy="12" r="8" /><path d="M12 4a8 8 0 0 1 0 16z" fill="currentColor" />`,
  "theme-light": svg`<circle cx="12" cy="12" r="4" /><path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M18.4 5.6 17 7M7 17l-1.4 1.4" />`,
  "theme-dark": svg`<path d="M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z" />`,
  key: svg`<circle cx="8" cy="15" r="4" /><path d="m11 12 8-8M16 7l3 3" />`,
  "key-set": svg`<circle cx="8" cy="15" r="4" fill="currentColor" /><path d="m11 12 8-8M16 7l3 3" />`,
  docs: svg`<path d="m8 8-4 4 4 4M16 8l4 4-4 4M13.5 5l-3 14" />`,
  play: svg`<path d="M7 4.5v15l12-7.5z" fill="currentColor" />`,
  pause: svg`<path d="M8 5v14M16 5v14" stroke-width="3.5" />`,
  stop: svg`<rect x="6" y="6" width="12" height="12" rx="2" fill="currentColor" />`,
  microphone: svg`<rect x="9" y="3" width="6" height="11" rx="3" /><path d="M5 11a7 7 0 0 0 14 0M12 18v3" />`,
  record: svg`<circle cx="12" cy="12" r="6" fill="currentColor" />`,
  download: svg`<path d="M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14" />`,
  upload: svg`<path d="M12 16V5M7.5 9 12 4.5 16.5 9M5 20h14" />`,
  file: svg`<path d="M6 3h8l4 4v14H6zM14 3v4h4" />`,
  trash: svg`<path d="M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5" />`,
  close: svg`<path d="m6 6 12 12M18 6 6 18" />`,
  check: svg`<path d="m5 12.5 4.5 4.5L19 7" />`,
  copy: svg`<rect x="8" y="8" width="12" height="12" rx="2" /><path d="M16 8V4H4v12h4" />`,
  plus: svg`<path d="M12 5v14M5 12h14" />`,
  alert: svg`<path d="M12 4 2.5 20h19zM12 10v4.5M12 17.2h.01" />`,
  settings: svg`<path d="M4 7h9M17 7h3M4 17h3M11 17h9" /><circle cx="15" cy="7" r="2" /><circle cx="9" cy="17" r="2" />`,
  chevron: svg`<path d="m8 10 4 4 4-4" />`,
};

/** Return an icon, which screen readers do not see. @param {string} name */
export function icon(name) {
  const drawing = PATHS[/** @type {keyof typeof PATHS} */ (name)] ?? nothing;
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">${drawing}</svg>`;
}
