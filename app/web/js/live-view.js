// What the service says while somebody still speaks. It changes too often to be read aloud: only the decision is announced.

import { element, show } from "./dom.js";
import { gaugeView, moveGauge, thresholdProbability } from "./gauge.js";
import { percent } from "./words.js";

const LISTENING = "Keep speaking. The recording stops by itself when enough was said.";
const TOO_EARLY = "Keep speaking. With so little speech the number can still become any other.";
const DECIDING = "The service decides on what was said.";
const NOT_LIVE = "There is no running answer at the moment. Speak, then stop: the clip is sent whole.";

export class LiveView {
  #prior;
  #minSpeechS;
  #threshold = null;
  #gauge = null;
  #words = element("p", { className: "running-words" });
  #figure = element("p", { className: "figure" });
  #scale = element("div");
  #llr = element("p", { className: "small" });
  view = element(
    "section",
    { className: "result running", ariaLabel: "So far", hidden: true },
    element(
      "div",
      { className: "verdict" },
      element("div", {}, element("p", { className: "decision" }, "So far"), this.#words),
      this.#figure,
    ),
    this.#scale,
    this.#llr,
  );

  /** `prior` is the service's probability of one voice before anybody spoke, `minSpeechS` the least that it decides on. */
  constructor(prior, minSpeechS) {
    this.#prior = prior;
    this.#minSpeechS = minSpeechS;
  }

  /** `threshold` is an operating point, whose LLR decides. */
  begin(threshold) {
    this.#threshold = threshold;
    this.#gauge = gaugeView(null, this.#atThreshold, "Probability that it is one voice, so far");
    this.#scale.replaceChildren(this.#gauge);
    this.#tell(LISTENING, true);
    this.#measure(null, null);
    show(this.view);
    this.view.scrollIntoView({ block: "nearest" });
  }

  /** Of a running answer. Its probability and its LLR are null where there is no speech to measure. */
  tell({ probability, llr, audio }) {
    this.#tell(probability === null || audio.speech_s >= this.#minSpeechS ? LISTENING : TOO_EARLY, true);
    this.#measure(probability, llr);
  }

  /** The recording has ended, and the service decides. */
  wait() {
    this.#tell(DECIDING, true);
  }

  /** The service says nothing before the end. */
  lose() {
    this.#tell(NOT_LIVE, false);
  }

  hide() {
    show(this.view, false);
  }

  get #atThreshold() {
    return thresholdProbability(this.#threshold, this.#prior);
  }

  #tell(words, isLive) {
    this.#words.textContent = words;
    for (const one of [this.#scale, this.#llr]) show(one, isLive);
    if (!isLive) show(this.#figure, false);
  }

  #measure(probability, llr) {
    const isKnown = probability !== null;
    moveGauge(this.#gauge, probability, this.#atThreshold);
    show(this.#figure, isKnown);
    this.#figure.replaceChildren(
      isKnown ? percent(probability) : "",
      element("span", {}, "probability of one voice, so far"),
    );
    this.#llr.textContent = isKnown
      ? `Log-likelihood ratio ${llr.toFixed(2)}; accepted from ${this.#threshold.llr.toFixed(2)}.`
      : "Nothing to measure yet.";
  }
}
