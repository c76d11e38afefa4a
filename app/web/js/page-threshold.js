// What each threshold costs: the error curve of the bundle, and a slider along it.

import { DetPlot } from "./det-plot.js";
import { definitions, element, part, show } from "./dom.js";
import { thresholdProbability } from "./gauge.js";
import { ofThousand, ofThousandBetween, percent, pointInWords } from "./words.js";

export class ThresholdPage {
  #root;
  #curve;
  #points;
  #prior;
  #plot;
  #slider;

  constructor(root, { model }) {
    this.#root = root;
    this.#curve = model.error_curve;
    this.#points = model.operating_points;
    this.#prior = model.prior;
    show(part(root, "none"), this.#curve === null);
    show(part(root, "choice"), this.#curve !== null);
    if (this.#curve === null) return;
    this.#plot = new DetPlot(this.#curve, this.#points, pointInWords);
    part(root, "plot").append(this.#plot.view);
    part(root, "points").append(...this.#points.map((point) => this.#buttonFor(point)));
    part(root, "measured").textContent =
      `Measured on ${this.#curve.measured_on}: ${count(this.#curve.n_target)} pairs of one voice and ` +
      `${count(this.#curve.n_non_target)} of two. Other voices, rooms and microphones have a curve of their own, and so ` +
      "few speakers leave wide intervals. Measure yours with vouch-train evaluate before you rely on a rate; " +
      "vouch-train calibrate makes operating points of them.";
    this.#slider = part(root, "slider");
    this.#slider.max = this.#curve.llrs.length - 1;
    this.#slider.addEventListener("input", () => this.#tell());
    this.#choose(model.default_operating_point);
  }

  /** `name` is an operating point's, where another page leads here. */
  enter(name) {
    if (this.#curve !== null && this.#points.some((point) => point.name === name)) this.#choose(name);
  }

  #buttonFor({ name }) {
    return element(
      "button",
      { type: "button", value: name, onclick: () => this.#choose(name) },
      pointInWords(name),
    );
  }

  #choose(name) {
    const { llr } = this.#points.find((point) => point.name === name);
    this.#slider.value = nearest(this.#curve.llrs, llr);
    this.#tell();
  }

  #tell() {
    const index = Number(this.#slider.value);
    const llr = this.#curve.llrs[index];
    const chosen = this.#points.find((point) => point.llr === llr);
    const [letIn, turnedAway] = [this.#curve.fmr[index], this.#curve.fnmr[index]];
    this.#plot.mark(index);
    this.#slider.ariaValueText = `${chosen ? `${pointInWords(chosen.name)}: ` : ""}${inWords(letIn, turnedAway)}`;
    part(this.#root, "rates").replaceChildren(
      rateView("Strangers let in", letIn, this.#curve.fmr_intervals[index]),
      rateView("True speakers turned away", turnedAway, this.#curve.fnmr_intervals[index]),
    );
    for (const button of part(this.#root, "points").children) {
      button.ariaPressed = String(button.value === chosen?.name);
    }
    part(this.#root, "set").replaceChildren(...this.#howToSet(llr, chosen));
  }

  #howToSet(llr, chosen) {
    const probability = percent(thresholdProbability({ llr }, this.#prior));
    const meaning = definitions([
      [
        "Accepts from",
        `a log-likelihood ratio of ${llr.toFixed(2)}, which is a probability of ${probability} at the prior of ${percent(this.#prior)}`,
      ],
    ]);
    const how = chosen ? settingOf(chosen) : this.#ownThreshold(llr);
    return [element("dl", {}, ...meaning), element("p", {}, ...how)];
  }

  #ownThreshold(llr) {
    const named = this.#points[nearest(this.#points.map((point) => point.llr), llr)];
    return [
      "The service decides at its operating points only. The nearest is ",
      element("strong", {}, pointInWords(named.name)),
      `, from ${named.llr.toFixed(2)}. To decide at ${llr.toFixed(2)}, compare the `,
      code("llr"),
      " of each answer with it yourself, and take from ",
      code("decision"),
      " only what is ",
      code("inconclusive"),
      ". Where there are keys, an exact one takes a key with the scope ",
      code("scores"),
      ".",
    ];
  }
}

function settingOf({ name }) {
  return [
    "For every call: ",
    code(`VOUCH_OPERATING_POINT=${name}`),
    ". For one: the field ",
    code(`operating_point=${name}`),
    ".",
  ];
}

/** Index of the value that is nearest to another. */
export function nearest(values, wanted) {
  const distances = values.map((value) => Math.abs(value - wanted));
  return distances.indexOf(Math.min(...distances));
}

/** What a threshold costs, as one sentence. */
export function inWords(letIn, turnedAway) {
  return `of 1,000 strangers ${are(letIn)} let in, of 1,000 true speakers ${are(turnedAway)} turned away`;
}

function are(rate) {
  const n = ofThousand(rate);
  return `${n} ${n === "1" || n === "fewer than 1" ? "is" : "are"}`;
}

function rateView(whom, rate, interval) {
  const notes = ["of 1,000", `95 % interval ${ofThousandBetween(interval)}`].map((note) => element("span", {}, note));
  return element(
    "div",
    {},
    element("dt", {}, whom),
    element("dd", { className: "figure" }, ofThousand(rate), ...notes),
  );
}

function code(words) {
  return element("code", {}, words);
}

function count(n) {
  return n.toLocaleString("en-GB");
}
