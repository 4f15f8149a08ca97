// @ts-check
/** The page's beginning: the shell, and the view that the address names (`#speak`). */

import { render } from "./vendor/lit-html/lit-html.js";
import { Api, ApiError } from "./api.js";
import { loadTexts, preferredLanguage, setLanguage } from "./i18n.js";
import { Keys } from "./keys.js";
import { renderShell } from "./shell.js";
import { errorBox } from "./ui.js";

/** The views, in the order of the navigation; `views/NAME.js` exports `mount(element, app)`. */
const VIEWS = ["speak", "transcribe", "voices", "jobs", "talk"];

/**
 * What views get.
 * @typedef {object} App
 * @property {Api} api requests to the server
 * @property {Keys} keys the API key
 * @property {(text: string) => void} announce says a short text to screen readers
 * @property {<T extends object>(name: string, initial: () => T) => T} memory an object that outlives a view's unmount:
 *   the first call makes it
 * @property {(view: string) => void} go shows another view
 */

/** @typedef {(element: HTMLElement, app: App) => () => void} Mount mounts a view; the result unmounts it */

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
const memories = new Map();

/** @type {App} */
const app = {
  keys: new Keys(),
  api: /** @type {Api} */ (/** @type {unknown} */ (null)),
  announce(text) {
    const status = root.querySelector("#status");
    if (status) status.textContent = text;
  },
  memory(name, initial) {
    if (!memories.has(name)) memories.set(name, initial());
    return memories.get(name);
  },
  go(view) {
    location.hash = `#${view}`;
  },
};
app.api = new Api(app.keys);

/** @type {() => void} */
let unmount = () => {};
let turn = 0;

/** Show the view of the address, in the page's language. @param {{focus?: boolean}} [options] */
async function show({ focus = false } = {}) {
  const name = VIEWS.find((view) => location.hash === `#${view}`) ?? VIEWS[0];
  const own = ++turn;
  const [view] = await Promise.all([import(`./views/${name}.js`), loadTexts("shell", name)]).catch((error) => {
    console.warn(error);
    return [null];
  });
  if (own !== turn) return; // a later change of the address was quicker
  unmount();
  unmount = () => {};
  if (!view) return showUnreachable();
  renderShell(root, app, { views: VIEWS, view: name, changeLanguage, showAgain: () => show() });
  const main = /** @type {HTMLElement} */ (root.querySelector("main"));
  // An element of its own for each mount: nothing of the view before is left.
  const element = document.createElement("div");
  element.className = `view view-${name}`;
  main.replaceChildren(element);
  unmount = /** @type {Mount} */ (view.mount)(element, app);
  if (focus) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

/** Say that a part of the page could not be loaded; browsers ask for it again only when the page is opened anew. */
function showUnreachable() {
  const element = document.createElement("div");
  element.className = "view";
  const error = new ApiError("", { code: "unreachable" });
  render(errorBox(error, () => location.reload()), element);
  (root.querySelector("main") ?? root).replaceChildren(element);
}

/** @param {import("./i18n.js").Language} language */
async function changeLanguage(language) {
  setLanguage(language, true);
  await show();
}

setLanguage(preferredLanguage());
addEventListener("hashchange", () => show({ focus: true }));
// A file that is dropped beside its place would replace the page.
for (const name of /** @type {const} */ (["dragover", "drop"])) {
  addEventListener(name, (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
}
await show();
