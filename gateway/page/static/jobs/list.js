// @ts-check
/** The list of jobs: their states, progress, results and errors. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { clock, formatNumber, language, t } from "../i18n.js";
import { icon } from "../icons.js";
import { titleOf } from "./titles.js";
import { unfinished } from "./watch.js";

/** @typedef {import("./watch.js").Job} Job */

/** The forms of a transcript that a finished job gives, whatever it was asked for. */
const FORMS = ["text", "srt", "vtt", "json", "verbose_json"];

/**
 * @typedef {object} Acts
 * @property {(job: Job) => void} cancel
 * @property {(job: Job) => void} remove
 * @property {(job: Job, format: string) => void} save
 * @property {(job: Job) => void} show its result in the page
 */

/**
 * Return the list. @param {Job[]} jobs @param {Acts} acts
 * @param {(job: Job) => unknown} result what is shown of a job's result
 */
export function jobList(jobs, acts, result) {
  return html`<ul class="list">
    ${repeat(jobs, (/** @type {Job} */ { id }) => id, (/** @type {Job} */ job) => item(job, acts, result))}
  </ul>`;
}

/** @param {Job} job @param {Acts} acts @param {(job: Job) => unknown} result */
function item(job, acts, result) {
  const title = titleOf(job.id) || t(`jobs.untitled_${job.type}`);
  return html`
    <li class="card job ${job.status}" data-job=${job.id} data-status=${job.status}>
      <span class="kind" title=${t(`jobs.kind_${job.type}`)}>${icon(job.type === "speech" ? "speak" : "transcribe")}</span>
      <div class="about">
        <h3>${title}</h3>
        <p class="facts">
          <span class="state">${job.status === "completed" ? icon("check") : job.status === "failed" ? icon("alert") : nothing}${t(`jobs.status_${job.status}`)}</span>
          <span class="muted">${t(`jobs.kind_${job.type}`)}</span>
          <span class="muted">${job.model || t("jobs.any_model")}</span>
          <time class="muted" datetime=${new Date(1000 * job.created_at).toISOString()}>${when(job.created_at)}</time>
          ${job.progress.seconds ? html`<span class="muted">${t("jobs.audio", { length: clock(job.progress.seconds) })}</span>` : nothing}
          ${job.finished_at && job.started_at
            ? html`<span class="muted">${t("jobs.took", { length: clock(job.finished_at - job.started_at) })}</span>`
            : nothing}
        </p>
        ${unfinished(job) ? progress(job, title) : nothing}
        ${job.error ? html`<p class="error-text">${job.error.message}</p>` : nothing}
      </div>
      <div class="acts row">
        ${unfinished(job)
          ? html`<button type="button" class="button small" data-act="cancel" @click=${() => acts.cancel(job)}>
              ${icon("close")}${t("jobs.cancel")}
            </button>`
          : nothing}
        ${job.status === "completed" ? download(job, acts, title) : nothing}
        <button
          type="button"
          class="button quiet round"
          data-act="delete"
          title=${t("jobs.delete")}
          aria-label=${t("jobs.delete_title_of", { title })}
          @click=${() => acts.remove(job)}
        >
          ${icon("trash")}
        </button>
      </div>
      ${result(job)}
    </li>
  `;
}

/** @param {Job} job @param {string} title */
function progress(job, title) {
  const { fraction } = job.progress;
  return html`
    <div class="progress">
      ${fraction === null || job.status === "queued"
        ? html`<progress aria-label=${title}></progress>`
        : html`<progress aria-label=${title} max="1" .value=${fraction}></progress>
            <span>${t("jobs.percent", { percent: formatNumber(Math.floor(100 * fraction)) })}</span>`}
    </div>
  `;
}

/** @param {Job} job @param {Acts} acts @param {string} title */
function download(job, acts, title) {
  const show = html`<button type="button" class="button small" data-act="show" @click=${() => acts.show(job)}>
    ${icon(job.type === "speech" ? "play" : "file")}${job.type === "speech" ? t("jobs.listen") : t("jobs.read")}
  </button>`;
  if (job.type === "speech")
    return html`${show}<button
        type="button"
        class="button small"
        data-act="save"
        @click=${() => acts.save(job, job.response_format)}
      >
        ${icon("download")}${job.response_format}
      </button>`;
  const forms = job.response_format === "diarized_json" ? [...FORMS, "diarized_json"] : FORMS;
  return html`${show}<label class="saves">
      <span class="hidden">${t("jobs.save_as", { title })}</span>
      ${icon("download")}
      <select
        @change=${(/** @type {any} */ event) => {
          const format = event.target.value;
          event.target.selectedIndex = 0;
          acts.save(job, format);
        }}
      >
        <option value="" disabled selected>${t("jobs.download")}</option>
        ${forms.map((form) => html`<option value=${form}>${t(`jobs.form_${form}`)}</option>`)}
      </select>
    </label>`;
}

/** @param {number} seconds Unix time */
function when(seconds) {
  const moment = new Date(1000 * seconds);
  const today = moment.toDateString() === new Date().toDateString();
  return moment.toLocaleString(language(), today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}
