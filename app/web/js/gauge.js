// The probability as a gauge, with the threshold marked. The scale is that of odds: 90, 99 and 99.9 % are equal steps.

import { element, show } from "./dom.js";
import { percent } from "./words.js";

// In log-odds; a little past 0.1 and 99.9 %.
const END = 7;
const TICKS = [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999];
// Left out where there is little room.
const MINOR_TICKS = [0.01, 0.99];

function logit(probability) {
  return Math.log(probability / (1 - probability));
}

function sigmoid(logOdds) {
  return 1 / (1 + Math.exp(-logOdds));
}

/** The threshold of an answer as a probability, at the answer's prior. */
export function thresholdProbability(threshold, prior) {
  return sigmoid(threshold.llr + logit(prior));
}

/** `probability` is null where nothing is known yet. */
export function gaugeView(probability, threshold, label) {
  const mark = element(
    "span",
    { className: "gauge-threshold" },
    element("span", {}, `threshold ${percent(threshold)}`),
  );
  place(mark, threshold);
  const above = element("span", { className: "gauge-above" });
  place(above, threshold);
  const dot = element("span", { className: "gauge-dot" });
  const track = element("div", { className: "gauge-track" }, above, mark, dot);
  const scale = element("div", { className: "gauge-scale", ariaHidden: "true" });
  for (const tick of TICKS) {
    const text = element(
      "span",
      { className: MINOR_TICKS.includes(tick) ? "minor" : "" },
      `${Number((100 * tick).toFixed(1))} %`,
    );
    place(text, tick);
    scale.append(text);
  }
  const gauge = element(
    "div",
    { className: "gauge", role: "meter", ariaLabel: label, ariaValueMin: "0", ariaValueMax: "100" },
    track,
    scale,
  );
  moveGauge(gauge, probability, threshold);
  return gauge;
}

/** To another probability, at the threshold that it was made with. */
export function moveGauge(gauge, probability, threshold) {
  const isKnown = probability !== null;
  const dot = gauge.querySelector(".gauge-dot");
  show(dot, isKnown);
  gauge.ariaHidden = isKnown ? null : "true"; // a meter without a value is none
  if (!isKnown) return;
  place(dot, probability);
  gauge.ariaValueNow = String(Math.round(100 * probability));
  gauge.ariaValueText = `${percent(probability)}; the threshold is ${percent(threshold)}`;
}

/** Where on the gauge, as a property that the style sheet reads. */
export function place(target, probability) {
  const bounded = Math.max(-END, Math.min(END, logit(probability)));
  target.style.setProperty("--at", `${(100 * (bounded + END)) / (2 * END)}%`);
}
