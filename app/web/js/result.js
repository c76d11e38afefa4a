// A decision, to be read at a glance: in words, as a gauge, with its reasons and with what to do.

import { adviceOn } from "./advice.js";
import { definitions, element, icon } from "./dom.js";
import { gaugeView, thresholdProbability } from "./gauge.js";
import { decisionInWords, flagInWords, oneIn, percent } from "./words.js";

/**
 * What compare and verify answer. `words` has a headline for each decision, `labels` name the clips in the order of the call.
 */
export function verificationView(answer, limits, words, labels) {
  const { probability, threshold, prior } = answer;
  const advice = adviceOn(answer, limits, labels);
  // A clip without any speech gives nothing to measure.
  if (probability === null) return resultView(answer, words, advice, [], [details(answer)]);
  const figure = element(
    "p",
    { className: "figure" },
    percent(probability),
    element("span", {}, "probability of one voice"),
  );
  const gauge = gaugeView(probability, thresholdProbability(threshold, prior), "Probability that it is one voice");
  return resultView(answer, words, advice, [figure], [gauge, details(answer)]);
}

/** The frame around a decision: `beside` stands next to its headline, `below` under it. */
export function resultView(answer, words, advice, beside, below) {
  const { decision } = answer;
  const head = element(
    "div",
    { className: "verdict" },
    element("span", { className: "seal" }, icon(decision)),
    element(
      "div",
      {},
      element("p", { className: "decision" }, decisionInWords(decision)),
      element("h2", {}, words[decision]),
    ),
    ...beside,
  );
  const flags = (answer.flags ?? []).map((flag) =>
    element("p", { className: "flag" }, icon("warning"), flagInWords(flag)),
  );
  return element(
    "section",
    { className: `result ${decision}`, ariaLabel: "Result" },
    head,
    adviceView(advice),
    ...flags,
    ...below,
  );
}

function adviceView(advice) {
  if (advice.length === 0) return null;
  return element(
    "div",
    { className: "advice" },
    element("p", {}, "What to do"),
    element("ul", {}, ...advice.map((line) => element("li", {}, line))),
  );
}

/** The numbers behind a decision, for whoever wants them. */
export function details(answer) {
  const { threshold } = answer;
  const rows = [];
  if (answer.llr !== undefined) {
    rows.push(["Log-likelihood ratio", `${number(answer.llr)}; accepted from ${number(threshold.llr)}`]);
    rows.push(["Score (cosine)", `${number(answer.score)}; the threshold is ${number(threshold.score)}`]);
    rows.push(["Prior", `${percent(answer.prior)}, before anybody listened`]);
  } else {
    rows.push(["Threshold", `log-likelihood ratio ${number(threshold.llr)} and more, the more speakers are searched`]);
  }
  rows.push([
    "Measured errors",
    `${oneIn(threshold.fmr)} strangers gets in, ${oneIn(threshold.fnmr)} true speakers is turned away`,
  ]);
  rows.push(["Model", answer.model.id], ["Request", answer.request_id]);
  return element("details", {}, element("summary", {}, "The numbers"), element("dl", {}, ...definitions(rows)));
}

/** One sentence for a screen reader. */
export function spoken(answer, words) {
  const chance = answer.probability == null ? "" : ` Probability ${percent(answer.probability)}.`;
  return `${decisionInWords(answer.decision)}: ${words[answer.decision]}.${chance}`;
}

function number(value) {
  return value === null ? "none" : value.toFixed(2);
}
