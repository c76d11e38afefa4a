// One clip and everybody: who is it, or nobody?

import { adviceOn } from "./advice.js";
import { element } from "./dom.js";
import { place, thresholdProbability } from "./gauge.js";
import { CLIP_LABEL, ProbePage } from "./page-probe.js";
import { details, resultView } from "./result.js";
import { clipForm } from "./service.js";
import { nameOf, percent } from "./words.js";

export class IdentifyPage extends ProbePage {
  #service;
  #limits;
  #prior;

  constructor(root, parts) {
    super(root, parts);
    this.#service = parts.service;
    this.#limits = parts.limits;
    this.#prior = parts.model.prior;
  }

  async send(clip, operatingPoint) {
    const answer = await this.#service.hear(
      "v1/identify",
      clipForm([["audio", clip]], { operating_point: operatingPoint }),
    );
    const best = answer.candidates[0];
    const words = {
      accept: best && `It sounds like ${nameOf(best)}`,
      reject: "Nobody who is enrolled",
      inconclusive: "It cannot be told yet",
    };
    const advice = adviceOn(answer, this.#limits, [CLIP_LABEL]);
    return { answer, words, view: resultView(answer, words, advice, [], [this.#candidates(answer), details(answer)]) };
  }

  #candidates({ candidates, threshold }) {
    if (candidates.length === 0) return null;
    const atThreshold = thresholdProbability(threshold, this.#prior);
    const rows = candidates.map((candidate) => {
      const dot = element("span", { className: "gauge-dot" });
      const mark = element("span", { className: "gauge-threshold" });
      place(dot, candidate.probability);
      place(mark, atThreshold);
      return element(
        "li",
        { className: candidate.decision },
        element(
          "span",
          { className: "name" },
          nameOf(candidate),
          element("span", { className: "small" }, candidate.speaker_id),
        ),
        element("span", { className: "gauge-track", ariaHidden: "true" }, mark, dot),
        element("span", { className: "figure-small" }, percent(candidate.probability)),
      );
    });
    return element(
      "div",
      { className: "candidates" },
      element("h3", {}, "Closest voices"),
      element("ol", {}, ...rows),
      element(
        "p",
        { className: "hint" },
        `Each as if that speaker alone had been claimed; the line is the threshold of that, ${percent(atThreshold)}. ` +
          "Among many, the best must stand further above it, and clear of the second.",
      ),
    );
  }
}
