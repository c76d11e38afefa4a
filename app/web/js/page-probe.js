// What verifying and identifying have in common: one clip, a threshold, a button, and an answer.

import { ClipCard } from "./clip-card.js";
import { announce, part } from "./dom.js";
import { OperatingPoint } from "./operating-point.js";
import { problemView } from "./problem.js";
import { spoken } from "./result.js";

export const CLIP_LABEL = "The clip";

export class ProbePage {
  #root;
  #nAsked = 0;
  card;
  point;

  /** A subclass gives `send(clip, operatingPoint)`, which resolves to `{answer, words, view}`. */
  constructor(root, { limits, model }) {
    this.#root = root;
    this.card = new ClipCard(CLIP_LABEL, limits, {
      onChange: () => this.changed(),
      onRecording: (rateHz) => this.recording(rateHz),
      onRecorded: () => this.recorded(),
    });
    part(root, "clips").append(this.card.view);
    this.point = new OperatingPoint(part(root, "point"), model, () => this.changed());
    part(root, "form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
  }

  enter() {}

  tell(error) {
    part(this.#root, "result").replaceChildren(problemView(error));
  }

  /** What was asked is no longer what stands there. */
  changed() {
    this.#nAsked += 1;
    this.card.unjudge();
    part(this.#root, "result").replaceChildren();
    this.#tellBusy(false);
  }

  /** A recording begins, at that sampling rate; a subclass may return a function for its samples as they come. */
  recording() {
    return null;
  }

  /** The clip is one that was just recorded. */
  recorded() {
    this.changed();
  }

  async ask() {
    const result = part(this.#root, "result");
    this.#nAsked += 1;
    const asked = this.#nAsked;
    result.replaceChildren();
    this.#tellBusy(true);
    try {
      const { answer, words, view } = await this.send(this.card.clip, this.point.name);
      if (asked !== this.#nAsked) return; // something was changed meanwhile
      this.card.judge(answer.audio[0]);
      result.replaceChildren(view);
      announce(spoken(answer, words));
      result.scrollIntoView({ block: "nearest" });
    } catch (error) {
      if (asked === this.#nAsked) this.tell(error);
    } finally {
      if (asked === this.#nAsked) this.#tellBusy(false);
    }
  }

  #tellBusy(isBusy) {
    part(this.#root, "result").classList.toggle("busy", isBusy);
    part(this.#root, "send").disabled = isBusy || this.card.clip === null;
  }
}
