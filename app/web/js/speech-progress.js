// How much speech there is towards what is enough, as a bar with a mark.

import { element } from "./dom.js";
import { seconds } from "./words.js";

/** `scaleS` is the whole bar, `enoughS` the mark on it. */
export class SpeechProgress {
  #kept = element("span", { className: "bar-kept" });
  #new = element("span", { className: "bar-new" });
  #mark = element("span", { className: "bar-mark" });
  #text = element("span", {});
  #source = element("span", { className: "hint" });
  #bar;

  constructor(label) {
    this.#bar = element(
      "div",
      { className: "bar", role: "progressbar", ariaLabel: label },
      this.#kept,
      this.#new,
      this.#mark,
    );
    this.view = element(
      "div",
      { className: "progress" },
      this.#bar,
      element("p", { className: "row" }, this.#text, this.#source),
    );
  }

  /** `keptS` is what the service counted, `newS` what this page estimates; `text` says both, `source` where a number is from. */
  set({ keptS = 0, newS = 0, enoughS, scaleS = enoughS, text, source }) {
    const share = (value) => `${100 * Math.max(0, Math.min(1, value / scaleS))}%`;
    this.#kept.style.width = share(keptS);
    this.#new.style.width = share(Math.min(newS, scaleS - keptS));
    this.#mark.style.insetInlineStart = share(enoughS);
    this.#mark.hidden = enoughS >= scaleS;
    this.#bar.ariaValueNow = Math.round(100 * Math.min(1, (keptS + newS) / enoughS));
    this.#bar.ariaValueText = text;
    this.#text.textContent = text;
    this.#source.textContent = source;
  }
}

/** Of one clip that decides something: the mark is the least that the service decides on. */
export function probeProgress(progress, speechS, minSpeechS) {
  const isEnough = speechS >= minSpeechS;
  progress.set({
    newS: speechS,
    enoughS: minSpeechS,
    scaleS: 4 * minSpeechS,
    text: `About ${seconds(speechS)} of speech${isEnough ? ": enough, and more is surer" : ""}`,
    source: `estimated here; the service asks for ${seconds(minSpeechS)} in a clip`,
  });
}

/** The same, as far as the service has heard it. */
export function countedProgress(progress, speechS, minSpeechS) {
  progress.set({
    keptS: speechS,
    enoughS: minSpeechS,
    scaleS: 4 * minSpeechS,
    text: `${seconds(speechS)} of speech so far`,
    source: `counted by the service, which asks for ${seconds(minSpeechS)} in a clip`,
  });
}
