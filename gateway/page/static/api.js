// @ts-check
/** Requests to this server: with the API key, with OpenAI's form of errors, and with streams as iterators. */

/** An error of the server, or of the way to it. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{status?: number, field?: string, code?: string, requestId?: string, retryAfter?: number}} [details]
   * `status` is 0 if there was no response; `field` is the request's field that is wrong; `retryAfter` is in seconds.
   */
  constructor(message, { status = 0, field = "", code = "", requestId = "", retryAfter = 0 } = {}) {
    super(message);
    Object.assign(this, { status, field, code, requestId, retryAfter });
    this.status = status;
    this.field = field;
    this.code = code;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
  }
}

/** Return the error in OpenAI's envelope, which is in error responses and events. @param {any} envelope */
export function errorOf(envelope, details = {}) {
  const error = envelope?.error ?? {};
  return new ApiError(error.message ?? "", { field: error.param ?? "", code: error.code ?? "", ...details });
}

/** Whether an error only says that the user stopped the request. @param {unknown} error */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/** Client of the server that the page comes from. */
export class Api {
  /** @param {import("./keys.js").Keys} keys */
  constructor(keys) {
    this.keys = keys;
    this.base = new URL(".", document.baseURI);
  }

  /**
   * Return the response to a request; ask for the API key if the server wants one. Raises `ApiError`, and an
   * `AbortError` after `signal`.
   * @param {string} path relative, such as `v1/models`
   * @param {{method?: string, json?: any, form?: FormData, headers?: Record<string, string>, signal?: AbortSignal}} [options]
   */
  async response(path, { method, json, form, headers = {}, signal } = {}) {
    const body = form ?? (json === undefined ? undefined : JSON.stringify(json));
    const send = () =>
      fetch(new URL(path, this.base), {
        method: method ?? (body === undefined ? "GET" : "POST"),
        headers: {
          ...(json === undefined ? {} : { "content-type": "application/json" }),
          ...(this.keys.key ? { authorization: `Bearer ${this.keys.key}` } : {}),
          ...headers,
        },
        body,
        signal,
      });
    let response = await reached(send);
    while (response.status === 401 && (await this.keys.ask({ wrong: Boolean(this.keys.key) }))) {
      response = await reached(send);
    }
    if (!response.ok) throw await failure(response);
    return response;
  }

  /** Return the parsed JSON of a response. @param {string} path @param {Parameters<Api["response"]>[1]} [options] */
  async json(path, options) {
    return (await this.response(path, options)).json();
  }

  /**
   * Yield the events of a response of server-sent events, each parsed; an event of an error raises `ApiError`.
   * Ending the loop early cancels the request.
   * @param {string} path @param {Parameters<Api["response"]>[1]} [options]
   * @returns {AsyncGenerator<any, void, void>}
   */
  async *events(path, options) {
    yield* eventsOf(await this.response(path, options));
  }

  /**
   * Open a live session, with a short-lived secret as its key.
   * @param {any} session configuration, as in `session.update`
   * @returns {Promise<WebSocket>} which is not open yet
   */
  async liveSocket(session) {
    const secret = await this.json("v1/realtime/client_secrets", { json: { session } });
    const url = new URL("v1/realtime", this.base);
    url.protocol = url.protocol.replace("http", "ws");
    return new WebSocket(url, ["realtime", `openai-insecure-api-key.${secret.value}`]);
  }
}

/** Yield the parsed events of a response. @param {Response} response @returns {AsyncGenerator<any, void, void>} */
export async function* eventsOf(response) {
  for await (const line of linesOf(response)) {
    if (!line.startsWith("data:")) continue;
    const data = line.slice(5).trim();
    if (data === "[DONE]") return;
    const event = JSON.parse(data);
    if (event.error) throw errorOf(event, { status: response.status });
    yield event;
  }
}

/** Yield the lines of a response as they arrive. @param {Response} response */
async function* linesOf(response) {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of bytesOf(response)) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r?\n/);
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest) yield rest;
}

/** Yield the bytes of a response as they arrive; ending the loop early cancels it. @param {Response} response */
export async function* bytesOf(response) {
  if (!response.body) return;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(asApiError);
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @param {() => Promise<Response>} send */
async function reached(send) {
  return send().catch(asApiError);
}

/** @param {unknown} error @returns {never} */
function asApiError(error) {
  if (isAbort(error)) throw error;
  throw new ApiError("", { code: "unreachable" });
}

/** @param {Response} response */
async function failure(response) {
  const details = {
    status: response.status,
    requestId: response.headers.get("x-request-id") ?? "",
    retryAfter: Number(response.headers.get("retry-after")) || 0,
  };
  const text = await response.text();
  try {
    return errorOf(JSON.parse(text), details);
  } catch {
    return new ApiError(response.statusText, details);
  }
}
