// Two clips: one voice? Both there is question enough, so nobody has to press a button.

import { ClipCard } from "./clip-card.js";
import { announce, part } from "./dom.js";
import { OperatingPoint } from "./operating-point.js";
import { problemView } from "./problem.js";
import { spoken, verificationView } from "./result.js";
import { clipForm } from "./service.js";

const WORDS = { accept: "The same voice", reject: "Two different voices", inconclusive: "It cannot be told yet" };
const LABELS = ["Clip A", "Clip B"];

export class ComparePage {
  #root;
  #service;
  #limits;
  #cards;
  #point;
  #nAsked = 0;

  constructor(root, { service, limits, model }) {
    this.#root = root;
    this.#service = service;
    this.#limits = limits;
    this.#cards = LABELS.map((label) => new ClipCard(label, limits, { onChange: () => this.#compare() }));
    part(root, "clips").append(...this.#cards.map((card) => card.view));
    this.#point = new OperatingPoint(part(root, "point"), model, () => this.#compare());
    for (const button of root.querySelectorAll("[data-examples]")) {
      button.addEventListener("click", () => this.#takeExamples(button.dataset.examples.split(" ")));
    }
  }

  enter() {}

  async #takeExamples(names) {
    const result = part(this.#root, "result");
    result.replaceChildren();
    try {
      const blobs = await Promise.all(
        names.map((name) => fetch(`console/examples/${name}.ogg`).then((response) => response.blob())),
      );
      for (const card of this.#cards) card.clip = null; // one question, not one for each half of it
      await Promise.all(this.#cards.map((card, i) => card.take(blobs[i], `${names[i]}.ogg`)));
    } catch (error) {
      result.replaceChildren(problemView(error));
    }
  }

  async #compare() {
    const result = part(this.#root, "result");
    this.#nAsked += 1;
    const asked = this.#nAsked;
    for (const card of this.#cards) card.unjudge();
    result.replaceChildren();
    const [a, b] = this.#cards.map((card) => card.clip);
    result.classList.toggle("busy", a !== null && b !== null);
    if (a === null || b === null) return;
    try {
      const form = clipForm(
        [
          ["audio_a", a],
          ["audio_b", b],
        ],
        { operating_point: this.#point.name },
      );
      const answer = await this.#service.hear("v1/compare", form);
      if (asked !== this.#nAsked) return; // a clip was changed meanwhile
      answer.audio.forEach((audio, i) => this.#cards[i].judge(audio));
      result.replaceChildren(verificationView(answer, this.#limits, WORDS, LABELS));
      announce(spoken(answer, WORDS));
      result.scrollIntoView({ block: "nearest" });
    } catch (error) {
      if (asked === this.#nAsked) result.replaceChildren(problemView(error, () => this.#compare()));
    } finally {
      if (asked === this.#nAsked) result.classList.remove("busy");
    }
  }
}
