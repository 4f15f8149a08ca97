// @ts-check
/** Follows the jobs of the user: asks each second while one is unfinished, rarely else, never in a hidden tab. */

import { isAbort } from "../api.js";

/**
 * @typedef {object} Job
 * @property {string} id
 * @property {"transcription" | "speech"} type
 * @property {"queued" | "running" | "completed" | "failed" | "cancelled"} status
 * @property {string} model
 * @property {string} response_format
 * @property {number} created_at Unix seconds, as the others
 * @property {number | null} started_at
 * @property {number | null} finished_at
 * @property {number} expires_at
 * @property {{seconds: number, fraction: number | null}} progress
 * @property {{message: string} | null} error
 */

const OFTEN = 1000; // milliseconds
const RARELY = 15_000;
const PAGE = 50;

/** Whether a job has not ended. @param {Job} job */
export function unfinished(job) {
  return job.status === "queued" || job.status === "running";
}

export class Watch {
  /**
   * @param {import("../api.js").Api} api
   * @param {{changed: () => void, ended: (job: Job) => void}} calls `ended`: a job that was unfinished has ended
   */
  constructor(api, { changed, ended }) {
    this.#api = api;
    this.#changed = changed;
    this.#ended = ended;
    /** @type {Job[] | null} the newest first; null before the first answer */
    this.jobs = null;
    /** Whether there are older ones. */
    this.more = false;
    /** @type {unknown} */
    this.error = null;
  }

  #api;
  #changed;
  #ended;
  #timer = 0;
  #least = 0; // as many jobs as the user asked to see
  #asked = 0; // only the answer to the last question counts
  #closing = new AbortController();
  #seen = () => {
    if (!document.hidden) this.refresh();
  };

  start() {
    document.addEventListener("visibilitychange", this.#seen);
    return this.refresh();
  }

  stop() {
    document.removeEventListener("visibilitychange", this.#seen);
    clearTimeout(this.#timer);
    this.#closing.abort();
  }

  /** Ask now. */
  async refresh() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const asked = ++this.#asked;
    try {
      const newest = await this.#newest(this.#least);
      if (asked !== this.#asked) return;
      this.#take(newest);
      this.error = null;
    } catch (error) {
      if (isAbort(error) || asked !== this.#asked) return;
      this.error = error;
    }
    if (this.#closing.signal.aborted) return;
    this.#changed();
    if (document.hidden) return;
    const wait = !this.error && this.jobs?.some(unfinished) ? OFTEN : RARELY;
    this.#timer = window.setTimeout(() => this.refresh(), wait);
  }

  /** Add the jobs that are older than those that are there. */
  older() {
    this.#least = (this.jobs?.length ?? 0) + PAGE;
    return this.refresh();
  }

  /** Return the newest jobs, at least so many if there are so many. @param {number} least */
  async #newest(least) {
    let { data, has_more } = await this.#list();
    while (has_more && data.length < least) {
      const next = await this.#list(data[data.length - 1].id);
      data = [...data, ...next.data];
      has_more = next.has_more;
    }
    return { data, has_more };
  }

  /** @param {string} [after] @returns {Promise<{data: Job[], has_more: boolean}>} */
  #list(after = "") {
    const page = after ? `&after=${encodeURIComponent(after)}` : "";
    return this.#api.json(`v1/audio/jobs?limit=${PAGE}${page}`, { signal: this.#closing.signal });
  }

  /** @param {{data: Job[], has_more: boolean}} newest */
  #take({ data, has_more }) {
    const was = new Map((this.jobs ?? []).map((job) => [job.id, job]));
    this.jobs = data;
    this.more = has_more;
    for (const job of data) {
      const earlier = was.get(job.id);
      if (earlier && unfinished(earlier) && !unfinished(job)) this.#ended(job);
    }
  }
}
