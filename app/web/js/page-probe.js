// What verifying and identifying have in common: one clip, a threshold, a button, and an answer.

import { ClipCard } from "./clip-card.js";
import { announce, part } from "./dom.js";
import { OperatingPoint } from "./operating-point.js";
import { problemView } from "./problem.js";
import { spoken } from "./result.js";

export const CLIP_LABEL = "The clip";

export class ProbePage {
  #root;
  #card;
  #point;

  /** A subclass gives `send(clip, operatingPoint)`, which resolves to `{answer, words, view}`. */
  constructor(root, { limits, model }) {
    this.#root = root;
    this.#card = new ClipCard(CLIP_LABEL, limits, { onChange: () => this.changed() });
    part(root, "clips").append(this.#card.view);
    this.#point = new OperatingPoint(part(root, "point"), model, () => this.changed());
    part(root, "form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask();
    });
  }

  enter() {}

  tell(error) {
    part(this.#root, "result").replaceChildren(problemView(error));
  }

  /** What was asked is no longer what stands there. */
  changed() {
    this.#card.unjudge();
    part(this.#root, "result").replaceChildren();
    part(this.#root, "send").disabled = this.#card.clip === null;
  }

  async #ask() {
    const result = part(this.#root, "result");
    const clip = this.#card.clip;
    result.replaceChildren();
    part(this.#root, "send").disabled = true;
    result.classList.add("busy");
    try {
      const { answer, words, view } = await this.send(clip, this.#point.name);
      if (clip !== this.#card.clip) return; // another one was recorded meanwhile
      this.#card.judge(answer.audio[0]);
      result.replaceChildren(view);
      announce(spoken(answer, words));
      result.scrollIntoView({ block: "nearest" });
    } catch (error) {
      this.tell(error);
    } finally {
      result.classList.remove("busy");
      part(this.#root, "send").disabled = this.#card.clip === null;
    }
  }
}
