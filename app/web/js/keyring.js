// The API key: asked for when the service wants one, kept for this tab, forgotten with it.

import { part, show } from "./dom.js";

const STORED_AS = "vouch.key";
const FIRST_TIME = "Whoever runs it can make one for you.";
const NOT_TAKEN = "It did not take the last one: mistyped, revoked, or of another service.";

export class Keyring {
  #dialog = document.getElementById("key-dialog");
  #forget = document.getElementById("forget-key");
  #asking = null;

  constructor() {
    this.#forget.addEventListener("click", () => {
      sessionStorage.removeItem(STORED_AS);
      location.reload();
    });
    part(this.#dialog, "cancel").addEventListener("click", () => this.#dialog.close());
    show(this.#forget, this.key !== null);
  }

  get key() {
    return sessionStorage.getItem(STORED_AS);
  }

  /** The key that the person gives, or null. Calls that fail together ask once. */
  ask() {
    this.#asking ??= this.#ask().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #ask() {
    part(this.#dialog, "reason").textContent = this.key === null ? FIRST_TIME : NOT_TAKEN;
    sessionStorage.removeItem(STORED_AS); // the service did not take it
    const form = this.#dialog.querySelector("form");
    form.reset();
    this.#dialog.returnValue = "";
    const closed = new Promise((resolve) => this.#dialog.addEventListener("close", resolve, { once: true }));
    this.#dialog.showModal();
    await closed;
    const key = this.#dialog.returnValue === "go" ? form.elements.key.value.trim() : "";
    form.reset();
    if (!key) return null;
    sessionStorage.setItem(STORED_AS, key);
    show(this.#forget);
    return key;
  }
}
