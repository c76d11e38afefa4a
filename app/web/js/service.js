// Calls to the service: the key goes along, a missing one is asked for, and a busy service is waited for.

import { announce, show } from "./dom.js";
import { Problem } from "./problem.js";

const MAX_WAITS = 3;
const DEFAULT_WAIT_S = 2;
const SOCKET_PROTOCOL = "vouch.v1";
const KEY_PROTOCOL = "vouch.key.";
const JSON_HEADERS = { "Content-Type": "application/json" };

export class Service {
  #keyring;
  #waiting = document.getElementById("waiting");

  constructor(keyring) {
    this.#keyring = keyring;
  }

  get(path) {
    return this.#call("GET", path);
  }

  erase(path) {
    return this.#call("DELETE", path);
  }

  change(path, body) {
    return this.#call("PATCH", path, JSON.stringify(body), JSON_HEADERS);
  }

  /** For calls that write: under a key of its own, so that a repetition after a wait writes nothing twice. */
  make(path, body) {
    const once = { "Idempotency-Key": randomKey() };
    // A form brings its own type, with its boundary.
    if (body instanceof FormData) return this.#call("POST", path, body, once);
    return this.#call("POST", path, JSON.stringify(body), { ...JSON_HEADERS, ...once });
  }

  /** For calls that hear a clip and write nothing. */
  hear(path, form) {
    return this.#call("POST", path, form);
  }

  /** A WebSocket, or null where the browser makes none: some older ones read the page's policy so, and a key may be no protocol. */
  socket(path) {
    const url = new URL(path, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const { key } = this.#keyring;
    // A page can give a socket no header.
    const protocols = key === null ? [SOCKET_PROTOCOL] : [SOCKET_PROTOCOL, `${KEY_PROTOCOL}${key}`];
    try {
      return new WebSocket(url, protocols);
    } catch {
      return null;
    }
  }

  async #call(method, path, body, headers = {}) {
    for (let nWaits = 0; ;) {
      const key = this.#keyring.key;
      const sent = key === null ? headers : { ...headers, "X-API-Key": key };
      const response = await fetch(path, { method, body, headers: sent, cache: "no-store" }).catch(() => {
        throw new Problem({ code: "unreachable" });
      });
      if (response.ok) return response.status === 204 ? null : response.json();
      const problem = await problemOf(response);
      if (problem.status === 401) {
        // Meanwhile another call may have brought one.
        if (this.#keyring.key !== key) continue;
        if ((await this.#keyring.ask()) === null) throw problem;
      } else if ((problem.status === 429 || problem.status === 503) && nWaits < MAX_WAITS) {
        nWaits += 1;
        await this.#wait(problem);
      } else {
        throw problem;
      }
    }
  }

  async #wait(problem) {
    const waitS = problem.retryAfterS ?? DEFAULT_WAIT_S;
    const why = problem.status === 429 ? "That was a lot within a minute." : "The service is busy or starting.";
    announce(`${why} Trying again in ${waitS} seconds.`);
    show(this.#waiting);
    for (let leftS = waitS; leftS > 0; leftS -= 1) {
      this.#waiting.textContent = `${why} Trying again in ${leftS} s.`;
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(1, leftS)));
    }
    show(this.#waiting, false);
  }
}

/** A form with clips under a field's name, each with a file name, as the service expects files. */
export function clipForm(fields, texts = {}) {
  const form = new FormData();
  for (const [field, clip] of fields) form.append(field, clip.blob, clip.fileName);
  for (const [name, text] of Object.entries(texts)) form.append(name, text);
  return form;
}

export function speakerPath(speakerId, rest = "") {
  return `v1/speakers/${encodeURIComponent(speakerId)}${rest}`;
}

/** Not `randomUUID`, which only https and localhost have. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function problemOf(response) {
  const retryAfterS = Number(response.headers.get("Retry-After")) || null;
  const body = await response.json().catch(() => ({}));
  const { status } = response;
  return Problem.of({ status, detail: `The service answered with status ${status}.`, ...body }, retryAfterS);
}
