// @ts-check
/** The view of jobs: it creates them, follows them, and gets their results. */

import { html, nothing, render } from "../vendor/lit-html/lit-html.js";
import { ApiError } from "../api.js";
import { readChoices } from "../choices.js";
import { confirmed } from "../confirm.js";
import { t } from "../i18n.js";
import { emptyState, errorBox, loading, saveFile } from "../ui.js";
import { jobList } from "../jobs/list.js";
import { INITIAL, Submission } from "../jobs/submit.js";
import { titleOf } from "../jobs/titles.js";
import { Watch, unfinished } from "../jobs/watch.js";

/** The end of a file's name for each form of a transcript. @type {Record<string, string>} */
const ENDINGS = { text: "txt", srt: "srt", vtt: "vtt", json: "json", verbose_json: "json", diarized_json: "json" };

/** @type {import("../main.js").Mount} */
export function mount(element, app) {
  const view = new JobsView(element, app);
  view.start();
  return () => view.close();
}

class JobsView {
  /** @param {HTMLElement} element @param {import("../main.js").App} app */
  constructor(element, app) {
    this.#element = element;
    this.#app = app;
    const changed = () => this.#draw();
    this.#watch = new Watch(app.api, { changed, ended: (job) => this.#ended(job) });
    this.#submission = new Submission(app.api, app.memory("jobs", () => ({ ...INITIAL })), {
      changed,
      created: () => this.#watch.refresh(),
    });
  }

  #element;
  #app;
  #watch;
  #submission;
  /** @type {import("../choices.js").Choices | null} */
  #choices = null;
  /** @type {unknown} */
  #error = null;
  #absent = false; // whether the server has no jobs
  /** @type {Map<string, {text: string} | {address: string}>} the results that are shown */
  #shown = new Map();
  #closed = false;

  async start() {
    await Promise.all([this.#read(), this.#watch.start()]);
    const { error } = this.#watch;
    if (error instanceof ApiError && error.status === 404) {
      this.#absent = true;
      this.#watch.stop();
    }
    this.#draw();
  }

  /** Read what the server offers. */
  async #read() {
    this.#error = null;
    this.#draw();
    try {
      this.#choices = await readChoices(this.#app.api);
    } catch (error) {
      this.#error = error;
    }
    this.#draw();
  }

  close() {
    this.#closed = true;
    this.#watch.stop();
    for (const result of this.#shown.values()) if ("address" in result) URL.revokeObjectURL(result.address);
  }

  /** @param {import("../jobs/watch.js").Job} job */
  #ended(job) {
    this.#app.announce(t("jobs.ended", { title: this.#title(job), status: t(`jobs.status_${job.status}`) }));
  }

  /** @param {import("../jobs/watch.js").Job} job */
  #title(job) {
    return titleOf(job.id) || t(`jobs.untitled_${job.type}`);
  }

  /** @param {() => Promise<unknown>} change */
  async #act(change) {
    this.#error = null;
    try {
      await change();
    } catch (error) {
      this.#error = error;
    }
    await this.#watch.refresh();
  }

  /** @param {import("../jobs/watch.js").Job} job */
  #cancel(job) {
    return this.#act(() => this.#app.api.json(`v1/audio/jobs/${job.id}/cancel`, { method: "POST" }));
  }

  /** @param {import("../jobs/watch.js").Job} job */
  async #remove(job) {
    const title = t("jobs.delete_question", { title: this.#title(job) });
    const text = unfinished(job) ? t("jobs.delete_running") : t("jobs.delete_text");
    if (!(await confirmed({ title, text, act: t("jobs.delete") }))) return;
    await this.#act(() => this.#app.api.json(`v1/audio/jobs/${job.id}`, { method: "DELETE" }));
  }

  /** @param {import("../jobs/watch.js").Job} job @param {string} format */
  #save(job, format) {
    return this.#act(async () => {
      const content = await (await this.#result(job, format)).blob();
      const stem = this.#title(job).replace(/\.[^.]{1,5}$/, "").replace(/[\\/:*?"<>|]+/g, " ").trim();
      saveFile(content, `${stem || job.id}.${ENDINGS[format] ?? format}`);
    });
  }

  /** Show the result in the page, or hide it. @param {import("../jobs/watch.js").Job} job */
  async #show(job) {
    const shown = this.#shown.get(job.id);
    if (shown) {
      if ("address" in shown) URL.revokeObjectURL(shown.address);
      this.#shown.delete(job.id);
      return this.#draw();
    }
    await this.#act(async () => {
      const response = await this.#result(job, job.type === "speech" ? job.response_format : "text");
      this.#shown.set(
        job.id,
        job.type === "speech" ? { address: URL.createObjectURL(await response.blob()) } : { text: await response.text() },
      );
    });
  }

  /** @param {import("../jobs/watch.js").Job} job @param {string} format */
  #result(job, format) {
    return this.#app.api.response(`v1/audio/jobs/${job.id}/result?response_format=${format}`);
  }

  #draw() {
    if (!this.#closed) render(this.#template(), this.#element);
  }

  #template() {
    if (this.#absent)
      return html`<h1>${t("jobs.title")}</h1>${emptyState("jobs", t("jobs.absent"), html`<code>JOBS=true</code>`)}`;
    return html`
      <h1>${t("jobs.title")}</h1>
      <p class="muted lead">${t("jobs.lead")}</p>
      ${errorBox(this.#error, this.#choices ? null : () => this.#read())}
      ${this.#choices ? this.#submission.template(this.#choices) : this.#error ? nothing : loading()}
      <section class="stack" aria-labelledby="job-list">
        <h2 id="job-list">${t("jobs.list")}</h2>
        ${errorBox(this.#watch.error, () => this.#watch.refresh())} ${this.#list()}
      </section>
    `;
  }

  #list() {
    const { jobs, more } = this.#watch;
    if (!jobs) return this.#watch.error ? nothing : loading();
    if (!jobs.length) return this.#empty();
    const acts = {
      cancel: this.#cancel.bind(this),
      remove: this.#remove.bind(this),
      save: this.#save.bind(this),
      show: this.#show.bind(this),
    };
    return html`
      ${jobList(jobs, acts, (job) => this.#shownResult(job))}
      ${more
        ? html`<button type="button" class="button" @click=${() => this.#watch.older()}>
            ${t("jobs.older")}
          </button>`
        : nothing}
    `;
  }

  #empty() {
    const example = () => {
      Object.assign(this.#submission.values, { kind: "speech", text: t("jobs.example") });
      this.#draw();
      this.#element.querySelector("textarea")?.focus();
    };
    return emptyState(
      "jobs",
      t("jobs.none"),
      html`<button type="button" class="button" data-act="example" @click=${example}>${t("jobs.try_example")}</button>
        <pre class="command" tabindex="0" aria-label=${t("jobs.command")}><code>curl ${new URL("v1/audio/jobs", document.baseURI).href} -F file=@meeting.mp3</code></pre>`,
    );
  }

  /** @param {import("../jobs/watch.js").Job} job */
  #shownResult(job) {
    const shown = this.#shown.get(job.id);
    if (!shown) return nothing;
    return "address" in shown
      ? html`<audio class="result" controls autoplay src=${shown.address} aria-label=${this.#title(job)}></audio>`
      : html`<p class="result" tabindex="0">${shown.text}</p>`;
  }
}
