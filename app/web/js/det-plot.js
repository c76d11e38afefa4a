// The error curve on probit axes, where two bell curves of scores make a straight line (Martin et al. 1997).

import { drawn } from "./dom.js";
import { percent } from "./words.js";

const TICKS = [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4];
// Rates beyond are drawn on the edge.
const [LEAST, MOST] = [0.0005, 0.6];
const [WIDTH, HEIGHT] = [440, 420];
const [LEFT, RIGHT, TOP, BOTTOM] = [58, 12, 12, 52];

/** The standard normal deviate below which a share of 0 to 1 lies, to 0.0005 (Abramowitz & Stegun 26.2.23). */
export function probit(share) {
  if (share > 0.5) return -probit(1 - share);
  const t = Math.sqrt(-2 * Math.log(share));
  return (
    (2.515517 + 0.802853 * t + 0.010328 * t * t) / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t ** 3) - t
  );
}

/** Where a rate lies between the ends of an axis: 0 to 1. */
export function along(rate) {
  const [low, high] = [probit(LEAST), probit(MOST)];
  return (probit(Math.max(LEAST, Math.min(MOST, rate))) - low) / (high - low);
}

function across(fmr) {
  return LEFT + along(fmr) * (WIDTH - LEFT - RIGHT);
}

function up(fnmr) {
  return HEIGHT - BOTTOM - along(fnmr) * (HEIGHT - TOP - BOTTOM);
}

/** `curve` and `points` are the model's; `nameOf` gives a point's name in words. */
export class DetPlot {
  #curve;
  #interval = drawn("path", { class: "det-interval" });
  #dot = drawn("circle", { class: "det-dot", r: 7 });
  view;

  constructor(curve, points, nameOf) {
    this.#curve = curve;
    const corners = curve.fmr.map((fmr, i) => `${across(fmr)} ${up(curve.fnmr[i])}`);
    this.view = drawn(
      "svg",
      { class: "det", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" },
      drawn("title", {}, "Error curve: the fewer strangers are let in, the more true speakers are turned away"),
      ...TICKS.flatMap(tickViews),
      text("det-title", LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 6, "strangers let in, %"),
      drawn(
        "g",
        { transform: `translate(14 ${TOP + (HEIGHT - TOP - BOTTOM) / 2}) rotate(-90)` },
        text("det-title", 0, 0, "true speakers turned away, %"),
      ),
      drawn("path", { class: "det-curve", d: `M${corners.join("L")}` }),
      ...points.flatMap((point) => ringViews(point, nameOf(point.name))),
      this.#interval,
      this.#dot,
    );
  }

  /** Marks the curve's threshold of that index, with the 95 % intervals of its rates. */
  mark(index) {
    const { fmr, fnmr, fmr_intervals: fmrIntervals, fnmr_intervals: fnmrIntervals } = this.#curve;
    const [x, y] = [across(fmr[index]), up(fnmr[index])];
    const [left, right] = fmrIntervals[index].map(across);
    const [low, high] = fnmrIntervals[index].map(up);
    this.#interval.setAttribute("d", `M${left} ${y}H${right}M${x} ${low}V${high}`);
    this.#dot.setAttribute("cx", x);
    this.#dot.setAttribute("cy", y);
  }
}

function tickViews(rate) {
  const [x, y] = [across(rate), up(rate)];
  const label = percent(rate).replace(" %", "");
  return [
    drawn("path", { class: "det-grid", d: `M${x} ${TOP}V${HEIGHT - BOTTOM}M${LEFT} ${y}H${WIDTH - RIGHT}` }),
    text("det-tick", x, HEIGHT - BOTTOM + 20, label),
    text("det-tick det-tick-left", LEFT - 8, y + 4, label),
  ];
}

function ringViews({ fmr, fnmr }, name) {
  const [x, y] = [across(fmr), up(fnmr)];
  return [drawn("circle", { class: "det-ring", cx: x, cy: y, r: 5 }), text("det-name", x + 10, y - 8, name)];
}

function text(className, x, y, words) {
  return drawn("text", { class: className, x, y }, words);
}
