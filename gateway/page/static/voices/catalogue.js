// @ts-check
/** What the server has: the voices of its models, those of the user, and which models clone and design voices. */

import { ApiError } from "../api.js";
import { listModels, listVoices } from "../models.js";

/** @typedef {import("../models.js").Voice} ModelVoice */

/**
 * @typedef {object} OwnVoice
 * @property {string} id
 * @property {string} name
 * @property {number} created_at Unix seconds
 * @property {"audio_sample" | "prompt"} type
 * @property {number} duration seconds
 * @property {string} [prompt]
 * @property {string} [ref_text]
 * @property {string} [language] ISO 639-1
 * @property {string} [consent] the id of the speaker's consent
 */

/** @typedef {{id: string, name: string, language: string, created_at: number}} Consent */

/**
 * @typedef {object} Catalogue
 * @property {{models: string[], voices: ModelVoice[]}[]} groups the voices of models; models of a family share theirs
 * @property {OwnVoice[]} own the newest first
 * @property {Consent[]} consents the newest first
 * @property {string[]} speaking ids of the speech models
 * @property {string[]} cloning ids of models that speak in voices of the user
 * @property {string[]} designing ids of models that make voices from descriptions
 */

/** Read everything that the view shows. @param {import("../api.js").Api} api @returns {Promise<Catalogue>} */
export async function readCatalogue(api) {
  const [models, own, consents] = await Promise.all([
    listModels(api, "speech"),
    api.json("v1/audio/voices"),
    api.json("v1/audio/voice_consents?limit=100"),
  ]);
  const ids = (/** @type {string} */ mode) => models.filter((model) => model.mode === mode).map(({ id }) => id);
  return {
    groups: await voicesOf(api, models.map(({ id }) => id)),
    own: own.data.reverse(),
    consents: consents.data.reverse(),
    speaking: models.map(({ id }) => id),
    cloning: ids("voice_clone"),
    designing: ids("voice_design"),
  };
}

/** @param {import("../api.js").Api} api @param {string[]} models @returns {Promise<Catalogue["groups"]>} */
async function voicesOf(api, models) {
  const lists = await Promise.all(models.map((model) => ownVoicesOf(api, model)));
  /** @type {Map<string, Catalogue["groups"][number]>} */
  const groups = new Map();
  models.forEach((model, index) => {
    const voices = lists[index];
    const key = voices.map((voice) => voice.id).join();
    const group = groups.get(key);
    if (group) group.models.push(model);
    else if (voices.length) groups.set(key, { models: [model], voices });
  });
  return [...groups.values()];
}

/** @param {import("../api.js").Api} api @param {string} model @returns {Promise<ModelVoice[]>} */
async function ownVoicesOf(api, model) {
  try {
    const { voices, registered } = await listVoices(api, model);
    return voices.filter((voice) => !registered.has(voice.id));
  } catch (error) {
    if (error instanceof ApiError && error.status === 503) return []; // it was not loaded yet
    throw error;
  }
}
