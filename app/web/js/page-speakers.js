// Everybody, page by page.

import { part, show } from "./dom.js";
import { problemView } from "./problem.js";
import { SpeakerRow } from "./speaker-row.js";

const N_ON_A_PAGE = 20;

export class SpeakersPage {
  #root;
  #service;
  #cursor = null;
  #nReads = 0;

  constructor(root, { service }) {
    this.#root = root;
    this.#service = service;
    part(root, "more").addEventListener("click", () => this.#read(this.#cursor));
  }

  enter() {
    this.#read(null);
  }

  async #read(cursor) {
    this.#nReads += 1;
    const read = this.#nReads;
    const list = part(this.#root, "list");
    const problem = part(this.#root, "problem");
    problem.replaceChildren();
    try {
      const page = await this.#service.get(
        `v1/speakers?limit=${N_ON_A_PAGE}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`,
      );
      if (read !== this.#nReads) return; // asked again meanwhile
      const rows = page.speakers.map(
        (speaker) => new SpeakerRow(speaker, this.#service, (row) => this.#drop(row)).view,
      );
      if (cursor === null) list.replaceChildren(...rows);
      else list.append(...rows);
      if (cursor !== null) rows[0]?.querySelector("button").focus();
      this.#cursor = page.next_cursor;
      show(part(this.#root, "more"), page.next_cursor !== null);
      this.#tellEmpty();
    } catch (error) {
      if (cursor === null) list.replaceChildren();
      problem.replaceChildren(problemView(error));
    }
  }

  #drop(row) {
    row.view.remove();
    this.#tellEmpty();
    this.#root.querySelector("h1").focus();
  }

  #tellEmpty() {
    show(part(this.#root, "empty"), part(this.#root, "list").childElementCount === 0 && this.#cursor === null);
  }
}
