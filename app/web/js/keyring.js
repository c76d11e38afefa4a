// The API key: asked for when the service wants one, kept for this tab, forgotten with it.

import { part, show } from "./dom.js";

const STORED_AS = "vouch.key";

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
  ask(reason) {
    this.#asking ??= this.#ask(reason).finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #ask(reason) {
    sessionStorage.removeItem(STORED_AS); // the service did not take it
    const form = this.#dialog.querySelector("form");
    form.reset();
    part(this.#dialog, "reason").textContent = reason;
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
